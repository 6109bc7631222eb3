import threading
import time

import pytest
import wandb

from klear_core.runs import wandb_sink
from klear_core.runs.wandb_sink import WandbSink, resolve_mode


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_the_mode_is_explicit_then_environment_then_key_then_offline(no_account, monkeypatch, tmp_path):
    assert resolve_mode(None).mode == "offline"
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    assert resolve_mode(None).mode == "online"
    (tmp_path / "netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert resolve_mode(None).mode == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode(None).mode == "disabled"
    assert resolve_mode("offline").mode == "offline"


class Recorder:
    """A run that keeps what it is given; ``held`` blocks it like a service that does not take a row."""

    def __init__(self, folder):
        self.dir = str(folder / "files")
        self.calls, self.held, self.entered = [], threading.Event(), threading.Event()
        self.held.set()
        self.summary = self

    def log(self, values, *, step):
        self.entered.set()
        self.held.wait()
        self.calls.append((step, values))

    def update(self, values):
        self.calls.append(("summary", values))

    def finish(self, *, exit_code):
        self.calls.append(("finish", exit_code))


class Broken:
    """A run whose every use fails."""

    def __getattr__(self, name):
        raise RuntimeError(f"no {name}")


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Open a sink on a run, or on a function that makes one, without a service process."""
    monkeypatch.setattr(wandb_sink, "_start_service", lambda mode: None)
    monkeypatch.setattr(wandb_sink, "_lost", lambda folder, offline: "")

    def start_sink(run, *, mode="offline", **changes):
        monkeypatch.setattr(wandb, "init", run if callable(run) else lambda **_: run)
        settings = {"finish_timeout_s": 10.0, "patient": False, "group": "g", "job_type": "rl", "config": {"seed": 0}}
        return WandbSink(mode=mode, project="p", folder=tmp_path, run_id="r", name="n", **(settings | changes))

    return start_sink


def fail(error):
    raise error


def test_no_failure_of_wandb_reaches_the_run(start, caplog):
    sink = start(lambda **_: fail(OSError(28, "No space left on device", "/home/someone/wandb")))
    sink.log({"a": 1}, step=1)
    sink.finish(failed=False)
    assert "/home/someone/wandb" in caplog.text
    assert sink.problem == "wandb failed at the start: No space left on device; 1 of 1 records did not reach wandb"
    for use in (
        lambda s: s.log({"a": 1}, step=1),
        lambda s: s.log_texts([{"a": "b"}], step=1),
        lambda s: s.summarize({"a": 1}),
        lambda s: s.finish(failed=False),
    ):
        sink = start(Broken())
        use(sink)
        sink.log({"a": 2}, step=2)
        sink.finish(failed=True)
        sink.finish(failed=True)
        assert "RuntimeError" in sink.problem
    assert caplog.text.count("W&B mirror incomplete") == 5


def test_one_bad_row_costs_no_other(start, tmp_path):
    run = Recorder(tmp_path)
    sink = start(run)
    sink.log({"a": 1}, step=1)
    sink._put(lambda _: fail(TypeError("not a number")))
    sink.log({"a": 3}, step=3)
    sink.finish(failed=False)
    assert [step for step, _ in run.calls] == [1, 3, "finish"]
    assert sink.problem == "wandb failed at a record: TypeError; 1 of 3 records did not reach wandb"


def test_rows_arrive_in_order_with_their_step_and_their_own_time(start, tmp_path):
    run = Recorder(tmp_path)
    sink = start(run)
    before = time.time()
    row = {"step": 1, "a": 0.5}
    sink.log(row, step=1)
    row["a"] = 9.0  # the trainer may go on with its row
    sink.log_texts([{"prompt": "x", "reward": 1.0}], step=1)
    sink.log_texts([], step=1)
    sink.summarize({"b": 2.0})
    after = time.time()
    sink.finish(failed=True)
    (step, values), (text_step, texts), *rest = run.calls
    assert before <= values.pop("_timestamp") <= after
    assert (step, values, text_step) == (1, {"a": 0.5}, 1)
    assert (texts["rollouts"].columns, texts["rollouts"].data) == (["prompt", "reward"], [["x", 1.0]])
    assert rest == [("summary", {"b": 2.0}), ("finish", 1)]
    assert sink.problem == ""
    sink.log({"a": 1}, step=2)
    assert len(run.calls) == 4


def test_a_start_that_hangs_delays_nothing(start, tmp_path, caplog):
    release = threading.Event()
    began = time.perf_counter()
    sink = start(lambda **_: release.wait() and Recorder(tmp_path), mode="online")
    for step in range(100):
        sink.log({"a": 1}, step=step)
    assert time.perf_counter() - began < 0.2
    sink.finish(failed=False)
    assert time.perf_counter() - began < 1.5
    release.set()
    assert sink._ended.wait(5)
    assert "has not answered" in sink.problem
    assert "100 of 100 records" in sink.problem
    assert caplog.text.count("W&B mirror incomplete") == 1


def test_a_full_queue_drops_and_says_so_once(start, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(wandb_sink, "_QUEUE_RECORDS", 4)
    run = Recorder(tmp_path)
    run.held.clear()
    sink = start(run)
    sink.log({"a": 0}, step=0)
    assert run.entered.wait(5)
    for step in range(1, 8):
        sink.log({"a": step}, step=step)
    run.held.set()
    sink.finish(failed=False)
    assert [step for step, _ in run.calls] == [0, 1, 2, 3, 4, "finish"]
    assert "lags by 4 records" in sink.problem
    assert sink.problem.endswith("; 3 of 8 records did not reach wandb")
    assert caplog.text.count("W&B mirror incomplete") == 1


def test_a_patient_sink_waits_for_a_place_and_loses_nothing(start, tmp_path, monkeypatch):
    monkeypatch.setattr(wandb_sink, "_QUEUE_RECORDS", 4)
    run = Recorder(tmp_path)
    run.held.clear()
    sink = start(run, patient=True)
    threading.Timer(0.3, run.held.set).start()
    began = time.perf_counter()
    for step in range(8):
        sink.log({"a": step}, step=step)
    assert time.perf_counter() - began > 0.2
    sink.finish(failed=False)
    assert [step for step, _ in run.calls] == [*range(8), "finish"]
    assert sink.problem == ""


def test_a_patient_sink_does_not_wait_for_a_mirror_that_is_dead(start, monkeypatch):
    monkeypatch.setattr(wandb_sink, "_QUEUE_RECORDS", 4)
    release = threading.Event()
    sink = start(lambda **_: release.wait() and fail(RuntimeError("refused")), patient=True)
    threading.Timer(0.3, release.set).start()
    began = time.perf_counter()
    for step in range(8):
        sink.log({"a": step}, step=step)
    sink.finish(failed=False)
    assert 0.2 < time.perf_counter() - began < 5
    assert sink.problem == "wandb failed at the start: RuntimeError; 8 of 8 records did not reach wandb"


def test_only_a_run_of_a_server_is_resumed(start, tmp_path):
    asked = []
    for mode, patient in (("online", False), ("offline", False), ("online", True)):
        sink = start(lambda **given: asked.append(given) or Recorder(tmp_path), mode=mode, patient=patient)
        sink._accepted.wait(5)
        sink.finish(failed=False)
    assert [given["resume"] for given in asked] == ["allow", None, None]
    assert {(given["id"], given["group"], given["job_type"]) for given in asked} == {("r", "g", "rl")}


def test_a_disabled_sink_starts_nothing(start):
    before = threading.active_count()
    sink = start(lambda **_: fail(AssertionError("started")), mode="disabled")
    assert threading.active_count() == before
    sink.log({"a": 1}, step=1)
    sink.finish(failed=False)
    assert sink.problem == ""
