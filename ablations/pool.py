"""Child processes side by side: starting them, watching their limits, classing their ends, trying again."""

import dataclasses
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, context, forkserver, get_context
from threading import Event

from ablations import child, exits
from ablations.board import Board
from ablations.job import Job, Outcome
from ablations.ledger import Ledger
from klear_core.errors import RunStoreError
from klear_core.runs import folders, provenance, schema, store

_TERMINATE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a sweep tries again and when it gives up."""

    retries: int
    max_failures: int | None
    fail_fast: bool
    time_limit_s: float | None


@dataclass(slots=True, kw_only=True)
class _Child:
    job: Job
    process: context.ForkServerProcess
    pipe: connection.Connection
    owner: schema.Owner
    attempt: int
    started: float
    oom_kills: int
    outcome: Outcome | None = None  # what it said itself
    ended_by_us: Outcome | None = None


@dataclass(slots=True, kw_only=True)
class Tried:
    """What became of the jobs: the failed ones with their reasons, and those that were not tried."""

    failed: list[tuple[Job, Outcome]] = field(default_factory=list)
    not_started: list[tuple[Job, str]] = field(default_factory=list)


class Pool:
    """Runs jobs side by side; an RL run waits for the SFT checkpoint of its seed."""

    def __init__(self, jobs: Sequence[Job], board: Board, ledger: Ledger, *, slots: int, limits: Limits) -> None:
        self._waiting = list(jobs)
        self._pending_sft = {job.sft for job in jobs if job.stage == "sft"}
        self._children: list[_Child] = []
        self._retries: dict[str, int] = {}
        self._tried = Tried()
        self._board = board
        self._ledger = ledger
        self._slots = slots
        self._limits = limits
        self._context = fork_server()

    def run(self, stop: Event) -> Tried:
        """Run everything until ``stop`` is set or the limits say so; ``stop_children`` has to follow."""
        while (self._waiting or self._children) and not stop.is_set():
            if (reason := self._given_up()) and self._waiting:
                self._drop([*self._waiting], reason)
            if reason and self._limits.fail_fast:
                break
            self._start_ready()
            handles = [handle for each in self._children for handle in (each.pipe, each.process.sentinel)]
            connection.wait(handles, timeout=0.5)
            for each in list(self._children):
                self._drain(each)
                self._watch_time(each)
                if not each.process.is_alive():
                    self._drain(each)
                    self._finish(each)
            self._board.refresh()
        return self._tried

    def stop_children(self, reason: str) -> None:
        """End the children that still run, and say so in their statuses."""
        for each in self._children:
            each.process.terminate()
        for each in self._children:
            _end(each.process)
            outcome = Outcome(exit_class="killed", reason=reason)
            self._close(each, outcome, state="interrupted")
        self._children.clear()

    def _given_up(self) -> str:
        failures = len(self._tried.failed)
        if failures and self._limits.fail_fast:
            return "fail_fast: another run failed"
        if self._limits.max_failures is not None and failures >= self._limits.max_failures:
            return f"max_failures: {failures} runs failed before"
        return ""

    def _start_ready(self) -> None:
        for job in list(self._waiting):
            if len(self._children) >= self._slots:
                return
            if job.stage != "sft" and job.sft in self._pending_sft:
                continue
            self._waiting.remove(job)
            self._start(job)

    def _start(self, job: Job) -> None:
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=child.main, args=(job, sender), daemon=True)
        process.start()
        sender.close()
        assert process.pid is not None
        prior = _status_of(job)
        started = _Child(
            job=job,
            process=process,
            pipe=receiver,
            owner=folders.owner_of(process.pid),
            attempt=1 if prior is None else prior.attempt + 1,
            started=time.monotonic(),
            oom_kills=exits.oom_kills(),
        )
        self._children.append(started)
        self._ledger.run_started(job, attempt=started.attempt, pid=process.pid)
        self._board.started(job)

    def _drain(self, each: _Child) -> None:
        while each.pipe.poll():
            try:
                message = each.pipe.recv()
            except (EOFError, OSError):
                return
            if isinstance(message, Outcome):
                each.outcome = message
            else:
                self._board.progress(each.job, message)

    def _watch_time(self, each: _Child) -> None:
        limit = self._limits.time_limit_s
        if limit is not None and each.ended_by_us is None and time.monotonic() - each.started > limit:
            reason = f"passed launch.time_limit_s = {limit:g} seconds"
            each.ended_by_us = Outcome(exit_class="killed", reason=reason)
            each.process.terminate()
            _end(each.process)

    def _finish(self, each: _Child) -> None:
        self._children.remove(each)
        job, outcome = each.job, self._outcome(each)
        self._close(each, outcome, state="failed")
        failed = outcome.exit_class != "ok"
        if failed and outcome.exit_class in exits.RETRIED:
            tried = self._retries.get(job.run_id, 0)
            if tried < self._limits.retries:
                self._retries[job.run_id] = tried + 1
                self._board.retried(job, outcome.told)
                self._waiting.insert(0, job)
                return
        if failed:
            self._tried.failed.append((job, outcome))
        if job.stage == "sft":
            self._release(job, outcome)
        self._board.ended(job, outcome.told)

    def _outcome(self, each: _Child) -> Outcome:
        each.process.join()
        each.pipe.close()
        if each.outcome is not None and each.outcome.exit_class == "ok":
            return each.outcome
        if (known := each.ended_by_us or each.outcome) is not None:
            return known
        assert each.process.exitcode is not None
        return exits.of_exit_code(each.process.exitcode, oom_kills=exits.oom_kills() - each.oom_kills)

    def _close(self, each: _Child, outcome: Outcome, *, state: str) -> None:
        """Write the end of an attempt that could not do so itself; a disk that refuses is told, and loses nothing."""
        wall_s = time.monotonic() - each.started
        self._ledger.run_ended(each.job, attempt=each.attempt, outcome=outcome, wall_s=wall_s)
        try:
            _close_status(each, outcome, state=state, wall_s=wall_s)
        except RunStoreError as error:
            self._board.say(f"the status of {each.job.folder} could not be written: {error}")

    def _release(self, sft: Job, outcome: Outcome) -> None:
        """Let the runs of an SFT checkpoint start, or leave them out with its reason."""
        self._pending_sft.discard(sft.sft)
        if outcome.told:
            blocked = [job for job in self._waiting if job.sft == sft.sft]
            self._drop(blocked, f"its supervised start {sft.folder} failed: {outcome.told}")

    def _drop(self, jobs: Sequence[Job], reason: str) -> None:
        for job in jobs:
            self._waiting.remove(job)
            self._ledger.run_not_started(job, reason)
            if job.stage != "sft":
                self._tried.not_started.append((job, reason))
            self._board.ended(job, reason)


def fork_server() -> context.ForkServerContext:
    """The server that has done the imports, which cost seconds, and run nothing; children are forked from it."""
    os.environ.update(child.ENVIRONMENT)
    os.environ.setdefault(child.OFFLINE, "1")
    server = get_context("forkserver")
    server.set_forkserver_preload(["ablations.server"])
    return server


def start_fork_server() -> None:
    """Have the server begin its imports now, while the plan is still being checked."""
    fork_server()
    forkserver.ensure_running()


def _end(process: context.ForkServerProcess) -> None:
    process.join(timeout=_TERMINATE_S)
    if process.is_alive():
        process.kill()
        process.join()


def _status_of(job: Job) -> schema.Status | None:
    try:
        return store.read_status(job.folder)
    except RunStoreError:
        return None


def _close_status(each: _Child, outcome: Outcome, *, state: str, wall_s: float) -> None:
    status = _status_of(each.job)
    if status is not None and (status.state == "done" or (status.owner == each.owner and status.state != "running")):
        return
    if status is None or status.owner != each.owner:
        status = schema.Status(
            run_id=each.job.run_id,
            identity=each.job.identity,
            state="running",
            attempt=each.attempt,
            exit_class="",
            reason="",
            owner=each.owner,
            started=provenance.utc_now(),
            ended="",
            wall_s=0.0 if status is None else status.wall_s,
            sources=[each.job.source] if status is None else status.sources,
        )
    ended = dataclasses.replace(
        status,
        state=state,
        exit_class=outcome.exit_class,
        reason=outcome.reason,
        ended=provenance.utc_now(),
        wall_s=round(status.wall_s + wall_s, 3),
    )
    store.write_json(each.job.folder / schema.STATUS_FILE, ended)
