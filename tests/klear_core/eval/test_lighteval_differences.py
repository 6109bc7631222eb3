"""What lighteval 0.13 does otherwise, each difference by the smallest case that shows it."""

import ast
import importlib
import inspect
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from klear_core.eval.crosscheck import DIFFERENCES
from klear_core.records import Completion, FinishReason
from klear_core.rewards.format import check_form
from tests.klear_core.eval.lighteval_env import load

adapter = load("klear_core.eval.lighteval_adapter")
tasks = load("lighteval.tasks.lighteval_task")
transformers_model = load("lighteval.models.transformers.transformers_model")
metrics = load("lighteval.metrics.metrics")
requests = SimpleNamespace(Doc=adapter.Doc, ModelResponse=adapter.ModelResponse)
cache = load("lighteval.utils.cache_management")


def shows(name):
    assert name in DIFFERENCES
    return lambda test: test


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


def test_a_right_answer_behind_the_reasoning_is_right_for_both_metrics():
    scored = adapter.score("7", ["<think>Maybe.</think>So $\\boxed{7}$", "<think>Maybe.</think>So $\\boxed{8}$"])
    assert (scored.raw, scored.stripped, scored.avg) == ((True, False), (True, False), 0.5)
    assert scored.pass_at == {1: 0.5, 2: 1.0}
    assert scored.found[1].startswith("8")


@shows("two_texts")
def test_avg_at_n_reads_the_reasoning_and_pass_at_k_does_not():
    scored = adapter.score("7", ["<think>It is $\\boxed{7}$</think>I do not know."])
    assert (scored.raw, scored.avg) == ((True,), 1.0)
    assert (scored.stripped, scored.pass_at) == ((False,), {1: 0.0})


@shows("opened_by_the_prompt")
def test_reasoning_that_the_prompt_opens_is_not_removed():
    scored = adapter.score("7", ["It is $\\boxed{7}$</think>I do not know."])
    assert (scored.avg, scored.pass_at) == (1.0, {1: 1.0})


@shows("bare_latex_reference")
@pytest.mark.parametrize("reference", ["1-\\frac{2}{\\pi}", "8\\sqrt{10}", "2^{25} \\cdot 26!"])
def test_a_bare_latex_reference_is_never_met_and_one_between_dollars_is(reference):
    metric = metrics.Metrics.avg_at_n_math(sample_params={"n": 1}).sample_level_fn
    response = requests.ModelResponse(text=[f"The answer is $\\boxed{{{reference}}}$."])
    for gold, right in ((reference, 0.0), (f"${reference}$", 1.0)):
        assert metric.compute(requests.Doc(query="", choices=[gold], gold_index=0), response) == right
    assert adapter.score(reference, response.text).raw == (True,)


@shows("truncated_reasoning")
def test_an_answer_in_reasoning_without_an_end_is_right():
    text = "<think>Perhaps $\\boxed{7}$, but let me check whether"
    scored = adapter.score("7", [text])
    assert (scored.avg, scored.pass_at) == (1.0, {1: 1.0})
    ours = Completion(token_ids=(), logprobs=(), entropies=None, text=text, finish_reason=FinishReason.LENGTH)
    assert check_form(ours).fault == "TRUNCATED"


@shows("codegen_one_sample")
def test_codegen_pass_at_1_16_draws_one_sample():
    config = load("lighteval.tasks.tasks.lcb.main").TASKS_TABLE[0]
    assert [metric.metric_name for metric in config.metrics] == ["codegen_pass@1:16"]
    assert tasks.LightevalTask(config).num_samples == [1]


def test_what_stops_lightevals_own_registry_still_does(monkeypatch):
    def connect(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", connect)
    with pytest.raises(OSError, match=r"tinyBenchmarks\.pkl"):
        importlib.import_module("lighteval.tasks.tasks.tiny_benchmarks")
    with pytest.raises(TypeError, match="unexpected keyword argument 'model_name'"):
        importlib.import_module("lighteval.tasks.tasks.mt_bench.main")
    with pytest.raises(TypeError, match="must be encoded"):
        adapter.info_loggers.xxhash.xxh64("text")


class _SeenError(Exception):
    pass


@shows("greedy_transformers")
@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_the_transformers_backend_asks_for_no_sampling_at_a_temperature(temperature, monkeypatch):
    seen = {}

    def generate(**arguments):
        seen.update(arguments)
        raise _SeenError

    monkeypatch.setattr(transformers_model, "stop_sequences_criteria", lambda *_, **__: None)
    parameters = transformers_model.TransformersModelConfig(
        model_name="m", generation_parameters={"temperature": temperature, "top_p": 0.95}
    ).generation_parameters
    backend = SimpleNamespace(
        tokenizer=SimpleNamespace(pad_token_id=0, eos_token_id=1),
        generation_config_dict=parameters.to_transformers_dict(),
        model=SimpleNamespace(generate=generate),
    )
    batch = SimpleNamespace(input_ids=SimpleNamespace(shape=(1, 3)), input_mask=None)
    with pytest.raises(_SeenError):
        transformers_model.TransformersModel._generate_padded(
            backend, batch, max_new_tokens=4, stop_tokens=[], num_samples=4
        )
    assert (seen["temperature"], seen["num_return_sequences"]) == (temperature, 4)
    assert "do_sample" not in seen
    assert "do_sample" not in _assigned(transformers_model.TransformersModel, but="_generate_padded")


def _assigned(cls, *, but):
    """Texts and attributes that the methods of a class name, but for one of them."""
    (body,) = ast.parse(inspect.getsource(cls)).body
    methods = [each for each in body.body if getattr(each, "name", "") != but]
    nodes = [node for each in methods for node in ast.walk(each)]
    return {getattr(node, "attr", None) or getattr(node, "value", None) or getattr(node, "arg", None) for node in nodes}


@shows("cache_without_weights")
def test_other_weights_in_the_same_folder_have_the_same_cache(folder):
    def key(weights):
        (folder / "model.safetensors").write_bytes(weights)
        config = transformers_model.TransformersModelConfig(model_name=str(folder), cache_dir=str(folder.parent / "c"))
        return cache.SampleCache(config).cache_dir

    assert key(b"one") == key(b"two")

    def own_key(weights):
        config = adapter.EngineModelConfig(
            model_name="m", cache_dir=str(folder), weights=weights, engine="native", stream="s", context=8
        )
        return cache.SampleCache(config).cache_dir

    assert own_key("one") == own_key("one") != own_key("two")


@shows("cache_without_data")
def test_other_questions_in_the_same_folder_have_the_same_cache(folder):
    config = tasks.LightevalTaskConfig(
        name="t", prompt_function=len, hf_repo=str(folder), hf_subset="default", metrics=[]
    )

    def key(question):
        (folder / "test.jsonl").write_text(question)
        model = SimpleNamespace(registry=SimpleNamespace(task_to_configs={"t": [config]}), _task_hashes={})
        return cache.SampleCache._get_task_hash(model, "t|0")

    assert key("one") == key("two")


@shows("no_hmmt")
def test_no_task_is_of_hmmt():
    home = Path(tasks.__file__).parent
    named = [path for path in home.rglob("*.py") if "hmmt" in path.read_text(encoding="utf-8").lower()]
    assert named == []
    assert len(list(home.rglob("*.py"))) > 100  # that were looked at


@shows("no_windows")
def test_no_livecodebench_task_looks_at_contest_days():
    module = load("lighteval.tasks.tasks.lcb.main")
    assert module.TASKS_TABLE
    assert all(config.hf_filter is config.filter is None for config in module.TASKS_TABLE)
    assert "contest_date" not in inspect.getsource(module)


@shows("unlisted_avg64")
def test_the_avg_at_64_tasks_of_aime_are_reached_by_no_name():
    module = importlib.import_module("lighteval.tasks.tasks.aime")
    assert module.aime24_avg.metrics[0].sample_level_fn.n == 64
    listed = {config.name for config in module.TASKS_TABLE}
    assert {"aime24", "aime25"} <= listed
    assert not {"aime24_avg", "aime25_avg"} & listed
