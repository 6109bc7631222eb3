"""The W&B workspace and report of a sweep: built without a network, on what the sink sets, and sent as written."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ablations import mirror
from klear_core.errors import ConfigError, HarnessError
from klear_core.runs import schema, store
from reports import __main__ as reports_main
from reports.commands import dashboard as command
from reports.dashboard_panels import STEP, sections
from reports.load import load_sweep
from reports.panels import colour

pytest.importorskip("wandb_workspaces", reason="needs pip install -e '.[dashboards]'")

from reports import wandb_dashboard

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """Nothing of this file may look up a host or connect, nor know an account of the machine."""

    def refuse(*_, **__):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("WANDB_API_KEY", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))


@pytest.fixture
def data(tmp_path):
    """A sweep that is planned and not started: two arms at two operating points, two seeds."""
    runs = [
        schema.PlannedRun(
            arm=f"{name}-{point}",
            treatment=name,
            point=point,
            seed=seed,
            folder=f"{name}-{point}/seed{seed}",
            run_id=f"clipping-{name}-{point}-s{seed}-0a1b",
            sft="",
        )
        for point in ("u4", "u16")
        for name in ("clip_higher", "gppo")
        for seed in (0, 1)
    ]
    plan = schema.Plan(
        sweep="clipping",
        title="A planned sweep",
        stage="rl",
        baseline="clip_higher",
        primary=schema.PrimaryMetric(metric="avg@4", split="test", decoding="t1.0", step=12),
        treatments={"clip_higher": "objective clip_higher", "gppo": "objective gppo"},
        points={"u4": "updates = 4", "u16": "updates = 16"},
        fixed={},
        floors={},
        runs=runs,
        command="python -m ablations.run +sweep=clipping",
        created="2026-01-01T00:00:00Z",
    )
    store.write_json(tmp_path / "runs" / "clipping" / schema.PLAN_FILE, plan)
    return load_sweep(tmp_path / "runs", "clipping")


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
    assert {panel["config"]["limit"] for panel in whole} == {4}
    assert {panel["config"]["limit"] for panel in parts} == {2}
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


def test_without_save_the_specification_is_written_and_nothing_sent(data, tmp_path, capsys):
    runs = str(data.folder.parent)
    assert command.main(["clipping", "--runs", runs, "--project", "p", "--entity", "e"]) == 0
    path = data.folder / "report" / "dashboard.json"
    assert str(path) in capsys.readouterr().out
    assert json.loads(path.read_text()) == specify(data)
    assert command.main(["clipping", "--runs", runs, "--project", "p", "--out", str(tmp_path / "d.json")]) == 0
    assert json.loads((tmp_path / "d.json").read_text()) == specify(data, entity="")


def test_the_project_is_the_one_that_the_runs_were_logged_to(data, tmp_path):
    arguments = ["clipping", "--runs", str(data.folder.parent), "--out", str(tmp_path / "d.json")]
    with pytest.raises(ConfigError, match="give --project"):
        command.main(arguments)
    store.write_text(data.folder / data.plan.runs[0].folder / schema.CONFIG_FILE, "wandb: {project: mine}\n")
    assert command.main(arguments) == 0
    assert json.loads((tmp_path / "d.json").read_text())["project"] == "mine"


def refusal(monkeypatch, capsys, *arguments):
    """The one line and the exit code of ``python -m reports dashboard``."""
    monkeypatch.setattr(sys, "argv", ["reports", "dashboard", *arguments])
    with pytest.raises(SystemExit) as stopped:
        reports_main.main()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told, stopped.value.code


def test_saving_without_a_key_or_an_entity_is_refused_in_one_line(data, monkeypatch, capsys):
    arguments = ("clipping", "--runs", str(data.folder.parent), "--project", "p", "--save")
    told, code = refusal(monkeypatch, capsys, *arguments)
    assert (code, "WANDB_API_KEY" in told) == (2, True)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    told, code = refusal(monkeypatch, capsys, *arguments)
    assert (code, "--entity" in told) == (2, True)


def test_without_the_library_the_line_says_how_to_install_it(data, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "reports.wandb_dashboard")
    monkeypatch.delattr("reports.wandb_dashboard")
    for name in [name for name in sys.modules if name.split(".")[0] == "wandb_workspaces"]:
        monkeypatch.setitem(sys.modules, name, None)
    told, code = refusal(monkeypatch, capsys, "clipping", "--runs", str(data.folder.parent), "--project", "p")
    assert (code, "pip install -e '.[dashboards]'" in told) == (2, True)


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


class Service(BaseHTTPRequestHandler):
    """As much of W&B as saves a view."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        variables = request.get("variables") or {}
        found = {
            "id": "x",
            "name": "p",
            "entityName": "e",
            "createdAt": "2026-01-01",
            "isBenchmark": False,
            "user": None,
        }
        page = {"endCursor": "c", "hasNextPage": False}
        answer = {
            "viewer": {"id": "u", "entity": "e", "username": "u", "flags": "{}", "teams": {"edges": []}},
            "models": {"edges": [{"node": found, "cursor": "c"}], "pageInfo": page},
        }
        if "upsertView" in request["query"]:
            self.server.saved.append(variables)
            kept = {key: variables[key] for key in ("displayName", "type", "description", "spec")}
            view = {"id": "Vmlldzox", "name": "v", "project": {"id": "x", "name": "p", "entityName": "e"}, **kept}
            answer = {"upsertView": {"view": view, "inserted": True}}
        body = json.dumps({"data": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def service():
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as serving:
        serving.saved = []
        thread = Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield serving
        finally:
            serving.shutdown()
            thread.join()


@pytest.mark.slow
def test_what_is_saved_is_what_the_json_shows(data, tmp_path):
    own = {"WANDB_API_KEY": "a" * 40, "NETRC": os.devnull, "WANDB_ERROR_REPORTING": "false", "WANDB_DIR": str(tmp_path)}
    own |= {f"WANDB_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "CACHE")}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    words = ["dashboard", "clipping", "--runs", str(data.folder.parent), "--entity", "e", "--project", "p", "--save"]
    with service() as serving:
        own |= {"WANDB_BASE_URL": f"http://127.0.0.1:{serving.server_port}", "PYTHONPATH": path}
        command = [sys.executable, "-m", "reports", *words]
        done = subprocess.run(command, env=kept | own, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["workspace", "report"]
    workspace, report = serving.saved
    spec = specify(data)
    assert (workspace["entityName"], workspace["projectName"], workspace["type"]) == ("e", "p", "project-view")
    assert json.loads(workspace["spec"]) == spec["workspace"]["spec"]
    assert (report["displayName"], report["type"]) == (spec["report"]["title"], "runs")
    assert json.loads(report["spec"]) == spec["report"]["spec"]
