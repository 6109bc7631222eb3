"""One command runs every sweep, tells what that takes first, and ends with the document."""

import dataclasses

import pytest

from ablations import paper
from klear_core.errors import ConfigError

NAMES = ("clipping", "controls")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Two real sweeps, planned once, as composing them is what takes time here."""
    root = tmp_path_factory.mktemp("paper") / "runs"
    return {name: paper._plan(name, ["scale=smoke", f"launch.runs_dir={root}"]) for name in NAMES}


@pytest.fixture
def ran(monkeypatch, planned):
    """Names of the sweeps in the order that they were run in; nothing is trained or measured."""
    names = []
    monkeypatch.setattr(paper, "sweeps", lambda: [{"name": name} for name in NAMES])
    monkeypatch.setattr(paper, "_plan", lambda name, overrides: planned[name])
    monkeypatch.setattr(paper, "run_sweep", lambda configs: names.append(configs[0].sweep.name) or 0)
    monkeypatch.setattr(paper, "_write_document", lambda first: names.append("document") or 0)
    return names


@pytest.fixture
def measured(monkeypatch):
    """The groups of operating points that were measured together."""
    from ablations.probe import Measured

    groups = []

    def measure(points, *, processes):
        groups.append(sorted(points))
        return Measured(
            sft_update_s=0.01,
            rollout_s=0.1,
            tokens_per_s=1000.0,
            response_tokens=20.0,
            train_s=dict.fromkeys(points, 0.5),
            startup_s=1.0,
            peak_mb=100.0,
        )

    monkeypatch.setattr(paper, "measure", measure)
    return groups


def test_controls_come_first_and_the_document_last(ran, measured, capsys):
    assert paper.run_paper([]) == 0
    assert ran == ["controls", "clipping", "document"]
    told = capsys.readouterr().out
    assert "2 sweeps, 14 runs to do, about " in told
    assert told.index("controls") < told.index("clipping")


def test_sweeps_of_one_model_and_task_are_measured_together(ran, measured):
    paper.run_paper([])
    assert measured == [["clipping/u4", "controls/"]]


def test_a_supervised_start_that_two_sweeps_share_counts_once(planned):
    counted = set()
    first = paper._not_counted(planned["controls"], counted)
    second = paper._not_counted(planned["clipping"], counted)
    assert [start.action for start in first] == ["new"]
    assert [start.action for start in second] == ["reuse"]


def test_a_dry_run_starts_nothing(ran, measured, planned, monkeypatch, capsys):
    dry = {
        name: dataclasses.replace(one, configs=[dataclasses.replace(config, dry_run=True) for config in one.configs])
        for name, one in planned.items()
    }
    monkeypatch.setattr(paper, "_plan", lambda name, overrides: dry[name])
    assert paper.run_paper([]) == 0
    assert ran == []
    assert "dry run: nothing was started or written" in capsys.readouterr().out


def test_a_failed_sweep_stops_no_other_and_an_interrupted_one_stops_all(ran, measured, monkeypatch):
    codes = iter([1, 0])
    monkeypatch.setattr(paper, "run_sweep", lambda configs: ran.append(configs[0].sweep.name) or next(codes))
    assert paper.run_paper([]) == 1
    assert ran == ["controls", "clipping", "document"]
    ran.clear()
    monkeypatch.setattr(paper, "run_sweep", lambda configs: ran.append(configs[0].sweep.name) or 130)
    assert paper.run_paper([]) == 130
    assert ran == ["controls"]


@pytest.mark.parametrize("override", ["sweep.name=x", "seed=1", "+sweep=clipping", "objective=gppo", "stage=sft"])
def test_what_belongs_to_one_sweep_is_refused(override):
    with pytest.raises(ConfigError, match="belongs to one sweep"):
        paper.run_paper([override])
