"""``python -m reports check`` finds any number of a stored report that its stored rows do not give."""

import dataclasses
import sys

import pyarrow.parquet as pq
import pytest

from klear_core.runs import schema, store
from reports import __main__ as command
from reports import analysis
from reports import report as report_module
from reports.compared import count_numbers
from reports.load import load_sweep
from reports.recount import recount
from reports.report import write_report
from reports.stats import ALL_EQUAL, mean_interval
from tests.reports.conftest import ACCURACY

LEVELS = {key: value for key, value in ACCURACY.items() if key[1] == "u4"}


ARMS = [treatment for treatment, _ in LEVELS]


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    monkeypatch.setattr(report_module, "write_figures", lambda data, analysis, folder: [])


@pytest.fixture
def root(write_sweep):
    """A sweep of three arms with its report."""
    runs = write_sweep(accuracy=LEVELS, fail=("cispo-u4", 1))
    write_report(load_sweep(runs, "clipping"), runs / "clipping" / "report")
    return runs


@pytest.fixture
def check(root, monkeypatch, capsys):
    """Run the command; returns its exit code and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["reports", "check", *map(str, arguments or [root])])
        try:
            command.main()
            code = 0
        except SystemExit as ended:
            code = ended.code
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def change(path, old, new):
    """Replace the first ``old``, which must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def cells_of(path, row):
    """Names and cells of a row of a CSV table, the header being row 1."""
    lines = path.read_text().splitlines()
    return dict(zip(lines[0].split(","), lines[row - 1].split(","), strict=True))


def test_an_untouched_report_passes_and_says_how_many_numbers_were_computed_again(root, check):
    code, told = check()
    assert code == 0
    numbers = sum(
        count_numbers(path.name, path.read_text())
        for path in (root / "clipping" / "report").iterdir()
        if path.suffix in (".md", ".csv", ".tex", ".json")
    )
    assert told.startswith(f"clipping: {numbers:,} numbers in ")
    # Three rows of results: score, low, high, seeds and three seeds each; two of verdicts: five columns each.
    assert "all the same; 31 of them also by hand" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("table", "column"), [("results-u4", "score"), ("verdicts-u4", "p"), ("training-u4", "last5_entropy")]
)
def test_a_tampered_cell_of_a_table_is_found_with_its_place(root, check, table, column):
    path = root / "clipping" / "report" / f"{table}.csv"
    stored = cells_of(path, 3)[column]
    digits = list(stored)
    place = max(k for k, letter in enumerate(digits[:6]) if letter.isdigit())
    digits[place] = str((int(digits[place]) + 1) % 10)
    lines = path.read_text().splitlines()
    lines[2] = ",".join("".join(digits) if name == column else cell for name, cell in cells_of(path, 3).items())
    path.write_text("\n".join(lines) + "\n")
    code, told = check()
    assert code == 1
    assert f"clipping: {table}.csv, row 3 (u4, " in told
    assert f", {column}: stored {''.join(digits)}, recomputed {stored}\n" in told


def test_a_tampered_number_of_the_page_is_found_with_its_line(root, check):
    path = root / "clipping" / "report" / "report.md"
    change(path, "2 of 3", "3 of 3")
    code, told = check()
    assert (code, told.count("\n")) == (1, 1)
    assert "clipping: report.md, line " in told
    assert "stored 3 of 3, recomputed 2 of 3" in told


def test_a_tampered_row_is_found_by_both_ways(root, check):
    path = root / "clipping" / "gppo-u4" / "seed0" / schema.EVAL_FILE
    rows = pq.read_table(path).to_pylist()
    rows[0] |= {"correct": not rows[0]["correct"], "verdict": "WRONG" if rows[0]["correct"] else "CORRECT"}
    store.write_table(path, rows, schema.EVAL_COLUMNS)
    code, told = check()
    assert code == 1
    both = [line for line in told.splitlines() if "results-u4.csv, row 3 (u4, gppo), seed0" in line]
    assert len(both) == 2
    assert "by hand" in both[1]


def test_a_fault_of_the_pipeline_is_found_by_hand(root, check, monkeypatch):
    def with_a_fault(values):
        whole = mean_interval(values)
        return dataclasses.replace(whole, low=whole.low - 1e-6)

    monkeypatch.setattr(analysis, "mean_interval", with_a_fault)
    write_report(load_sweep(root, "clipping"), root / "clipping" / "report")
    code, told = check()
    assert code == 1
    assert [line.split(":")[1] for line in told.splitlines()] == [
        f" results-u4.csv, row {k} (u4, {arm}), low" for k, arm in enumerate(ARMS, start=2)
    ]


def test_files_that_are_missing_or_too_many_are_found(root, check):
    report = root / "clipping" / "report"
    (report / "cost-u4.csv").unlink()
    (report / "older.csv").write_text("a\n1\n")
    (report / "picture.png").write_bytes(b"")
    code, told = check()
    assert code == 1
    assert "clipping: cost-u4.csv, the file: stored missing" in told
    assert "clipping: older.csv, the file: stored there, recomputed not part of the report" in told
    assert "picture" not in told


def test_a_table_of_another_shape_is_found(root, check):
    path = root / "clipping" / "report" / "results-u4.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    code, told = check()
    assert code == 1
    assert "results-u4.csv, the table: stored 3 rows of" in told


def test_rows_that_cannot_be_read_any_more_are_a_difference_and_no_crash(root, check):
    for path in (root / "clipping").glob(f"*/*/{schema.STATUS_FILE}"):
        path.write_text("{")
    code, told = check()
    assert code == 1
    assert told.startswith("clipping: cannot be computed again: ")


def test_only_what_is_named_is_checked_and_a_report_may_lie_elsewhere(root, check, tmp_path):
    other = tmp_path / "elsewhere"
    (root / "clipping" / "report").rename(other)
    code, told = check(root)
    assert code == 2
    assert "allowed: a folder with sweeps that have a report" in told
    assert check(root, "clipping", "--report", other)[0] == 0
    code, told = check(root, "clipping")
    assert code == 2
    assert told.startswith("error: clipping has no report in ")
    assert told.count("\n") == 1
    assert check(root, "--report", other)[0] == 2


@pytest.mark.parametrize("metric", ["pass@2", "avg@3"])
def test_other_metrics_are_counted_by_hand_too(root, metric):
    plan = store.read_plan(root / "clipping")
    path = root / "clipping" / schema.PLAN_FILE
    change(path, '"avg@4"', f'"{metric}"')
    assert plan.primary.metric == "avg@4"
    write_report(load_sweep(root, "clipping"), root / "clipping" / "report")
    counted, found = recount(root / "clipping", root / "clipping" / "report")
    assert (counted, found) == (31, [])


def test_equal_differences_are_told_as_such_and_counted_again_by_hand(write_sweep):
    """Three seeds that are all wrong in one arm and all right in the other, by any draw: p is 1/4."""
    runs = write_sweep(accuracy={("clip_higher", "u4"): -1.0, ("gppo", "u4"): 2.0})
    report = write_report(load_sweep(runs, "clipping"), runs / "clipping" / "report").read_text(encoding="utf-8")
    assert f"gppo-u4: {ALL_EQUAL}." in report
    assert "Minimum detectable effect: unknown, as no differences of several seeds vary." in report
    assert "gppo +1.000" in report
    assert "| gppo" in report
    assert "not resolved" in report
    numbers, differences = recount(runs / "clipping", runs / "clipping" / "report")
    assert numbers > 0
    assert differences == []
