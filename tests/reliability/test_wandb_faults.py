"""A W&B that hangs, refuses, dies or has no disk costs a run no time: real processes, a real loopback server."""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = {"mode": "online", "rows": 40, "duration_s": 1.0, "finish_timeout_s": 20.0, "patient": False}
DEFAULTS |= {"answered": True, "fault": "", "init_timeout_s": 0, "file_limit": 0, "texts": False, "ends": "by itself"}

# A run: rows at equal times, a fault after three quarters of them, and at the end what each call took.
RUN = """
import json, logging, os, resource, signal, sys, time, urllib.request
from pathlib import Path
from klear_core.runs import wandb_sink
case = json.loads(sys.argv[1])
logging.basicConfig(level=logging.WARNING, format="%(message)s")
if case["file_limit"]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (case["file_limit"], case["file_limit"]))
if case["init_timeout_s"]:
    wandb_sink._INIT_TIMEOUT_S = case["init_timeout_s"]
took_s = {}
def timed(name, call, /, *args, **kwargs):
    start = time.perf_counter()
    result = call(*args, **kwargs)
    took_s.setdefault(name, []).append(time.perf_counter() - start)
    return result
sink = timed("constructor", wandb_sink.WandbSink, mode=case["mode"], project="p", folder=Path.cwd(), run_id="r",
             name="n", group="g", job_type="rl", config={"seed": 0}, finish_timeout_s=case["finish_timeout_s"],
             patient=case["patient"])
for step in range(1, case["rows"] + 1):
    timed("log", sink.log, {"step": step} | {f"metric_{k}": step + k / 7 for k in range(45)}, step=step)
    time.sleep(case["duration_s"] / case["rows"])
    if step == case["rows"] * 3 // 4:
        while sink._service is None:
            time.sleep(0.01)
        service = sink._service.pid
        print(service, flush=True)
        if case["answered"]:
            sink._accepted.wait()
        if case["fault"] == "switch":
            urllib.request.urlopen(os.environ["WANDB_BASE_URL"] + "/switch").close()
        elif case["fault"]:
            os.kill(service, getattr(signal, case["fault"]))
if case["texts"]:
    timed("log", sink.log_texts, [{"prompt": "a", "reward": 1.0}], step=case["rows"])
timed("log", sink.summarize, {"test/correct": 0.5})
if case["ends"] == "never":
    time.sleep(60)
timed("finish", sink.finish, failed=False)
print(json.dumps({"took_s": took_s, "problem": sink.problem, "end": time.time()}), flush=True)
if case["ends"] == "by _exit":
    os._exit(0)
"""


class Answers(BaseHTTPRequestHandler):
    """As much of W&B as lets a run start; after a request for /switch the server turns to its second behaviour."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        behaviour = self.server.behaviours[self.server.switched.is_set()]
        if behaviour == "hang":
            self.server.over.wait()
        elif behaviour == "500" or (behaviour == "404" and "file_stream" in self.path):
            self.answer({}, int(behaviour))
        else:
            self.answer({"data": self.data(json.loads(body)) if self.path == "/graphql" else {}})

    do_PUT = do_POST

    def do_GET(self):
        self.server.switched.set()
        self.answer({})

    def answer(self, content, status=200):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def data(self, request):
        if "mutation UpsertBucket" in request["query"]:
            project = {"id": "UDox", "name": "p", "entity": {"id": "RTox", "name": "e"}}
            return {"upsertBucket": {"bucket": {"id": "UjE=", "name": "r", "project": project}, "inserted": True}}
        if "mutation CreateRunFiles" in request["query"]:
            url = f"http://127.0.0.1:{self.server.server_port}/file"
            files = [{"name": name, "uploadUrl": url} for name in request["variables"]["files"]]
            return {"createRunFiles": {"runID": "UjE=", "uploadHeaders": [], "files": files}}
        return {}


@contextmanager
def server(first, second):
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as serving:
        serving.behaviours, serving.switched, serving.over = (first, second), Event(), Event()
        serving.handle_error = lambda *_: None  # a client that is killed breaks its connection
        thread = Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield serving.server_port
        finally:
            serving.over.set()
            serving.shutdown()
            thread.join()


@contextmanager
def refused():
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


SILENT = {"server": partial(server, "hang", "hang"), "answered": False}
LATER = {"fault": "switch", "finish_timeout_s": 2.0}
FULL = {"mode": "offline", "file_limit": 20_000}
CASES = {
    "healthy": {"mode": "offline", "texts": True},
    "healthy replay": {"mode": "offline", "rows": 3000, "duration_s": 0.0, "patient": True},
    "healthy online": {"server": partial(server, "ok", "ok")},
    "hangs": SILENT | {"texts": True},
    "hangs, run ends by _exit": SILENT | {"ends": "by _exit"},
    "answers 500": {"server": partial(server, "500", "500"), "answered": False},
    "refuses": {"server": refused, "answered": False},
    "gives up to start": {"server": partial(server, "500", "500"), "init_timeout_s": 0.8},
    "hangs later": LATER | {"server": partial(server, "ok", "hang")},
    "hangs later, with a table": LATER | {"server": partial(server, "ok", "hang"), "texts": True},
    "answers 404 to rows later": {"server": partial(server, "ok", "404"), "fault": "switch"},
    "service killed": {"mode": "offline", "fault": "SIGKILL"},
    "service stopped": {"mode": "offline", "fault": "SIGSTOP", "finish_timeout_s": 2.0},
    "disk full": FULL,
    "disk full at once": FULL | {"file_limit": 50},
    "run killed": {"mode": "offline", "ends": "never"},
    "run killed, server hangs": SILENT | {"ends": "never"},
}
KILLED = [name for name in CASES if name.startswith("run killed")]
FAULTS = [name for name in CASES if name not in KILLED and not name.startswith("healthy")]


def is_alive(pid):
    """Whether a process runs; one that only waits to be reaped does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(shown.stdout.strip()) and not shown.stdout.strip().startswith("Z")


def wait_for_end(pid):
    """The time at which the process ended, or 5 s later than now."""
    start = time.monotonic()
    while is_alive(pid) and time.monotonic() - start < 5:
        time.sleep(0.05)
    return time.time()


def play(case, folder):
    """Start the run of a case, wait for its end, and collect what it said."""
    folder.mkdir()
    settings = DEFAULTS | {name: value for name, value in case.items() if name != "server"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    own = {"NETRC": os.devnull, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "WANDB_API_KEY": "a" * 40}
    own |= {"WANDB_CONFIG_DIR": str(folder / "config"), "WANDB_CACHE_DIR": str(folder / "cache")}
    with ExitStack() as stack:
        if "server" in case:
            own["WANDB_BASE_URL"] = f"http://127.0.0.1:{stack.enter_context(case['server']())}"
        command = [sys.executable, "-c", RUN, json.dumps(settings)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=folder, env=kept | own, **pipes) as run:
            service = run.stdout.readline()
            killed = time.time()
            if settings["ends"] == "never":
                run.kill()
            output, errors = run.communicate(timeout=60)
        end = time.time()
        result = json.loads(output) if output else {"end": killed}
        said = {"settings": settings, "folder": folder, "result": result, "code": run.returncode, "errors": errors}
        service_end = wait_for_end(int(service)) if service else end
        return said | {"exit_s": end - result["end"], "outlived_s": service_end - result["end"]}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """All cases, a few at a time: most of their time is sleep."""
    root = tmp_path_factory.mktemp("wandb")
    with ThreadPoolExecutor(6) as pool:
        runs = {name: pool.submit(play, case, root / re.sub(r"\W+", "_", name)) for name, case in CASES.items()}
        return {name: run.result() for name, run in runs.items()}


@pytest.mark.parametrize("name", [*FAULTS, "healthy", "healthy online"])
def test_no_call_waits_and_the_run_ends_by_itself(played, name):
    run = played[name]
    assert run["code"] == 0, run["errors"]
    calls_s = run["result"]["took_s"]["log"]
    assert statistics.median(calls_s) < 1e-3
    # The processes of this test share few cores, so that one call or another is interrupted.
    assert statistics.quantiles(calls_s, n=10)[-1] < 0.02
    assert max(calls_s + run["result"]["took_s"]["constructor"]) < 0.7
    # At most a second for the thread to see that it was left.
    assert run["result"]["took_s"]["finish"][0] < run["settings"]["finish_timeout_s"] + 1.5
    assert run["exit_s"] < 5
    assert run["outlived_s"] < 5


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_said_in_one_line_and_kept_without_a_path(played, name):
    run = played[name]
    assert run["result"]["problem"], run["errors"]
    assert "/" not in run["result"]["problem"].replace("W&B", "")
    assert run["errors"].count("\n") == 1, run["errors"]
    assert run["errors"].startswith("W&B mirror incomplete: ")
    assert "`ablations sync --from-ledger` rebuilds it" in run["errors"]


@pytest.mark.parametrize("name", ["hangs", "hangs, run ends by _exit", "answers 500", "refuses"])
def test_a_server_that_never_accepted_the_run_is_not_waited_for(played, name):
    assert played[name]["result"]["took_s"]["finish"][0] < 1
    assert "records did not reach wandb" in played[name]["result"]["problem"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gives up to start", "wandb failed at the start"),
        ("hangs later", "wandb failed at the end: TimeoutError"),
        ("hangs later, with a table", "W&B had not finished after 2 s"),
        ("answers 404 to rows later", "the server refused rows"),
        ("service stopped", "W&B had not finished after 2 s"),
        ("disk full", "the offline file breaks off"),
    ],
)
def test_the_reason_is_named(played, name, reason):
    assert played[name]["result"]["problem"].startswith(reason)


@pytest.mark.parametrize("name", KILLED)
def test_the_service_does_not_outlive_a_run_that_is_killed(played, name):
    assert played[name]["code"] == -9
    assert played[name]["outlived_s"] < 2


@pytest.mark.parametrize("name", ["healthy", "healthy replay", "healthy online"])
def test_a_healthy_mirror_is_silent(played, name):
    assert (played[name]["result"]["problem"], played[name]["errors"]) == ("", "")


@pytest.mark.parametrize(("name", "texts"), [("healthy", True), ("healthy replay", False)])
def test_a_healthy_offline_run_has_every_row_under_our_step_numbers(played, name, texts):
    (offline,) = (played[name]["folder"] / "wandb").glob("offline-run-*")
    inspected = subprocess.run(
        [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(offline)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    records = [json.loads(line) for line in inspected.stdout.splitlines()]
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    count = played[name]["settings"]["rows"]
    assert [row["_step"] for row in rows] == list(range(1, count + 1))
    for row in rows:
        assert all(row[f"metric_{k}"] == row["_step"] + k / 7 for k in range(45))
    assert [row["_step"] for row in rows if "rollouts" in row or "rollouts._type" in row] == [count] * texts
    assert "test/correct" in inspected.stdout
