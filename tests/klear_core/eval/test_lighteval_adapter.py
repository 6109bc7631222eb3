"""lighteval's pipeline over our engines, with no network: the answers and scores are those of our own evaluator."""

import json
import socket
from types import SimpleNamespace

import pytest

from klear_core.errors import ConfigError, EngineError
from klear_core.eval.benchmark import Call, ask, request_of, rows_of
from klear_core.eval.questions import load_questions
from klear_core.eval.tasks import LAPTOP, get_benchmark
from klear_core.records import Completion, FinishReason, SamplingParams
from klear_core.rollout.native import NativeEngine
from klear_core.trainer.collate import tokenize_prompts
from tests.klear_core.eval.lighteval_env import load
from tests.klear_core.eval.test_questions import published

adapter = load("klear_core.eval.lighteval_adapter")
requests = load("lighteval.tasks.requests")

SAMPLES, TOKENS, CONTEXT = 4, 24, 128


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test reaches beyond this machine."""

    def connect(self, address):
        raise AssertionError(f"connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: connect(None, host))


class Counted:
    """An engine that counts its calls."""

    def __init__(self, inner):
        self.inner, self.calls, self.asked = inner, 0, []

    def generate(self, prompts, sampling, key):
        self.calls += 1
        self.asked.append((prompts, sampling, key))
        return self.inner.generate(prompts, sampling, key)


class Fixed:
    """An engine that answers everything with one text."""

    def __init__(self, text):
        self._completion = Completion(
            token_ids=(1, 2), logprobs=(0.0, 0.0), entropies=None, text=text, finish_reason=FinishReason.STOP
        )

    def generate(self, prompts, sampling, key):
        return [(self._completion,) * sampling.num_samples for _ in prompts]


def build(engine, tokenizer, folder, *, weights="w", stream="benchmark/laptop", name="tiny", **parameters):
    config = adapter.EngineModelConfig(
        model_name=name,
        generation_parameters={"temperature": 1.0, "seed": 3} | parameters,
        cache_dir=str(folder / "cache"),
        weights=weights,
        engine="native",
        stream=stream,
        context=CONTEXT,
    )
    return adapter.EngineModel(engine, tokenizer, config)


def own(chains, folder):
    return adapter.own_task(get_benchmark(LAPTOP), chains, folder, num_samples=SAMPLES, max_tokens=TOKENS)


def test_answers_are_token_for_token_those_of_our_evaluator_and_are_asked_once(model, tokenizer, chains, tmp_path):
    chains = chains[:6]
    engine = Counted(NativeEngine(model, tokenizer))
    task = own(chains, tmp_path)
    result = adapter.run([task], build(engine, tokenizer, tmp_path), tmp_path)[task.name]
    sampling = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=TOKENS, num_samples=SAMPLES)
    call = Call(questions=range(len(chains)), first=0, num_samples=SAMPLES)
    prompts = tokenize_prompts(tokenizer, chains)
    request = request_of(call, prompts, sampling=sampling, seed=3, name=LAPTOP)
    rows = rows_of(call, chains, ask(NativeEngine(model, tokenizer), request))
    for problem in chains:
        texts = tuple(row["response"] for row in rows if row["problem_id"] == problem.problem_id)
        assert result.texts[problem.problem_id] == texts
        assert len(set(texts)) > 1
        scored = adapter.score(problem.answer, texts)
        assert result.questions[problem.problem_id] == {
            f"avg@n:n={SAMPLES}": scored.avg,
            f"pass@k:k=1&n={SAMPLES}": scored.pass_at[1],
            f"pass@k:k={SAMPLES}&n={SAMPLES}": scored.pass_at[SAMPLES],
        }
    assert engine.calls == 1
    again = adapter.run([task], build(engine, tokenizer, tmp_path), tmp_path)[task.name]
    assert (engine.calls, again) == (1, result)
    adapter.run([task], build(engine, tokenizer, tmp_path, weights="others"), tmp_path)
    assert engine.calls == 2


def test_right_and_wrong_answers_get_the_scores_of_counting(tokenizer, chains, tmp_path):
    chains = chains[:3]
    right = chains[0].answer
    task = own(chains, tmp_path)
    model = build(Fixed(f"<think>So.</think>\\boxed{{{right}}}"), tokenizer, tmp_path)
    result = adapter.run([task], model, tmp_path)[task.name]
    share = sum(each.answer == right for each in chains) / len(chains)
    for metric in (f"avg@n:n={SAMPLES}", f"pass@k:k=1&n={SAMPLES}", f"pass@k:k={SAMPLES}&n={SAMPLES}"):
        assert result.scores[metric] == pytest.approx(share)


def test_a_task_of_lightevals_own_is_answered_from_a_local_file(tokenizer, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    rows = [{"problem": f"What is {k} + {k}?", "answer": str(2 * k)} for k in (1, 2)]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = adapter.their_task("aime", "aime24", data=data)
    engine = Counted(Fixed("Therefore, the final answer is: $\\boxed{4}$. I hope it is correct"))
    model = build(engine, tokenizer, tmp_path, max_new_tokens=TOKENS)
    result = adapter.run([task], model, tmp_path)["aime24"]
    assert sorted(result.questions) == ["0", "1"]
    assert (result.scores["avg@n:n=1"], result.scores["pass@k:k=1"]) == (0.5, 0.5)
    ((prompts, sampling, key),) = engine.asked
    written = [tokenizer.decode(prompt.token_ids).strip() for prompt in prompts]
    assert sorted(text[-6:] for text in written) == ["1 + 1?", "2 + 2?"]
    assert all(len(text) > 300 for text in written)  # lighteval's own words stand before the question
    assert (sampling.max_tokens, sampling.num_samples, key.seed) == (TOKENS, 1, 3)


@pytest.mark.parametrize("name", ["aime24", "hmmt25"])
def test_published_files_become_tasks(name, tmp_path):
    benchmark = get_benchmark(name)
    questions = load_questions(benchmark, published(name), count=None)
    task = adapter.own_task(benchmark, questions.problems, tmp_path, num_samples=64, max_tokens=32_768)
    for problem in questions.problems:
        scored = adapter.score(problem.answer, [f"<think></think>The answer is $\\boxed{{{problem.answer}}}$."])
        assert scored.stripped == (True,), problem.answer
    text = "The answer is $\\boxed{{{}}}$."
    bare = adapter.Metrics.avg_at_n_math(sample_params={"n": 1}).sample_level_fn
    missed = [
        each.answer
        for each in questions.problems
        if not bare.compute(
            requests.Doc(query="", choices=[each.answer], gold_index=0),
            adapter.ModelResponse(text=[text.format(each.answer)]),
        )
    ]
    assert len(missed) == {"aime24": 0, "hmmt25": 6}[name], missed
    assert [metric.metric_name for metric in task.metrics] == ["avg@n:n=64", "pass@k:k=1&n=64", "pass@k:k=64&n=64"]


def doc(**changes):
    return requests.Doc(query="2+2=", choices=["4"], gold_index=0, id="0", task_name="t|0", **changes)


def test_a_stop_sequence_cuts_the_text(tokenizer, tmp_path):
    model = build(Fixed("4\n\nQ: 3+3\nA: 6"), tokenizer, tmp_path)
    (response,) = model.greedy_until([doc(generation_size=8, num_samples=2, stop_sequences=["A:", "\n\n"])])
    assert (response.text, response.output_tokens) == (["4", "4"], [[1, 2], [1, 2]])


def test_documents_of_other_lengths_are_answered_in_their_order(tokenizer, tmp_path):
    engine = Counted(Fixed("4"))
    docs = [doc(generation_size=size, specific={"problem_id": f"p{k}"}) for k, size in enumerate((8, 4, 8))]
    for k, each in enumerate(docs):
        each.id = str(k)
    responses = build(engine, tokenizer, tmp_path).greedy_until(docs)
    assert len(responses) == 3
    asked = [([prompt.problem_id for prompt in prompts], sampling.max_tokens) for prompts, sampling, _ in engine.asked]
    assert asked == [(["p0", "p2"], 8), (["p1"], 4)]


@pytest.mark.parametrize(
    ("parameters", "changes", "error", "message"),
    [
        ({"top_k": 5}, {}, ConfigError, "generation_parameters.top_k is 5; allowed: only max_new_tokens, seed"),
        ({"name": "/a/model"}, {}, ConfigError, "model_name is /a/model, where lighteval would put its cache"),
        ({}, {}, ConfigError, "max_new_tokens is missing, and t|0 has no length"),
        ({"temperature": 0.0}, {"num_samples": 2, "generation_size": 4}, ConfigError, "temperature is 0 for 2 samples"),
    ],
)
def test_what_engines_cannot_do_is_refused_in_one_line(parameters, changes, error, message, tokenizer, tmp_path):
    with pytest.raises(error) as caught:
        build(Fixed("4"), tokenizer, tmp_path, **parameters).greedy_until([doc(**changes)])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_likelihoods_are_refused(tokenizer, tmp_path):
    model = build(Fixed("4"), tokenizer, tmp_path)
    for asked in (model.loglikelihood, model.loglikelihood_rolling):
        with pytest.raises(EngineError, match="allowed: generative tasks"):
            asked([doc()])


def test_a_task_or_a_module_that_lighteval_has_not_is_named(tmp_path):
    with pytest.raises(ConfigError, match="lighteval task is 'aime23'; allowed in aime: aime24"):
        adapter.their_task("aime", "aime23", data=None)
    with pytest.raises(ConfigError, match="has no tasks in 'no_such'"):
        adapter.their_task("no_such", "x", data=None)


def test_nothing_of_lighteval_stays_changed():
    before = (adapter.Registry.load_all_task_configs, adapter.info_loggers.xxhash)
    with adapter._offline([SimpleNamespace(name="t")]):
        assert adapter.Registry.load_all_task_configs() != before[0]
    assert (adapter.Registry.load_all_task_configs, adapter.info_loggers.xxhash) == before
