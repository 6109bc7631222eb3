"""`ablations evaluate` on a tiny checkpoint: stored, resumed after a real kill, graded again, refused in one line."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest

from ablations.checkpoints import extended, name_of, with_yarn
from klear_core.errors import ConfigError
from klear_core.records import Verdict
from klear_core.runs import benchmarks
from klear_core.runs.log import read_log
from klear_core.trainer.model_folder import load_model
from reports.commands.table1 import main as table1
from tests.ablations.commands.cli_store import ablations, contents, refused
from tests.ablations.commands.evaluations import NAME, QUESTIONS, SAMPLES, evaluate
from tests.e2e import own_data
from tests.e2e.conftest import ROOT, environment
from tests.klear_core.eval.problems import row
from tests.klear_core.eval.test_questions import FILES, FOLDER, published


def test_answers_are_stored_with_text_and_the_same_command_draws_none_again(checkpoint, tmp_path):
    done = evaluate(checkpoint, runs=tmp_path / "out")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "out" / "eval" / NAME / "laptop"
    rows = list(read_log(folder / "eval.jsonl"))
    assert [(r["question"], r["sample"]) for r in rows] == [(q, s) for q in range(QUESTIONS) for s in range(SAMPLES)]
    assert all(r.keys() == benchmarks.COLUMNS.keys() for r in rows)
    assert len({r["response"] for r in rows}) > QUESTIONS
    result = benchmarks.read_result(folder)
    assert result.is_complete
    share = sum(r["correct"] for r in rows) / len(rows)
    assert f"laptop: avg@4 {share:.3f} [" in done.stdout
    assert "12 questions x 4 samples; to draw: 48 answers in 6 calls, at most 1,152 tokens" in done.stdout
    assert "laptop: call 6 of 6" in done.stdout
    settings = result.manifest.settings
    assert (settings.temperature, settings.max_tokens, settings.context, settings.engine) == (1.0, 24, 128, "native")
    assert result.manifest.scorer == {"grader": "exact answers"}
    before = contents(folder)
    again = evaluate(checkpoint, runs=tmp_path / "out")
    assert "laptop: 12 questions x 4 samples, all answers are stored" in again.stdout
    record = folder / "eval.jsonl"
    assert contents(folder)[record] == before[record]

    graded = evaluate(checkpoint, "task=laptop", "--rescore", runs=tmp_path / "out")
    assert graded.exit_code == 0, graded.output
    assert contents(folder)[record] == before[record]
    assert str(benchmarks.read_rows(folder)) == str(rows)  # as text, since NaN is not itself

    other = evaluate(checkpoint, "task=laptop", "batch=8", "samples=3", runs=tmp_path / "out")
    assert other.exit_code == 2
    assert "holds an evaluation of other settings (samples is 4, not 3); move it away, or give name=" in other.stderr


def test_stored_texts_are_graded_by_the_scorer_of_today(checkpoint, tmp_path, monkeypatch):
    assert evaluate(checkpoint, "task=laptop", "questions=3", runs=tmp_path).exit_code == 0
    monkeypatch.setattr("klear_core.rewards.grader.judge_exact", lambda text, reference: (Verdict.CORRECT, reference))
    monkeypatch.setattr("klear_core.rewards.grader.check_form", _any_form)
    done = evaluate(checkpoint, "task=laptop", "--rescore", runs=tmp_path)
    assert done.exit_code == 0, done.output
    assert "laptop: avg@4 1.000 [1.000, 1.000] over 3 questions, pass@4 1.000, maj@4 1.000" in done.stdout
    folder = tmp_path / "eval" / NAME / "laptop"
    assert all(row["correct"] for row in benchmarks.read_rows(folder))
    assert not all(row["correct"] for row in read_log(folder / "eval.jsonl"))


def _any_form(completion):
    from klear_core.rewards.format import Form

    return Form(fault=None, answer=completion.text)


def test_a_dry_run_says_what_it_takes_and_leaves_nothing(checkpoint, tmp_path):
    done = evaluate(checkpoint, "task=laptop", "dry_run=true", runs=tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "to draw: 48 answers in 1 calls, at most 1,152 tokens" in done.stdout
    assert "tokens/s at first" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_kill_loses_at_most_one_call_and_changes_no_byte(checkpoint, tmp_path):
    words = [f"model={checkpoint}", "task=laptop", "samples=8", "batch=4"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    record = f"eval/{NAME}/laptop/eval.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "ablations.cli", "evaluate", *words, "--runs", str(killed)],
        cwd=ROOT,
        env=environment(WANDB_MODE="disabled"),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 400
    while not (killed / record).exists() or (killed / record).read_bytes().count(b"\n") < 9:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    left = (killed / record).read_bytes()
    kept = left.count(b"\n") // 4 * 4  # whole calls
    assert 8 <= kept < 96
    done = evaluate(checkpoint, *words[1:], runs=killed)
    assert done.exit_code == 0, done.output
    assert f"to draw: {96 - kept} answers" in done.stdout
    assert (killed / record).read_bytes().startswith(b"".join(left.splitlines(keepends=True)[:kept]))
    assert evaluate(checkpoint, *words[1:], runs=whole).exit_code == 0
    assert (killed / record).read_bytes() == (whole / record).read_bytes()


@pytest.mark.slow
def test_a_file_of_questions_is_asked_and_judged_as_mathematics(checkpoint, questions, tmp_path):
    words = ["task=aime24", f"data={questions}", "max_tokens=20", "samples=3", "questions=2", "temperature=1"]
    done = evaluate(checkpoint, *words, runs=tmp_path)
    assert done.exit_code == 0, done.output
    result = benchmarks.read_result(tmp_path / "eval" / NAME / "aime24")
    assert (result.counts.rows, result.manifest.settings.questions, result.manifest.known_data) == (6, 2, "")
    assert result.manifest.scorer["math-policy"]


@pytest.mark.slow
def test_published_files_are_asked_of_a_users_model_and_set_beside_the_paper(tmp_path):
    for task in ("aime24", "hmmt25"):
        published(task)
    # A tokenizer of bytes with a context of 192: only YaRN makes room for the questions.
    words = [f"data={FOLDER}", "yarn=16", "max_tokens=8", "samples=2", "questions=2", "name=own"]
    done = evaluate(own_data.write_model(tmp_path / "model"), "task=aime24,hmmt25", *words, runs=tmp_path)
    assert done.exit_code == 0, done.output
    for task in ("aime24", "hmmt25"):
        result = benchmarks.read_result(tmp_path / "eval" / "own" / task)
        settings = result.manifest.settings
        assert result.manifest.known_data == f"{FILES[task]}, published with the Klear repository"
        assert (result.counts.rows, settings.context, settings.yarn, settings.chat_template) == (4, 3072, 16.0, True)
    assert table1(["--runs", str(tmp_path)]) == 0
    text = (tmp_path / "eval" / "table1" / "table1.md").read_text()
    assert "here: own" in text
    assert "context extended by YaRN, factor 16, to 3,072 tokens" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "model is missing; allowed: a model folder, or hub:org/name"),
        (["model={model}"], "task is missing; allowed: one or several of aime24"),
        (["model={model}", "task=aime23"], "task is 'aime23'; allowed: aime24, aime25, hmmt25, lcb_v5, lcb_v6, laptop"),
        (["model={model}", "task=aime24,aime24"], "task names aime24 twice"),
        (["model={model}", "task=aime24"], "data is missing; allowed: data.aime24=FILE"),
        (["model={model}", "task=aime24", "data=/no/such"], "/no/such is no file and no folder"),
        (["model={model}", "task=aime24", "data.aime25=x"], "data.aime25 belongs to no task that is asked"),
        (["model={model}", "task=aime24", "data={data}"], "max_tokens is 32768 for aime24, behind prompts of up to 1"),
        (
            ["model={model}", "task=aime24", "data={data}", "max_tokens=125"],
            "context of {model} is 128; allowed: up to",
        ),
        (["model={model}", "task=lcb_v5", "data={data}"], "has the format problem-answer; allowed for lcb_v5"),
        (["model={model}", "task=aime24,aime25", "data={data}"], "data is {data} for several tasks"),
        (["model=/no/such", "task=laptop"], "checkpoint folder /no/such does not exist"),
        (["model={bare}", "task=laptop"], "holds no tokenizer.json"),
        (["model={alone}", "task=laptop"], "and config.yaml is not beside it"),
        (["model={model}", "task=laptop", "questions=99"], "questions is 99; allowed: at most 12"),
        (["model={model}", "task=laptop", "samples=0"], "samples is 0; allowed: 1 to 1000000"),
        (["model={model}", "task=laptop", "samples=2", "temperature=0"], "samples is 2 at temperature 0; allowed: 1"),
        (["model={model}", "task=laptop", "temperature=hot"], "temperature is 'hot'; allowed: a value of type float"),
        (["model={model}", "task=laptop", "colour=red"], "colour is not a setting; allowed: backend"),
        (["model={model}", "task=laptop", "wandb.colour=red"], "wandb.colour is not a setting"),
        (["model={model}", "task=laptop", "yarn=0.5"], "yarn is 0.5; allowed: a factor above 1"),
        (["model={model}", "task=laptop", "name=../x"], "name is '../x'; allowed: letters"),
        (["model={model}", "task=laptop", "laptop"], "the argument 'laptop' is no key=value"),
        (["model={model}", "task=laptop", "task=aime24"], "task is given twice"),
    ],
)
def test_what_a_user_can_get_wrong_is_one_line(arguments, message, checkpoint, questions, tmp_path):
    bare, alone = tmp_path / "bare", tmp_path / "alone"
    for folder in (bare, alone):
        folder.mkdir()
        for path in checkpoint.iterdir():
            if folder is alone or path.name != "tokenizer.json":
                (folder / path.name).symlink_to(path)
    where = {"model": checkpoint, "data": questions, "bare": bare, "alone": alone}
    told = refused("evaluate", *(each.format(**where) for each in arguments), "--runs", tmp_path / "out")
    assert message.format(**where) in told
    assert not (tmp_path / "out").exists()


def test_an_evaluation_that_is_not_complete_cannot_be_graded_again(checkpoint, tmp_path):
    assert "manifest.json does not exist" in refused(
        "evaluate", f"model={checkpoint}", "task=laptop", "--rescore", "--runs", tmp_path
    )


def test_yarn_extends_the_context_and_changes_no_file(checkpoint):
    before = contents(checkpoint)
    plain, _ = load_model(checkpoint)
    with extended(checkpoint, 2.5) as view:
        model, _ = load_model(view)
    assert model.config.max_position_embeddings == 320
    rotary, unscaled = model.model.rotary_emb, plain.model.rotary_emb
    # arXiv 2309.00071, Eq. 22: the attention is scaled by 0.1 ln s + 1, here as a factor of both sides' rotation.
    assert rotary.attention_scaling == pytest.approx(0.1 * math.log(2.5) + 1)
    # The slowest frequency turns less than once in the old context and is interpolated whole: divided by s.
    assert float(rotary.inv_freq[-1]) == pytest.approx(float(unscaled.inv_freq[-1]) / 2.5, rel=1e-5)
    assert contents(checkpoint) == before


def test_yarn_is_written_where_each_version_of_transformers_reads_it():
    old = with_yarn({"max_position_embeddings": 40960, "rope_theta": 1e6, "rope_scaling": None}, 2.5)
    assert old["max_position_embeddings"] == 102400
    assert old["rope_scaling"] == {"rope_type": "yarn", "factor": 2.5, "original_max_position_embeddings": 40960}
    new = with_yarn(
        {"max_position_embeddings": 100, "rope_parameters": {"rope_theta": 7.0, "rope_type": "default"}}, 2.0
    )
    assert new["rope_parameters"]["rope_theta"] == 7.0
    assert new["rope_parameters"]["rope_type"] == "yarn"
    with pytest.raises(ConfigError, match="has rope_type 'yarn' already"):
        with_yarn(new, 2.0)


def test_results_are_called_after_the_run_the_folder_or_the_model_of_the_hub(tmp_path):
    assert name_of(f"{tmp_path}/runs/clipping/gppo-u4/seed0/checkpoint") == "clipping-gppo-u4-seed0"
    assert name_of(f"{tmp_path}/Klear Reasoner (8B)") == "Klear-Reasoner-8B"
    assert name_of("hub:org/Klear-Reasoner-8B@v1.0") == "org-Klear-Reasoner-8B"


def test_data_are_checked_without_a_model_row_by_row(tmp_path):
    path = tmp_path / "lcb.jsonl"
    bad = row("b", [("1", "NaN")], function="f"), row("c", [("1\n", "1\n")]) | {"contest_date": "?"}
    path.write_text("".join(json.dumps(each) + "\n" for each in (row("a", [("1\n", "1\n")]), *bad)))
    done = ablations("data", "check", "lcb_v5", "--data", path)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{path} line 2: test 1 expects 'NaN'")
    assert lines[1].startswith(f"{path} line 3: column contest_date is a text ('?')")
    assert lines[2] == ("lcb_v5: 1 of 3 questions (the benchmark has 279) of the format livecodebench can be scored")
    path.write_text(json.dumps(row("a", [("1\n", "1\n")])))
    assert ablations("data", "check", "lcb_v5", "--data", path).exit_code == 0
    assert "laptop, whose questions a run generates" in refused("data", "check", "laptop", "--data", path)
    assert "no row belongs to the benchmark" in refused("data", "check", "lcb_v6", "--data", path)
