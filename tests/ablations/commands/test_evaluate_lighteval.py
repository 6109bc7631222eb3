"""`ablations evaluate backend=lighteval`: answers and scores of our own evaluator, or one line."""

import json

import pytest

from klear_core.runs import benchmarks
from tests.ablations.commands.cli_store import refused
from tests.ablations.commands.evaluations import NAME, evaluate
from tests.klear_core.eval.lighteval_env import REASON, needs_lighteval


@needs_lighteval
def test_its_pipeline_gets_the_answers_of_our_evaluator(checkpoint, tmp_path):
    words = ["task=laptop", "batch=8", "questions=6", "samples=4", "instruction=Think."]
    done = evaluate(checkpoint, *words, runs=tmp_path)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "eval" / NAME / "laptop"
    rows = benchmarks.read_rows(folder)
    done = evaluate(checkpoint, *words, "backend=lighteval", runs=tmp_path)
    assert done.exit_code == 0, done.output
    assert "laptop through lighteval: avg@n:n=4 " in done.stdout
    kept = json.loads((folder / "lighteval.json").read_text())
    assert kept["manifest"]["settings"]["samples"] == 4
    own: dict[str, list[str]] = {}
    for row in rows:
        own.setdefault(row["problem_id"], []).append(row["response"])
    assert kept["texts"] == own
    means = [values["avg@n:n=4"] for values in kept["questions"].values()]
    assert kept["scores"]["avg@n:n=4"] == pytest.approx(sum(means) / 6)
    # What our evaluator has stored is as it was.
    assert str(benchmarks.read_rows(folder)) == str(rows)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["backend=theirs"], "backend is 'theirs'; allowed: own or lighteval"),
        (["backend=lighteval", "processes=2"], "processes is 2 for backend=lighteval; allowed: 1"),
        (["backend=lighteval", "task=lcb_v5"], "task is lcb_v5, whose programs lighteval would run without a sandbox"),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_is_asked(checkpoint, tmp_path, words, told):
    task = [] if any(word.startswith("task=") for word in words) else ["task=laptop"]
    assert told in refused("evaluate", f"model={checkpoint}", *task, *words, "--runs", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_lighteval_the_command_names_its_environment(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("ablations.lighteval_backend.find_spec", lambda name: None)
    words = ["task=laptop", "backend=lighteval", "--runs", tmp_path / "out"]
    told = refused("evaluate", f"model={checkpoint}", *words)
    assert "make env-lighteval, then the same command by .venv-lighteval/bin/ablations" in told
    assert REASON.endswith("make env-lighteval")
