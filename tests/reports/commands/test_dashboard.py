"""The command that writes a dashboard or saves it: what it writes is what a service is sent; refusals are one line."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from klear_core.errors import ConfigError
from klear_core.runs import schema, store
from reports import __main__ as reports_main
from reports.commands import dashboard as command
from reports.load import load_sweep

pytest.importorskip("wandb_workspaces", reason="needs pip install -e '.[dashboards]'")

from reports import wandb_dashboard

ROOT = Path(__file__).resolve().parents[3]


pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture
def data(planned_sweep):
    return load_sweep(planned_sweep, "clipping")


def specify(data, **given):
    return wandb_dashboard.specification(wandb_dashboard.build(data, **({"entity": "e", "project": "p"} | given)))


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
