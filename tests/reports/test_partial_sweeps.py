"""What a report says when rows are missing, mixed up or hostile: a reason, and never a number that is not there."""

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest

from klear_core.errors import RunStoreError
from klear_core.runs import schema
from klear_core.runs.log import RecordLog, read_log
from reports import report as report_module
from reports.analysis import analyse
from reports.load import load_sweep
from reports.panels import _stack
from reports.report import write_report
from reports.tables import decoding_table, result_table, verdict_table
from reports.training_tables import cost_table, speed_table


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    monkeypatch.setattr(report_module, "write_figures", lambda data, analysis, folder: [])


def load(root, sweep="clipping"):
    data = load_sweep(root, sweep)
    return data, analyse(data)


def report(root, tmp_path):
    """The report's text with the analysis that it was written from."""
    data, analysis = load(root)
    return write_report(data, tmp_path / "out", analysis).read_text(), analysis


def edit_plan(root, change, sweep="clipping"):
    path = root / sweep / schema.PLAN_FILE
    plan = json.loads(path.read_text())
    change(plan)
    path.write_text(json.dumps(plan))


def edit_rows(root, keep, pattern="clipping/*/seed*"):
    for path in root.glob(f"{pattern}/{schema.EVAL_FILE}"):
        rows = pd.read_parquet(path)
        rows[keep(rows)].to_parquet(path)


def row_of(analysis, treatment, point="u4"):
    (row,) = [r for r in analysis.versus if (r.point, r.treatment) == (point, treatment)]
    return row


def test_a_point_that_is_not_ranked_has_no_verdict_under_any_decoding(write_sweep, tmp_path):
    root = write_sweep(seeds=5, band=0.0005)
    text, analysis = report(root, tmp_path)
    for point in ("u4", "u16"):
        assert {row.verdict for rows in analysis.by_decoding.values() for row in rows} == {"not ranked"}
        assert set(decoding_table(analysis, point).raw["verdict"]) == {"not ranked"}
    assert "no operating point is ranked" in text
    assert "conclusion changes" not in text


def test_one_update_a_rollout_ranks_no_objective(write_sweep):
    _, analysis = load(write_sweep(seeds=5, band=math.nan))
    assert set(analysis.unranked) == {"u4", "u16"}
    assert "every ratio is 1" in analysis.unranked["u4"]


def test_arms_that_share_an_objective_are_ranked_however_few_tokens_left_the_band(write_sweep):
    root = write_sweep(seeds=5, band=0.0)
    (root / "clipping").rename(root / "rates")
    edit_plan(root, lambda plan: plan.update(sweep="rates"), "rates")
    assert load(root, "rates")[1].unranked == {}
    path = root / "rates" / schema.WEIGHTS_FILE
    weights = json.loads(path.read_text())
    weights["weights"]["gppo"]["negative"] = [0, 1, 1]
    path.write_text(json.dumps(weights))
    assert set(load(root, "rates")[1].unranked) == {"u4", "u16"}


def test_fewer_samples_than_k_give_a_reason_and_not_a_smaller_k(write_sweep):
    root = write_sweep()
    edit_plan(root, lambda plan: plan["primary"].update(metric="pass@8"))
    data, analysis = load(root)
    table = result_table(data, analysis, "u4")
    assert {row[1] for row in table.rows} == {"—"}
    assert any("4 samples a question, pass@8 needs 8" in note for note in table.notes)


def test_a_run_that_answers_other_questions_has_no_score(write_sweep, tmp_path):
    root = write_sweep(seeds=4)
    edit_rows(root, lambda rows: rows["question"] < 6, "clipping/gppo-u4/seed0")
    text, analysis = report(root, tmp_path)
    assert analysis.cells["u4", "gppo"].score.n == 3
    assert row_of(analysis, "gppo").seeds == (1, 2, 3)
    assert "gppo-u4, seed 0: done, but without a score: answers only 6 of 12 questions" in text
    assert "compared on 3 of 4 seeds" in text


def test_rows_of_another_config_are_not_counted(write_sweep, tmp_path):
    root = write_sweep()
    path = root / "clipping" / "gppo-u4" / "seed0" / schema.MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"run_id": "other"}))
    text, analysis = report(root, tmp_path)
    assert analysis.cells["u4", "gppo"].score.n == 2
    assert "the folder holds run other, the plan asks for gppo-u4-0" in text


def test_an_arm_with_one_seed_is_named_in_the_answer(write_sweep, tmp_path):
    root = write_sweep(seeds=5)
    for seed in range(1, 5):
        shutil.rmtree(root / "clipping" / "gppo-u4" / f"seed{seed}")
    answer = report(root, tmp_path)[0].split("## In short")[1].split("\n- ")[1]
    assert "no verdict, fewer than two paired seeds: gppo" in answer
    assert "highest mean, gppo" not in answer


def test_no_evaluation_at_all_is_said_and_stops_nothing(write_sweep, tmp_path):
    root = write_sweep()
    for path in root.rglob(schema.EVAL_FILE):
        path.unlink()
    text, _ = report(root, tmp_path)
    assert "no seed has a score for both arms" in text
    assert "Nothing: all" not in text
    assert text.count("done, but without a score: no evaluation rows of step 12") == 18


def test_a_plan_without_any_run_is_a_report_of_what_is_missing(write_sweep, tmp_path):
    root = write_sweep()
    for folder in [*(root / "clipping").glob("*/"), root / schema.SFT_STORE_DIR]:
        shutil.rmtree(folder)
    assert report(root, tmp_path)[0].count("not started") >= 18


@pytest.mark.parametrize("name", [schema.STEPS_FILE, schema.TIMINGS_FILE])
def test_a_run_that_left_one_file_of_two_stops_nothing(write_sweep, name):
    root = write_sweep()
    (root / "clipping" / "gppo-u4" / "seed0" / name).write_text("")
    data, analysis = load(root)
    assert dict(zip(*(cost_table(data, "u4").raw[c] for c in ("treatment", "runs")), strict=True))["gppo"] == 2
    assert len(speed_table(data, analysis, "u4").rows) == 3


def test_a_metric_that_cannot_be_computed_is_one_clear_error(write_sweep):
    root = write_sweep()
    edit_plan(root, lambda plan: plan["primary"].update(metric="accuracy"))
    with pytest.raises(RunStoreError, match="'accuracy'; allowed: avg@K or pass@K"):
        load(root)


def test_a_table_of_another_version_is_a_run_without_a_score(write_sweep, tmp_path):
    root = write_sweep()
    path = root / "clipping" / "gppo-u4" / "seed0" / schema.EVAL_FILE
    pd.read_parquet(path).drop(columns="correct").to_parquet(path)
    text, analysis = report(root, tmp_path)
    assert "clipping/gppo-u4/seed0/eval.parquet lacks the columns correct" in text
    assert analysis.cells["u4", "gppo"].score.n == 2


def test_one_decoding_says_nothing_about_temperature(write_sweep, tmp_path):
    root = write_sweep(seeds=5)
    edit_rows(root, lambda rows: rows["decoding"] == "t1.0")
    text, _ = report(root, tmp_path)
    assert "Only t1.0 was evaluated" in text
    assert "No verdict changes" not in text


def test_an_interval_that_excludes_zero_but_does_not_survive_holm_is_explained(write_sweep):
    accuracy = {(t, p): 0.5 for p in ("u4", "u16") for t in ("clip_higher", "gppo", "cispo")}
    root = write_sweep(seeds=3, accuracy=accuracy)
    # Differences of seeds 0, 1, 2 near 0.25 with spread: p is about 0.03, above 0.05 after Holm over 4 comparisons.
    for seed, questions in enumerate((2, 3, 4)):
        for arm, right in (("clip_higher-u4", 0), ("gppo-u4", questions)):
            path = root / "clipping" / arm / f"seed{seed}" / schema.EVAL_FILE
            rows = pd.read_parquet(path)
            is_right = rows["question"] < right
            rows.assign(correct=is_right, verdict=is_right.map({True: "CORRECT", False: "WRONG"})).to_parquet(path)
    _, analysis = load(root)
    row = row_of(analysis, "gppo")
    assert row.comparison.p < 0.05 < row.adjusted_p
    assert row.verdict == "not resolved"
    (note,) = [n for n in verdict_table(analysis, "u4").notes if n.startswith("gppo-u4: its 95 %")]
    assert "not after Holm over the 4 comparisons" in note


def test_collapse_is_measured_against_the_start_at_temperature_one(write_sweep):
    root = write_sweep()
    for path in root.glob(f"{schema.SFT_STORE_DIR}/*/{schema.EVAL_FILE}"):
        rows = pd.read_parquet(path)
        other = rows.assign(decoding="greedy", response_tokens=2000)
        pd.concat([rows, other]).to_parquet(path)
    assert load(root)[1].cells["u4", "cispo"].collapsed == 0


def test_arms_that_met_other_problems_are_flagged(write_sweep, tmp_path):
    root = write_sweep()
    assert "the same for all arms of a seed" in report(root, tmp_path)[0]
    path = root / "clipping" / "gppo-u4" / "seed1" / schema.STEPS_FILE
    rows = [row | {"problems_hash": "y"} for row in read_log(path)]
    path.unlink()
    with RecordLog(path) as steps:
        for row in rows:
            steps.append(row)
    assert "RUNS DISAGREE: gppo-u4 and clip_higher-u4, seed 1, from step 1" in report(root, tmp_path)[0]


def test_words_of_a_plan_and_of_a_failure_cannot_leave_their_place(write_sweep, tmp_path):
    root = write_sweep(fail=("gppo-u4", 1), reason="x\\|y ![a](http://e.example/p.png) \x9b31m\u202e")
    edit_plan(root, lambda plan: plan.update(title="T <img>\n# second", points={"u4": "a|b <b>", "u16": ""}))
    text, _ = report(root, tmp_path)
    assert "x\\\\\\|y" in text
    for live in ("<img>", "<b>", "](http://e.example", "\x9b", "\u202e", "\n# second"):
        assert live not in text
    assert "## Results at u16" in text


def test_a_run_that_stopped_early_does_not_cut_the_curves_of_the_others():
    long, short = (np.array([10.0, 20, 30]), np.array([1.0, 3, 5])), (np.array([12.0]), np.array([3.0]))
    x_RT, values_RT = _stack([long, short])
    assert np.nanmean(x_RT, axis=0) == pytest.approx([11, 20, 30])
    assert np.nanmean(values_RT, axis=0) == pytest.approx([2, 3, 5])
