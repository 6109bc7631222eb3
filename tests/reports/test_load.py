"""A store that is damaged or mixed gives a report that says so: what is whole keeps its numbers, the rest has none."""

import dataclasses
import json
import shutil
import sys
from collections import defaultdict

import pandas as pd
import pyarrow.parquet as pq
import pytest

from klear_core.errors import RunStoreError
from klear_core.runs import schema, store
from klear_core.runs.log import RecordLog, encode
from reports import __main__ as command
from reports import report as report_module
from reports.analysis import analyse
from reports.health import warnings
from reports.load import load_sweep
from reports.report import write_report
from tests.reports.conftest import ACCURACY
from tests.reports.spoiled import SPOILED, edit_json, edit_rows

LEVELS = {key: value for key, value in ACCURACY.items() if key[1] == "u4"}
ARMS = [treatment for treatment, _ in LEVELS]


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    monkeypatch.setattr(report_module, "write_figures", lambda data, analysis, folder: [])


@pytest.fixture
def root(write_sweep):
    """Three arms at one operating point, three seeds."""
    return write_sweep(accuracy=LEVELS)


def analysed(root):
    data = load_sweep(root, "clipping")
    return data, analyse(data)


def reported(root, tmp_path):
    """The analysis, what the report says first, and all of it."""
    data, analysis = analysed(root)
    text = write_report(data, tmp_path / "out", analysis).read_text()
    first = text.split("## What to know first")[1].split("## In short")[0] if "## What to know first" in text else ""
    return analysis, first, text


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_run_has_no_score_says_why_and_costs_the_others_nothing(root, tmp_path, case):
    _, whole = analysed(root)
    name, spoil, reason = SPOILED[case]
    spoil(root / "clipping" / "gppo-u4" / "seed0" / name)
    analysis, first, text = reported(root, tmp_path)
    assert reason in first
    assert str(root) not in text
    assert reason in text.split("## What failed, and why")[1]
    cell, before = analysis.cells["u4", "gppo"], whole.cells["u4", "gppo"]
    assert cell.per_seed == {seed: before.per_seed[seed] for seed in (1, 2)}
    for arm in ("clip_higher", "cispo"):
        assert analysis.cells["u4", arm].per_seed == whole.cells["u4", arm].per_seed
    assert {row.treatment: row.seeds for row in analysis.versus} == {"gppo": (1, 2), "cispo": (0, 1, 2)}


def test_a_whole_sweep_of_one_kind_has_nothing_to_know_first(root, tmp_path):
    assert reported(root, tmp_path)[1] == ""


def test_a_missing_run_folder_is_told_first(root, tmp_path):
    shutil.rmtree(root / "clipping" / "gppo-u4" / "seed0")
    analysis, first, _ = reported(root, tmp_path)
    assert "1 of 9 runs are not done, and are in no score: 1 run (gppo-u4/seed0)" in first
    assert analysis.cells["u4", "gppo"].score.n == 2


def test_rows_of_another_run_are_in_no_table_on_training(root):
    home = root / "clipping" / "gppo-u4" / "seed0"
    edit_json(home / schema.MANIFEST_FILE, run_id="other")
    (run,) = [run for run in load_sweep(root, "clipping").runs if run.problem]
    assert (run.steps.empty, run.timings.empty, run.evaluations.empty, run.tallies) == (True, True, True, {})


@pytest.mark.parametrize("name", [schema.STEPS_FILE, schema.EVAL_LOG])
def test_a_torn_last_row_of_an_interrupted_run_is_left_out_and_told(root, tmp_path, name):
    home = root / "clipping" / "gppo-u4" / "seed0"
    edit_json(home / schema.STATUS_FILE, state="running", exit_class="", ended="")
    with RecordLog(home / schema.EVAL_LOG) as log:
        for row in pq.read_table(home / schema.EVAL_FILE).to_pylist():
            log.append(row)
    (home / schema.EVAL_FILE).unlink()
    with (home / name).open("ab") as file:
        file.write(b'{"step": 13, "quest')
    data, _ = analysed(root)
    (run,) = [run for run in data.runs if run.problem]
    assert len(run.steps) == 12
    assert len(run.evaluations) == 12 * 4 * 2 + 12
    analysis, first, _ = reported(root, tmp_path)
    assert f"gppo-u4, seed 0: the last row of {name} is torn and left out" in first
    assert analysis.cells["u4", "gppo"].missing == (
        "seed 0: interrupted: its process is gone; the same command goes on with it",
    )


def test_records_of_a_run_count_as_its_table_does(root):
    _, whole = analysed(root)
    for path in (root / "clipping").glob(f"*/*/{schema.EVAL_FILE}"):
        rows = pq.read_table(path).to_pylist()
        path.with_name(schema.EVAL_LOG).write_bytes(b"".join(encode(row, k) for k, row in enumerate(rows, start=1)))
        path.unlink()
    assert analysed(root)[1].cells == whole.cells


def test_every_tally_is_what_counting_row_by_row_gives(root):
    path = root / "clipping" / "gppo-u4" / "seed0" / schema.EVAL_FILE
    edit_rows(path, lambda rows: [r if r["correct"] else r | {"verdict": "GRADER_ERROR"} for r in rows][::-1])
    for run in load_sweep(root, "clipping").runs:
        counts = defaultdict(lambda: [0, 0, 0])
        for row in pq.read_table(root / "clipping" / run.planned.folder / schema.EVAL_FILE).to_pylist():
            count = counts[row["split"], row["decoding"], row["step"], row["question"]]
            judged = row["verdict"] != "GRADER_ERROR"
            for k, one in enumerate((True, judged, judged and row["correct"])):
                count[k] += one
        told = {
            (*asked, int(q)): [int(s), int(j), int(h)]
            for asked, t in run.tallies.items()
            for q, s, j, h in zip(t.questions_Q, t.samples_Q, t.judged_Q, t.hits_Q, strict=True)
        }
        assert told == dict(counts)


def test_tables_that_another_program_wrote_are_read_like_ours(root):
    _, whole = analysed(root)
    path = root / "clipping" / "gppo-u4" / "seed0" / schema.EVAL_FILE
    pd.read_parquet(path).astype({"step": "int32", "sample": "int8"}).to_parquet(path)
    assert analysed(root)[1].cells == whole.cells


def provenance(path, **changes):
    raw = json.loads(path.read_text())
    edit_json(path, provenance=raw["provenance"] | changes)


def test_two_source_hashes_in_one_sweep_are_told_before_any_verdict(root, tmp_path):
    provenance(root / "clipping" / "gppo-u4" / "seed0" / schema.MANIFEST_FILE, source_hash="f" * 64)
    _, first, _ = reported(root, tmp_path)
    assert f"Runs of different code are compared: source hash {'s' * 16} in 11 runs" in first
    assert f"{'f' * 16} in 1 run (gppo-u4/seed0)" in first


def test_runs_that_were_reused_from_other_code_are_told(root, tmp_path):
    path = root / "clipping" / schema.PLAN_FILE
    plan = json.loads(path.read_text())
    plan["runs"][0]["other_code"] = "f" * 64
    edit_json(path, runs=plan["runs"])
    assert (
        "reused from other code than that of the plan were 1 run (clip_higher-u4/seed0)" in reported(root, tmp_path)[1]
    )


def test_a_run_of_two_codes_is_told(root, tmp_path):
    edit_json(root / "clipping" / "gppo-u4" / "seed2" / schema.STATUS_FILE, sources=["s", "t"])
    assert "begun by one code and ended by another were 1 run (gppo-u4/seed2)" in reported(root, tmp_path)[1]


def test_mixed_scorers_are_told(root, tmp_path):
    provenance(root / "clipping" / "gppo-u4" / "seed0" / schema.MANIFEST_FILE, versions={"math-verify": "0.9.0"})
    edit_json(root / "clipping" / "gppo-u4" / "seed1" / schema.MANIFEST_FILE, grading="bubblewrap")
    _, first, _ = reported(root, tmp_path)
    assert "Answers were judged by different scorers: math-verify unknown in 11 runs" in first
    assert "0.9.0 in 1 run (gppo-u4/seed0)" in first
    assert "Answers were judged by different scorers: exact answers in 11 runs" in first
    assert "bubblewrap in 1 run (gppo-u4/seed1)" in first


def test_a_baseline_that_is_absent_or_has_no_score_is_told(root, tmp_path, write_sweep):
    for seed in range(3):
        edit_json(root / "clipping" / "clip_higher-u4" / f"seed{seed}" / schema.STATUS_FILE, state="failed")
    analysis, first, _ = reported(root, tmp_path)
    assert "The baseline clip_higher has no run with a score at updates = 4: nothing is compared there" in first
    assert {row.verdict for row in analysis.versus} == {"no verdict"}
    assert "No baseline is declared" in reported(write_sweep(accuracy=LEVELS, baseline=None), tmp_path)[1]


def test_a_sweep_whose_runs_all_failed_has_a_report_without_scores(root, tmp_path):
    for path in (root / "clipping").glob(f"*/*/{schema.STATUS_FILE}"):
        edit_json(path, state="failed", exit_class="oom", reason="no memory")
    analysis, first, text = reported(root, tmp_path)
    assert "Not one of 9 runs is done, so there is no score" in first
    assert all(cell.per_seed == {} for cell in analysis.cells.values())
    assert text.count("failed: oom: no memory") >= 9


def test_a_sweep_of_which_no_run_can_be_read_is_one_clear_line(root, monkeypatch, capsys):
    for path in (root / "clipping").glob(f"*/*/{schema.STATUS_FILE}"):
        path.write_text("{")
    monkeypatch.setattr(sys, "argv", ["reports", "clipping", "--runs", str(root)])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    out = capsys.readouterr()
    assert stopped.value.code == 2
    assert out.err.startswith(f"error: {root}/clipping/clip_higher-u4/seed0/status.json cannot be read")
    assert (out.err.count("\n"), out.out) == (1, "")
    with pytest.raises(RunStoreError):
        load_sweep(root, "clipping")


def test_a_start_that_cannot_be_read_leaves_scores_and_takes_the_gains(root, tmp_path):
    (root / schema.SFT_STORE_DIR / "k1" / schema.EVAL_FILE).write_bytes(b"x")
    analysis, first, _ = reported(root, tmp_path)
    assert "The supervised start, seed 1, cannot be read" in first
    cell = analysis.cells["u4", "gppo"]
    assert (cell.score.n, cell.gain.n) == (3, 2)


def test_the_command_prints_what_to_know(root, monkeypatch, capsys):
    provenance(root / "clipping" / "gppo-u4" / "seed0" / schema.MANIFEST_FILE, source_hash="f" * 64)
    monkeypatch.setattr(sys, "argv", ["reports", "clipping", "--runs", str(root)])
    command.main()
    assert "warning: Runs of different code are compared" in capsys.readouterr().out


def test_warnings_are_about_whole_sweeps_without_their_runs_order(root):
    provenance(root / "clipping" / "gppo-u4" / "seed0" / schema.MANIFEST_FILE, source_hash="f" * 64)
    data = load_sweep(root, "clipping")
    turned = dataclasses.replace(data, runs=data.runs[::-1])
    assert len(warnings(data)) == len(warnings(turned)) == 1


def test_operating_points_that_are_tasks_may_be_judged_otherwise(write_sweep):
    root = write_sweep()
    for run in store.read_plan(root / "clipping").runs:
        if run.point == "u16":
            home = root / "clipping" / run.folder
            store.write_json(
                home / schema.MANIFEST_FILE, dataclasses.replace(store.read_manifest(home), grading="in a sandbox")
            )
    assert [line for line in warnings(load_sweep(root, "clipping")) if "scorers" in line] == []
