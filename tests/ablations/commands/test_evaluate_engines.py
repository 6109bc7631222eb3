"""`ablations evaluate` by other engines, in several processes, of models of the Hub, and onto records of any order."""

import json
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch

from ablations import benchmark_engines, evaluating
from ablations.benchmarking import seconds_left
from ablations.evaluate_settings import read_settings
from klear_core.errors import EngineError
from klear_core.rollout import engines
from klear_core.rollout.native import NativeEngine
from klear_core.runs import benchmarks
from klear_core.runs.log import RecordLog, read_log
from klear_core.trainer import model_folder
from tests.ablations.commands.cli_store import refused
from tests.ablations.commands.evaluations import NAME, evaluate


def asked(checkpoint, runs, *words):
    """The rows and the manifest of an evaluation of the laptop task."""
    done = evaluate(checkpoint, "task=laptop", "batch=8", *words, runs=runs)
    assert done.exit_code == 0, done.output
    folder = runs / "eval" / NAME / "laptop"
    return benchmarks.read_rows(folder), benchmarks.read_manifest(folder)


@pytest.mark.parametrize("sampling", [["temperature=0"], ["temperature=1", "top_p=0.9"]])
def test_transformers_gives_the_answers_of_the_native_engine(checkpoint, tmp_path, sampling):
    words = ["questions=6", *sampling]
    native, _ = asked(checkpoint, tmp_path / "native", *words)
    other, manifest = asked(checkpoint, tmp_path / "transformers", "engine=transformers", *words)
    assert str(other) == str(native)  # as text, since NaN is not itself
    settings = manifest.settings
    assert (settings.engine, settings.dtype, settings.device) == ("transformers", "float32", "cpu")
    assert len({row["response"] for row in native}) > 3


@pytest.mark.slow
def test_processes_side_by_side_leave_the_table_of_one(checkpoint, tmp_path):
    asked(checkpoint, tmp_path / "one")
    done = evaluate(checkpoint, "task=laptop", "batch=8", "processes=2", runs=tmp_path / "two")
    assert done.exit_code == 0, done.output
    assert "to draw: 48 answers in 6 calls by 2 engines, at most 1,152 tokens" in done.stdout
    assert "laptop: call 6 of 6" in done.stdout
    one, two = (tmp_path / name / "eval" / NAME / "laptop" for name in ("one", "two"))
    assert (one / "eval.parquet").read_bytes() == (two / "eval.parquet").read_bytes()
    assert sorted(map(str, read_log(two / "eval.jsonl"))) == sorted(map(str, read_log(one / "eval.jsonl")))
    assert benchmarks.read_manifest(one).settings == benchmarks.read_manifest(two).settings


def test_a_record_of_calls_in_any_order_goes_on_where_a_kill_left_it(checkpoint, tmp_path):
    asked(checkpoint, tmp_path)
    folder = tmp_path / "eval" / NAME / "laptop"
    record, table = folder / "eval.jsonl", folder / "eval.parquet"
    rows, whole = list(read_log(record)), table.read_bytes()
    record.unlink()
    table.unlink()
    calls = [rows[start : start + 8] for start in range(0, 48, 8)]
    with RecordLog(record) as log:
        for row in (*calls[3], *calls[0], *calls[5], *calls[1][:5]):
            log.append(row)
    # As manifests are that do not say what it ran on.
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["settings"]["device"], manifest["model_source"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    result = benchmarks.read_result(folder)
    assert (result.manifest.settings.device, result.manifest.model_source, result.counts.rows) == ("cpu", "", 29)

    done = evaluate(checkpoint, runs=tmp_path)
    assert done.exit_code == 0, done.output
    assert "to draw: 24 answers in 3 calls" in done.stdout
    assert "laptop: call 6 of 6" in done.stdout
    assert str(list(read_log(record))) == str([row for k in (3, 0, 5, 1, 2, 4) for row in calls[k]])
    assert table.read_bytes() == whole
    assert benchmarks.read_manifest(folder).model_source == f"folder {NAME}"

    record.unlink()
    with RecordLog(record) as log:
        for row in (*calls[0], *calls[0]):
            log.append(row)
    told = refused("evaluate", f"model={checkpoint}", "task=laptop", "batch=8", "--runs", tmp_path)
    assert f"{record} is damaged: row 9 begins no call that is still to be made; move {folder} away" in told


def test_another_type_of_weights_is_another_evaluation(checkpoint, tmp_path):
    _, manifest = asked(checkpoint, tmp_path, "questions=2", "dtype=bfloat16")
    assert manifest.settings.dtype == "bfloat16"
    words = ["task=laptop", "batch=8", "questions=2", "--runs", tmp_path]
    assert "(dtype is 'bfloat16', not 'float32')" in refused("evaluate", f"model={checkpoint}", *words)


@pytest.fixture
def vllm(monkeypatch):
    """Serves for vLLM as the test says; nothing of it is installed."""
    monkeypatch.setattr(benchmark_engines, "engine_config", lambda settings: SimpleNamespace(name=settings.engine))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return lambda serve: monkeypatch.setattr(engines, "serve_folder", serve, raising=False)


def test_vllm_answers_from_the_folder_and_is_closed(checkpoint, tmp_path, vllm):
    closed = []

    class Served(NativeEngine):
        def close(self):
            closed.append(self)

    vllm(lambda config, folder, tokenizer, *, dtype, device: Served(model_folder.load_model(folder)[0], tokenizer))
    rows, manifest = asked(checkpoint, tmp_path, "questions=2", "engine=vllm", "kv_cache_gb=1")
    assert (len(rows), manifest.settings.engine, len(closed)) == (8, "vllm", 1)


def test_a_vllm_that_is_not_there_is_one_line_before_anything_is_asked(checkpoint, tmp_path, vllm):
    def serve(config, folder, tokenizer, *, dtype, device):
        raise EngineError("engine is vllm, which is not installed here; allowed: native, transformers")

    vllm(serve)
    words = ["task=laptop", "engine=vllm", "--runs", tmp_path / "out"]
    assert "engine is vllm, which is not installed here" in refused("evaluate", f"model={checkpoint}", *words)
    assert not (tmp_path / "out").exists()


def test_a_model_of_the_hub_is_its_local_copy_and_results_say_which(checkpoint, questions, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    (tmp_path / commit).symlink_to(checkpoint)
    names = []
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, *, revision, **_: names.append((name, revision)) or str(tmp_path / commit),
    )
    model_folder._downloaded.cache_clear()
    words = ["task=aime24", f"data={questions}", "max_tokens=8", "samples=2", "dry_run=true"]
    (found,) = evaluating.evaluate(
        read_settings(["model=hub:org/My-Model@v1", *words]), tmp_path, command="c", tell=lambda line: None
    )
    model_folder._downloaded.cache_clear()
    assert names == [("org/My-Model", "v1")]
    assert found.folder == tmp_path / "eval" / "org-My-Model" / "aime24"
    assert found.manifest.model_source == f"hub:org/My-Model@v1, commit {commit}"
    (local,) = evaluating.evaluate(
        read_settings([f"model={checkpoint}", *words]), tmp_path, command="c", tell=lambda line: None
    )
    assert local.manifest.settings == found.manifest.settings
    assert str(tmp_path.parent) not in local.manifest.model_source


NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model={model}", "engine=sglang"], "engine is 'sglang'; allowed: native, transformers or vllm"),
        (["model={model}", "dtype=float16"], "dtype is 'float16'; allowed: float32 or bfloat16"),
        (["model={model}", "device=tpu"], "device is 'tpu'; allowed: cpu or cuda"),
        pytest.param(["model={model}", "device=cuda"], "device is 'cuda', but torch ", marks=NO_GPU),
        (["model={model}", "processes=0"], "processes is 0; allowed: 1 to 64"),
        (["model={model}", "kv_cache_gb=4"], "kv_cache_gb is 4 for engine=native; allowed: null, as only vllm has it"),
        (["model=org/name"], "model is org/name, which is no folder here; allowed: hub:org/name, which downloads it"),
        (["model=org/name"], "or a folder, such as `hf download org/name --local-dir name` makes where there is a"),
        (["model=hub:org/name"], "the questions of the run that made hub:org/name, and config.yaml is not beside it"),
        # Before anything is downloaded, and then offline.
        (["model=hub:no-such/model", "task=aime24"], "data is missing; allowed: data.aime24=FILE"),
        (["model=hub:no-such/model", "task=aime24", "data={data}"], "hub:no-such/model cannot be had: "),
    ],
)
def test_what_cannot_be_had_is_one_line(words, message, checkpoint, questions, tmp_path):
    where = {"model": checkpoint, "data": questions}
    given = [word.format(**where) for word in words]
    given += [] if any(word.startswith("task=") for word in given) else ["task=laptop"]
    assert message in refused("evaluate", *given, "--runs", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_engines_side_by_side_make_a_round_of_calls_in_the_time_of_one():
    assert [seconds_left(10.0 * k, k, 8, 1) for k in (1, 4, 8)] == [70.0, 40.0, 0.0]
    # Four at a time: the first ends as the other three of its round do.
    assert [seconds_left(10.0, k, 8, 4) for k in (1, 4)] == [10.0, 10.0]
    assert seconds_left(20.0, 5, 9, 4) == 10.0
