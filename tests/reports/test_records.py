"""Rows of earlier code, which lack fields that came later, are read as they were written."""

import pytest

from klear_core.runs import schema
from klear_core.runs.log import RecordLog, read_log
from reports import report as report_module
from reports.commands import check
from reports.load import load_sweep
from reports.records import load_records
from reports.report import write_report
from tests.reports.conftest import ACCURACY


def write(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / schema.STEPS_FILE).unlink(missing_ok=True)
    with RecordLog(folder / schema.STEPS_FILE) as log:
        for row in rows:
            log.append(row)


def row(step, *, without=()):
    return {name: 0.5 for name in schema.STEP_FIELDS if name not in without} | {"step": step}


def test_a_field_that_came_later_may_be_missing_and_no_other(tmp_path):
    write(tmp_path / "old", [row(1, without=schema.LATER_STEP_FIELDS)])
    write(tmp_path / "new", [row(1)])
    write(tmp_path / "both", [row(1, without=schema.LATER_STEP_FIELDS), row(2)])
    write(tmp_path / "other", [row(1, without=("entropy",))])
    folders = [tmp_path / name for name in ("old", "new", "both", "other")]
    old, new, both, other = load_records(folders, ["rl"] * 4)
    assert [found.unreadable for found in (old, new, both)] == ["", "", ""]
    assert "rows of another version, without entropy" in other.unreadable
    for name in schema.LATER_STEP_FIELDS:
        assert name not in old.steps
        assert new.steps[name].tolist() == [0.5]
        assert both.steps[name].isna().tolist() == [True, False]
    assert both.steps["step"].tolist() == [1, 2]


@pytest.fixture
def earlier_sweep(write_sweep):
    """A sweep whose rows are those of earlier code."""
    root = write_sweep(accuracy={key: value for key, value in ACCURACY.items() if key[1] == "u4"}, seeds=2)
    for path in (root / "clipping").glob(f"*/*/{schema.STEPS_FILE}"):
        rows = list(read_log(path))
        write(path.parent, [{k: v for k, v in one.items() if k not in schema.LATER_STEP_FIELDS} for one in rows])
    return root


def test_a_sweep_of_earlier_rows_has_the_report_it_had(earlier_sweep, monkeypatch, capsys):
    monkeypatch.setattr(report_module, "write_figures", lambda data, analysis, folder: [])
    data = load_sweep(earlier_sweep, "clipping")
    assert not any(run.broken for run in data.runs)
    folder = earlier_sweep / "clipping" / schema.REPORT_DIR
    write_report(data, folder)
    assert not any("sampler_kl" in path.read_text() for path in folder.glob("*.csv"))
    assert "sampler_gap_max" in (folder / "training-u4.csv").read_text()
    assert check.main([str(earlier_sweep), "clipping"]) == 0
    assert "all the same" in capsys.readouterr().out
