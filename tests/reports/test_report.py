"""What a report says about a sweep whose truth is known, recomputed here from the stored rows."""

import json
import math
import re
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats as scipy_stats

from klear_core.errors import RunStoreError
from klear_core.runs import schema, store
from reports import __main__ as command
from reports import drawing
from reports import report as report_module
from reports.analysis import analyse
from reports.load import load_sweep
from reports.report import write_report
from reports.tables import leaders, result_table, verdict_table

DRAW = report_module.write_figures


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """Drawing takes seconds and changes no number; the test of the figures turns it on again."""
    monkeypatch.setattr(report_module, "write_figures", lambda data, analysis, folder: [])


def load(root):
    data = load_sweep(root, "clipping")
    return data, analyse(data)


def scores_by_hand(root, treatment, point):
    """Seed -> avg@4, straight from the files."""
    found = {}
    for folder in sorted((root / "clipping" / f"{treatment}-{point}").glob("seed*")):
        rows = pq.read_table(folder / schema.EVAL_FILE).to_pylist()
        hits = [r["correct"] for r in rows if (r["split"], r["decoding"], r["step"]) == ("test", "t1.0", 12)]
        found[int(folder.name[4:])] = sum(hits) / len(hits)
    return found


def test_every_number_of_the_verdict_table_can_be_recomputed_from_the_rows(write_sweep):
    root = write_sweep(seeds=4)
    _, analysis = load(root)
    p_values = {}
    for row in analysis.versus:
        ours, theirs = (scores_by_hand(root, t, row.point) for t in (row.treatment, "clip_higher"))
        differences = [ours[seed] - theirs[seed] for seed in sorted(ours)]
        expected = scipy_stats.ttest_1samp(differences, 0.0)
        low, high = expected.confidence_interval(0.95)
        assert row.comparison.difference.value == pytest.approx(sum(differences) / 4)
        assert row.comparison.difference.low == pytest.approx(low)
        assert row.comparison.difference.high == pytest.approx(high)
        p_values[row.point, row.treatment] = expected.pvalue
    # Holm runs over both points and all arms together.
    ordered = sorted(p_values, key=p_values.get)
    largest = 0.0
    for rank, key in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * p_values[key]))
        (row,) = [r for r in analysis.versus if (r.point, r.treatment) == key]
        assert row.adjusted_p == pytest.approx(largest)


def test_clear_differences_are_resolved_at_their_point_and_points_are_not_pooled(write_sweep):
    data, analysis = load(write_sweep(seeds=5))
    verdicts = {(row.point, row.treatment): row.verdict for row in analysis.versus}
    assert verdicts["u4", "gppo"] == "better"
    assert verdicts["u16", "gppo"] == "worse"
    assert verdicts["u4", "cispo"] == verdicts["u16", "cispo"] == "not resolved"
    assert {row.point for row in analysis.versus} == {"u4", "u16"}
    for point in ("u4", "u16"):
        rows = result_table(data, analysis, point).raw
        assert set(rows["point"]) == {point}
        assert list(rows["treatment"]) == ["clip_higher", "gppo", "cispo"]


def test_the_best_is_bold_only_when_it_beats_the_next(write_sweep):
    data, analysis = load(write_sweep(seeds=5))
    assert leaders([analysis.cells["u4", t] for t in data.plan.treatments]) == {"gppo": "best"}
    marks = leaders([analysis.cells["u16", t] for t in data.plan.treatments])
    assert set(marks) == {"clip_higher", "cispo"}
    assert set(marks.values()) == {"tied"}
    assert "**gppo**" in result_table(data, analysis, "u4").markdown()
    assert "**" not in result_table(data, analysis, "u16").markdown()


def test_collapsed_runs_are_counted_and_explained(write_sweep, tmp_path):
    data, analysis = load(write_sweep())
    assert analysis.cells["u16", "gppo"].collapsed == 3
    assert analysis.cells["u4", "gppo"].collapsed == 0
    text = write_report(data, tmp_path / "out").read_text()
    assert "3 of 3" in text
    assert "gppo-u16 seed 0, no variance within groups for 10 steps" in text


def test_one_seed_gives_no_verdict(write_sweep, tmp_path):
    data, analysis = load(write_sweep(seeds=1))
    assert {row.verdict for row in analysis.versus} == {"no verdict"}
    assert "no training-variance estimate" in verdict_table(analysis, "u4").markdown()
    assert leaders([analysis.cells["u4", t] for t in data.plan.treatments]) == {}
    text = write_report(data, tmp_path / "out").read_text()
    assert (
        "better"
        not in text.split("## What clipping did")[0]
        .replace("which clipping objective learns better", "")
        .split("## In short")[1]
        .split("Neither")[0]
    )


def test_objectives_are_not_ranked_when_next_to_no_token_left_the_band(write_sweep, tmp_path):
    data, analysis = load(write_sweep(seeds=5, band=0.0005))
    assert set(analysis.unranked) == {"u4", "u16"}
    assert set(verdict_table(analysis, "u4").raw["verdict"]) == {"not ranked"}
    assert "**" not in result_table(data, analysis, "u4").markdown()
    text = write_report(data, tmp_path / "out").read_text()
    assert "are not ranked: at most 0.050% of response tokens left the reference band" in text
    assert load(write_sweep(band=0.001))[1].unranked == {}


def test_a_failed_and_a_missing_run_lower_n_and_are_listed_with_the_reason(write_sweep, tmp_path):
    root = write_sweep(fail=("gppo-u4", 1), reason="diverged | <b>badly</b>", skip=("cispo-u16", 2))
    data, analysis = load(root)
    assert analysis.cells["u4", "gppo"].score.n == 2
    assert analysis.cells["u16", "cispo"].score.n == 2
    (row,) = [r for r in analysis.versus if (r.point, r.treatment) == ("u4", "gppo")]
    assert row.seeds == (0, 2)
    text = write_report(data, tmp_path / "out").read_text()
    failures = text.split("## What failed, and why")[1]
    assert "gppo-u4, seed 1: failed: diverged" in failures
    assert (analysis.cells["u4", "gppo"].diverged, analysis.cells["u4", "cispo"].diverged) == (1, 0)
    assert "Diverged runs: gppo 1 of 3." in text
    assert "<b>" not in text
    assert "cispo-u16, seed 2: not started" in failures
    assert "2 of 3" in text


def test_a_cell_without_any_run_is_a_dash_with_its_reason(write_sweep):
    data, analysis = load(write_sweep(seeds=1, fail=("gppo-u4", 0)))
    table = result_table(data, analysis, "u4")
    (row,) = [row for row in table.rows if row[0].startswith("gppo")]
    assert row[1] == "—"
    assert any("gppo-u4: seed 0: failed: diverged: at step 2" in note for note in table.notes)


def test_without_a_baseline_levels_are_shown_and_nothing_is_compared(write_sweep, tmp_path):
    data, analysis = load(write_sweep(baseline=None))
    assert analysis.versus == []
    text = write_report(data, tmp_path / "out").read_text()
    assert "nothing is compared" in text
    assert "avg@4 [95 % t interval]" in text


def test_a_conclusion_that_changes_with_the_decoding_is_flagged(write_sweep, tmp_path):
    from tests.reports.conftest import ACCURACY

    flipped = ACCURACY | {("gppo", "u4"): 0.02}
    data, _ = load(write_sweep(seeds=5, greedy=flipped))
    text = write_report(data, tmp_path / "out").read_text()
    flagged = text.split("**The conclusion changes with the decoding**: ")[1].split("\n")[0]
    assert re.search("gppo-u4 is better under t1.0 and (worse|not resolved) under greedy", flagged)
    same, _ = load(write_sweep(seeds=1))
    assert "no verdict that could change" in write_report(same, tmp_path / "same").read_text()


def test_the_opening_says_what_the_result_is_not(write_sweep, tmp_path):
    data, _ = load(write_sweep())
    text = write_report(data, tmp_path / "out").read_text()
    for line in (
        "Neither operating point is tuned per arm",
        "Mechanism check, not a reproduction",
        "Floor: 0.200, always answering 0",
        "Minimum detectable effect",
        "8.0 times as high",
    ):
        assert line in text, line


def test_figures_and_tables_are_beside_the_report_and_the_same_rows_give_the_same_bytes(
    write_sweep, tmp_path, monkeypatch
):
    monkeypatch.setattr(report_module, "write_figures", DRAW)
    data, _ = load(write_sweep())
    out = tmp_path / "out"
    text = write_report(data, out).read_text()
    monkeypatch.setattr(drawing, "MANY_RUNS", 1)  # and drawn in two processes
    again = write_report(data, tmp_path / "again").parent
    for path in out.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    for name in ("results.png", "curves.png", "cost_curves.png", "corners.png", "weights.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (out / name).with_suffix(".svg").read_text()
        assert f"]({name})" in text
    for name in re.findall(r"`([\w-]+\.csv)`", text):
        assert len(pd.read_csv(out / name)) > 0
        assert (out / name).with_suffix(".tex").read_text().count("\\midrule") == 1
    assert (out / "report.html").read_text().count("data:image/svg+xml") == len(list(out.glob("*.svg")))
    assert json.loads((out / "report.json").read_text()) == report_module.report_record(data, analyse(data))
    assert (out / "verdicts-u4.csv").exists()
    assert (out / "verdicts-u16.csv").exists()


def test_runs_from_different_commits_are_flagged(write_sweep, tmp_path):
    data, _ = load(write_sweep(commits=("abc", "def")))
    assert "RUNS DISAGREE: abc, clean tree; def, clean tree" in write_report(data, tmp_path / "out").read_text()


def test_gains_are_paired_with_the_supervised_start_of_their_seed(write_sweep):
    root = write_sweep()
    _, analysis = load(root)
    gains = []
    for seed, score in scores_by_hand(root, "cispo", "u4").items():
        rows = pq.read_table(root / schema.SFT_STORE_DIR / f"k{seed}" / schema.EVAL_FILE).to_pylist()
        start = [r["correct"] for r in rows if r["split"] == "test"]
        gains.append(score - sum(start) / len(start))
    assert analysis.cells["u4", "cispo"].gain.value == pytest.approx(sum(gains) / len(gains))


def test_the_command_prints_the_table_and_the_path(write_sweep, monkeypatch, capsys):
    root = write_sweep()
    monkeypatch.setattr(sys, "argv", ["reports", "clipping", "--runs", str(root)])
    command.main()
    out = capsys.readouterr().out
    assert "updates = 16" in out
    assert "clip_higher" in out
    assert out.strip().splitlines()[-1].startswith("report: ")


def test_an_unknown_sweep_and_a_broken_plan_exit_with_2_and_one_line(write_sweep, monkeypatch, capsys):
    root = write_sweep()
    for name, message in (("cliping", "found: clipping"), ("broken", "not a plan of this version")):
        (root / "broken").mkdir(exist_ok=True)
        (root / "broken" / schema.PLAN_FILE).write_text("{}" if name == "broken" else '{"x": 1}')
        if name == "cliping":
            (root / "broken" / schema.PLAN_FILE).unlink()
        monkeypatch.setattr(sys, "argv", ["reports", name, "--runs", str(root)])
        with pytest.raises(SystemExit) as stopped:
            command.main()
        errors = capsys.readouterr().err
        assert stopped.value.code == 2
        assert message in errors
        assert errors.count("\n") == 1


def test_a_torn_last_step_does_not_stop_the_report(write_sweep, tmp_path):
    root = write_sweep()
    path = root / "clipping" / "gppo-u4" / "seed0" / schema.STEPS_FILE
    path.write_text(path.read_text() + '{"step": 13, "rew')
    data, _ = load(root)
    assert len(data.at("u4", "gppo")[0].steps) == 12
    with pytest.raises(RunStoreError):
        store.read_table(tmp_path / "nothing.parquet")
    assert not math.isnan(data.at("u4", "gppo")[0].steps["entropy"].mean())
