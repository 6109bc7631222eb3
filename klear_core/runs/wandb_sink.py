"""The W&B mirror of a run. The run folder is the truth: whatever goes wrong here is said once and costs a run nothing.

All of wandb runs in one daemon thread that a queue feeds, because a server, a disk or wandb's service process may block
any of its calls. The thread also ends the service process: wandb would do so at the exit of the interpreter, in a hook
that waits for a server as long as it takes.
"""

import json
import logging
import netrc
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import wandb
from wandb.util import get_core_path

_log = logging.getLogger(__name__)

_QUEUE_RECORDS = 2048  # more than a run logs while W&B may take to start; some 10 MB of rows at most
_SERVICE_TIMEOUT_S = 20.0  # the service process is local: it is there in less, or never
_INIT_TIMEOUT_S = 30.0  # a server that has not accepted the run by then is given up
_REQUEST_TIMEOUT_S = 15.0  # after that a request to a server that does not answer is made again
_PAUSE_S = 0.25  # between batches of records
_UNANSWERED_S = 0.5  # what the end of a run waits for a server that has not accepted the run until then
_KILLED_S = 1.0  # what the thread gets to notice that its service process was killed
_WANDB_SHARE = 0.8  # of the time at the end: wandb gives up by itself then, and its files are whole


@dataclass(frozen=True, slots=True, kw_only=True)
class WandbMode:
    """Resolved mode and the reason for it, for the line that is printed before a sweep starts."""

    mode: str  # online | offline | disabled
    reason: str


def resolve_mode(explicit: str | None) -> WandbMode:
    """Explicit setting, else WANDB_MODE, else online when an API key is present, else offline; never a login prompt."""
    if explicit is not None:
        return WandbMode(mode=explicit, reason="wandb.mode")
    from_environment = os.environ.get("WANDB_MODE", "")
    if from_environment in ("online", "offline", "disabled"):
        return WandbMode(mode=from_environment, reason="WANDB_MODE")
    if os.environ.get("WANDB_API_KEY") or key_in_netrc():
        return WandbMode(mode="online", reason="an API key is present")
    return WandbMode(mode="offline", reason="no API key")


def key_in_netrc() -> bool:
    """Whether an earlier ``wandb login`` left a key; asking wandb itself would warn, or prompt."""
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class WandbSink:
    """Mirrors one run; a process has one open at a time. Whatever W&B does, no method raises and only ``finish`` waits.

    A record that finds the queue full is dropped. ``patient`` makes it wait for a place instead: a replay has the time.
    """

    def __init__(
        self,
        *,
        mode: str,
        project: str,
        folder: Path,
        run_id: str,
        name: str,
        group: str,
        job_type: str,
        config: Mapping[str, Any],
        finish_timeout_s: float,
        patient: bool = False,
    ) -> None:
        """``config`` holds sweep, arm and seed as keys of their own, because W&B cannot group by tag."""
        self._mode = mode
        self._what: dict[str, Any] = {"project": project, "dir": str(folder), "id": run_id, "name": name}
        self._what |= {"group": group, "job_type": job_type, "config": dict(config)}
        self._finish_timeout_s = finish_timeout_s
        self._patient = patient
        self._records: queue.Queue[Callable[[Any], object] | None] = queue.Queue(_QUEUE_RECORDS)
        self._given = self._mirrored = self._exit_code = 0
        self._reason, self._reason_lock = "", threading.Lock()
        self._service: subprocess.Popen[bytes] | None = None
        self._accepted = threading.Event()  # by W&B, or refused for good
        self._abandoned = threading.Event()  # by the run, which goes its way
        self._ended = threading.Event()  # the thread's work
        self._closed = threading.Event()  # for records; from the start if disabled
        if mode == "disabled":
            self._closed.set()
        else:
            threading.Thread(target=self._mirror, name="wandb-mirror", daemon=True).start()

    @property
    def problem(self) -> str:
        """Why the mirror lacks something, for the run's records; empty if it lacks nothing. Final after ``finish``."""
        missing = self._given - self._mirrored
        count = f"; {missing} of {self._given} records did not reach wandb" if missing else ""
        return self._reason and self._reason + count

    def log(self, row: Mapping[str, Any], *, step: int) -> None:
        """Mirror one row at an explicit step."""
        # The time of the row, not of the thread that comes to it later.
        values = {"_timestamp": time.time()} | {key: value for key, value in row.items() if key != "step"}
        self._put(lambda run: run.log(values, step=step))

    def log_texts(self, rows: list[Mapping[str, Any]], *, step: int) -> None:
        """Mirror sampled texts as a table."""
        if not rows:
            return
        columns = list(rows[0])
        data = [[row[name] for name in columns] for row in rows]
        self._put(lambda run: run.log({"rollouts": wandb.Table(columns=columns, data=data)}, step=step))

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Write final values into the run's summary."""
        final = dict(values)
        self._put(lambda run: run.summary.update(final))

    def finish(self, *, failed: bool) -> None:
        """Close the mirror within ``finish_timeout_s``, and at once if its server has not even accepted the run."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._exit_code = int(failed)
        end = time.monotonic() + self._finish_timeout_s
        is_local = self._mode == "offline"
        wait_s = self._finish_timeout_s if is_local or self._patient else min(_UNANSWERED_S, self._finish_timeout_s)
        if not self._accepted.wait(wait_s):
            self._abandon("W&B has not answered since the start of the run")
        elif not self._put_end(end) or not self._ended.wait(max(0.0, end - time.monotonic())):
            self._abandon(f"W&B had not finished after {self._finish_timeout_s:g} s")

    def _put(self, record: Callable[[Any], object]) -> None:
        if self._closed.is_set():
            return
        self._given += 1
        if self._ended.is_set():
            return
        try:
            self._records.put(record, block=self._patient, timeout=self._finish_timeout_s)
        except queue.Full:
            self._report(f"W&B lags by {_QUEUE_RECORDS} records, and more are dropped until it catches up")

    def _put_end(self, end: float) -> bool:
        try:
            self._records.put(None, timeout=max(0.0, end - time.monotonic()))
        except queue.Full:
            return False
        return True

    def _abandon(self, reason: str) -> None:
        """Leave the thread, which is inside a call of wandb, and take the service process away from it."""
        self._report(reason)
        self._abandoned.set()
        self._put_end(0.0)  # should the thread come out and find nothing to do
        if self._service is not None:
            self._service.kill()
            self._ended.wait(_KILLED_S)

    def _report_error(self, place: str, error: Exception) -> None:
        # Messages hold paths and hosts, which do not belong into a run's records.
        cause = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        self._report(f"wandb failed at {place}: {cause}", detail=f"({type(error).__name__}: {error})")

    def _report(self, reason: str, *, detail: str = "") -> None:
        """Keep the first reason, and say it in the only line that a sink ever logs."""
        with self._reason_lock:
            if self._reason:
                return
            self._reason = reason
        text = " ".join(f"{reason} {detail}".split())
        _log.warning("W&B mirror incomplete: %s; `ablations sync --from-ledger` rebuilds it from the run folder", text)

    def _mirror(self) -> None:
        """Everything that the thread does."""
        run = self._open()
        self._accepted.set()
        if run is None:
            self._end_service(kill=True)
        else:
            self._feed(run)
            self._close(run)
        self._ended.set()
        while not self._records.empty():  # frees a patient caller that waits for a place
            self._records.get()

    def _open(self) -> Any:
        """The W&B run, or None."""
        # A run that resumes goes on with its mirror; offline, each attempt writes a folder with the same id. A rebuild
        # starts anew under the id: a server that resumes would drop every row before the last step that it has.
        resume = "allow" if self._mode == "online" and not self._patient else None
        try:
            self._service = _start_service(self._mode)
            if self._abandoned.is_set():
                return None
            settings = _settings(self._finish_timeout_s * _WANDB_SHARE)
            return wandb.init(mode=self._mode, resume=resume, settings=settings, **self._what)  # type: ignore[arg-type]
        except Exception as error:
            self._report_error("the start", error)
            return None

    def _feed(self, run: Any) -> None:
        while (record := self._records.get()) is not None and not self._abandoned.is_set():
            try:
                record(run)
            except Exception as error:
                self._report_error("a record", error)
            else:
                self._mirrored += 1
            # Rows in batches wake three threads and a process less often: a third less CPU.
            if self._records.empty():
                self._closed.wait(_PAUSE_S)

    def _close(self, run: Any) -> None:
        try:
            run.finish(exit_code=self._exit_code)
        except Exception as error:
            self._report_error("the end", error)
            self._end_service(kill=True)
            return
        self._end_service(kill=False)
        try:
            lost = _lost(Path(run.dir).parent, offline=self._mode == "offline")
        except Exception as error:
            self._report_error("a look at the result", error)
        else:
            if lost:
                self._report(lost)

    def _end_service(self, *, kill: bool) -> None:
        if kill and self._service is not None:
            self._service.kill()
        # It complains when its process is gone, and passes a failure of that on as an exit.
        with suppress(Exception, SystemExit):
            wandb.teardown(self._exit_code)
        if self._service is not None:
            self._service.wait()


def _start_service(mode: str) -> subprocess.Popen[bytes]:
    """A wandb-core process for this sink alone, which nothing waits for at the exit of the interpreter."""
    # Telemetry would register another hook at exit that waits for the server.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    # The service of a parent process is not ours to end.
    os.environ.pop("WANDB_SERVICE", None)
    # Its errors reach this file as exceptions; logged to a file on a full disk they would fill the terminal.
    logging.getLogger("wandb").setLevel(logging.CRITICAL)
    setup = wandb.setup(wandb.Settings(mode=mode, silent=True, x_service_wait=_SERVICE_TIMEOUT_S))
    connection = setup.ensure_service()
    connection._cleanup()  # takes back the hook at exit
    process: subprocess.Popen[bytes] = connection._proc._process
    return process


def _settings(finish_timeout_s: float) -> wandb.Settings:
    return wandb.Settings(
        # Rows survive a kill: at most the last second is lost, and the batch.
        x_transaction_log_flush_interval=1,
        save_code=False,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        console="off",
        host="",
        silent=True,
        # Otherwise a run that is still open in this process would be handed out a second time.
        reinit="create_new",
        init_timeout=_INIT_TIMEOUT_S,
        # How often a request is made again stays wandb's choice: an outage in the middle of a run heals.
        x_graphql_timeout_seconds=_REQUEST_TIMEOUT_S,
        x_file_stream_timeout_seconds=_REQUEST_TIMEOUT_S,
        finish_timeout=finish_timeout_s,
        finish_timeout_raises=True,
    )


def _lost(folder: Path, *, offline: bool) -> str:
    """What the finished run in ``folder`` lost without an exception, as far as can be known: wandb does not say it."""
    if not offline:
        return "the server refused rows" if b"fatal error" in (folder / "logs/debug-internal.log").read_bytes() else ""
    (file,) = folder.glob("*.wandb")
    command = [get_core_path(), "leet", "inspect", "--summary", "--json", "--no-observability", "--run-file", str(file)]
    done = subprocess.run([*command, str(folder.parent)], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0 or json.loads(done.stdout)["exit_code"] is None:
        return "the offline file breaks off, as on a full disk"
    return ""
