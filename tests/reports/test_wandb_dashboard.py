"""The W&B workspace and report of a sweep: built without a network, on what the sink sets."""

import dataclasses
import json

import pytest

from ablations import mirror
from klear_core.errors import HarnessError
from reports.dashboard_panels import STEP, sections
from reports.load import load_sweep
from reports.panels import colour

pytest.importorskip("wandb_workspaces", reason="needs pip install -e '.[dashboards]'")

from reports import wandb_dashboard

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture
def data(planned_sweep):
    return load_sweep(planned_sweep, "clipping")


def specify(data, **given):
    return wandb_dashboard.specification(wandb_dashboard.build(data, **({"entity": "e", "project": "p"} | given)))


def grids(spec):
    return [block["metadata"] for block in spec["report"]["spec"]["blocks"] if block["type"] == "panel-grid"]


def headings(spec, level):
    blocks = [b for b in spec["report"]["spec"]["blocks"] if b["type"] == "heading" and b["level"] == level]
    return [block["children"][0]["text"] for block in blocks]


def workspace_sections(spec):
    return spec["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]


def workspace_runs(spec):
    (runset,) = spec["workspace"]["spec"]["section"]["runSets"]
    return runset


def filters(runset):
    """Key of a filter -> operator and value; all of them must hold."""
    assert all(item.get("connector", "AND") == "AND" for item in runset["filters"]["filters"])
    return {item["key"]["name"]: (item["op"], item["value"]) for item in runset["filters"]["filters"]}


def keys_of(panels):
    return [(panel["config"]["xAxis"], panel["config"]["metrics"]) for panel in panels]


def test_workspace_and_report_hold_every_section_with_every_panel(data):
    spec, expected = specify(data), sections(data)
    shown = [[(panel.x, [panel.y]) for panel in section.panels] for section in expected]
    assert [section["name"] for section in workspace_sections(spec)] == [section.name for section in expected]
    assert [keys_of(section["panels"]) for section in workspace_sections(spec)] == shown
    assert headings(spec, 1) == [section.name for section in expected]
    assert headings(spec, 2) == ["updates = 4", "updates = 16"] * len(expected)
    drawn = [keys_of(grid["panelBankSectionConfig"]["panels"]) for grid in grids(spec)]
    assert drawn == [panels for panels in shown for _ in data.plan.points]


def test_the_step_axis_is_the_step_that_the_sink_logs_under(data):
    for section in workspace_sections(specify(data))[:-1]:
        assert {panel["config"]["xAxis"] for panel in section["panels"]} == {STEP}


def test_runs_are_chosen_by_the_group_and_ids_that_the_sink_sets(data, make_config, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(mirror, "WandbSink", lambda **given: opened.append(given))
    config = make_config("sweep.name=clipping")
    common = {"mode": "offline", "finish_timeout_s": 1.0, "folder": tmp_path, "stage": "rl"}
    for run in data.plan.runs:
        mirror.open_mirror(config, arm=run.arm, run_id=run.run_id, **common)
    spec = specify(data)
    everything = {"group": ("=", opened[0]["group"]), "name": ("IN", [given["run_id"] for given in opened])}
    assert filters(workspace_runs(spec)) == everything
    (level,) = workspace_runs(spec)["grouping"]
    name = level["name"].removesuffix(".value")
    assert (level["section"], [given["config"][name] for given in opened]) == (
        "config",
        [r.arm for r in data.plan.runs],
    )


def test_a_grid_of_the_report_holds_the_runs_of_its_operating_point(data):
    points = [point for _ in sections(data) for point in data.plan.points]
    for grid, point in zip(grids(specify(data)), points, strict=True):
        (runset,) = grid["runSets"]
        assert filters(runset)["name"] == ("IN", [run.run_id for run in data.plan.runs if run.point == point])
        assert runset["name"] == data.told(point)
        assert runset["grouping"] == [{"section": "config", "name": "arm.value"}]
        # A project of its own would have to be looked up; without one the run set is of the report's.
        assert "project" not in runset


def test_an_arm_has_the_colour_of_its_figures_in_workspace_and_report(data):
    spec = specify(data)
    shades = spec["workspace"]["spec"]["section"]["customRunColors"]
    arms = {run.arm: colour(data, run.treatment) for run in data.plan.runs}
    assert len(shades) == len(arms)
    for arm, shade in arms.items():
        assert [value for key, value in shades.items() if f"%22{arm}%22" in key] == [shade]
    for grid in grids(spec):
        (runset,) = grid["runSets"]
        for key, shade in grid["customRunColors"].items():
            assert shade == arms[key.removeprefix(f"{runset['id']}-config:arm.value:")]


def test_lines_are_means_and_ranges_over_seeds_unsmoothed_with_every_arm(data):
    spec = specify(data)
    whole = [panel for section in workspace_sections(spec) for panel in section["panels"]]
    parts = [panel for grid in grids(spec) for panel in grid["panelBankSectionConfig"]["panels"]]
    assert {panel["config"]["limit"] for panel in whole} == {6}
    assert {panel["config"]["limit"] for panel in parts} == {3}
    for panel in whole + parts:
        config = panel["config"]
        assert (config["groupAgg"], config["groupArea"], config["smoothingType"]) == ("mean", "minmax", "none")


def test_panels_of_a_grid_do_not_overlap(data):
    for grid in grids(specify(data)):
        places = [(p["layout"]["x"], p["layout"]["y"]) for p in grid["panelBankSectionConfig"]["panels"]]
        assert len(set(places)) == len(places)
        assert all(x in (0, 8, 16) and y % 6 == 0 for x, y in places)


def test_two_builds_give_one_specification_and_every_view_ids_of_its_own(data):
    first, second = json.dumps(specify(data)), json.dumps(specify(data))
    assert first == second
    ids = [panel["__id__"] for grid in grids(specify(data)) for panel in grid["panelBankSectionConfig"]["panels"]]
    ids += [runset["id"] for grid in grids(specify(data)) for runset in grid["runSets"]]
    assert len(set(ids)) == len(ids)


def test_a_supervised_sweep_has_its_own_sections(data):
    plan = dataclasses.replace(data.plan, stage="sft")
    assert headings(specify(dataclasses.replace(data, plan=plan)), 1) == ["Loss", "Evaluation", "Cost"]


@pytest.mark.parametrize(
    "name", ["a'b", 'a"b\\', "a=b", "x<1>y", "a] or Metric('State') != 'x", "é😀", "a within_last 5 days"]
)
def test_a_name_is_never_read_as_a_filter_and_arrives_as_it_is(data, name):
    runs = [dataclasses.replace(run, run_id=f"{name}-{k}") for k, run in enumerate(data.plan.runs)]
    spec = specify(
        dataclasses.replace(data, plan=dataclasses.replace(data.plan, sweep=name, title=name * 60, runs=runs))
    )
    assert filters(workspace_runs(spec)) == {"group": ("=", name), "name": ("IN", [run.run_id for run in runs])}
    assert len(spec["report"]["title"]) <= 128
    assert spec["workspace"]["name"]


def test_a_refusal_of_the_service_names_the_view_and_the_reason(data, monkeypatch):
    dashboard = wandb_dashboard.build(data, entity="e", project="p")
    saved = []
    monkeypatch.setattr(type(dashboard.workspace), "save", lambda view: saved.append(view))
    monkeypatch.setattr(type(dashboard.workspace), "url", "https://x/e/p?nw=1")

    def refuse(view):
        raise RuntimeError("permission denied")

    monkeypatch.setattr(type(dashboard.report), "save", refuse)
    lines = wandb_dashboard.save(dashboard)
    assert next(lines) == "workspace: https://x/e/p?nw=1"
    with pytest.raises(HarnessError, match="did not save the report: RuntimeError: permission denied"):
        next(lines)
    assert saved == [dashboard.workspace]
