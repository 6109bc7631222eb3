"""A pool of verifier processes with hard deadlines: started by exec when first needed, killed and replaced at will."""

import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from klear_core.records import Verdict
from klear_core.rewards.verifier_worker import BOOTSTRAP, READY

_START_DEADLINE_S = 120.0  # imports on a busy machine; it is paid once a worker and decides no verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker is started with: the module of its judge and what it takes, and limits as in ``MathPolicy``."""

    module: str
    options: Mapping[str, int]
    cpu_limit_s: float
    deadline_s: float
    memory_limit_mib: int


class _WorkerDiedError(Exception):
    """A worker ended without an answer, or had no CPU to find one: no fault of the answer, as far as can be seen."""


class _Worker:
    """One process and its two pipes; used by one thread at a time."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        told = {
            "path": [os.path.abspath(entry) for entry in sys.path],  # noqa: PTH100 - "" is the working folder
            "module": settings.module,
            "options": dict(settings.options),
            "cpu_limit_s": settings.cpu_limit_s,
            "memory_limit_mib": settings.memory_limit_mib,
            "parent": os.getpid(),
        }
        # A session of its own: Ctrl-C on the terminal is for the parent.  A fixed hash seed: sympy's order of terms,
        # and so what a verdict costs, must not change from worker to worker.
        self._process = subprocess.Popen(
            [sys.executable, "-c", BOOTSTRAP, json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            start_new_session=True,
        )
        self._unread = b""
        self._is_ready = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, gold: str, answer: str) -> tuple[Verdict, str]:
        """Verdict and reason; TIMEOUT for an answer whose worker passes its deadline at work.

        Raises ``_WorkerDiedError`` when the process ended or got too little CPU; it is to be killed then.
        """
        if not self._is_ready:
            reply = self._read_reply(_START_DEADLINE_S)
            if reply is None or reply[0] != READY:
                raise _WorkerDiedError("a verifier process did not start")
            self._is_ready = True
        before_s = self._cpu_s()
        try:
            os.write(self._stdin(), json.dumps([gold, answer]).encode() + b"\n")
        except OSError as error:
            raise _WorkerDiedError("a verifier process ended before it got the answer") from error
        reply = self._read_reply(self._settings.deadline_s)
        if reply is not None:
            if not reply[2]:
                self.kill()
            return Verdict(reply[0]), reply[1]
        worked_s = self._cpu_s() - before_s
        self.kill()
        # A worker that a busy machine did not let run says nothing about the answer.
        if worked_s < self._settings.cpu_limit_s:
            raise _WorkerDiedError("a verifier process got too little CPU")
        return Verdict.TIMEOUT, f"no verdict within {self._settings.deadline_s:g} s"

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None and self._process.poll() is None

    def kill(self) -> None:
        """End the process and its pipes; nothing when that is done."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _stdin(self) -> int:
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def _read_reply(self, deadline_s: float) -> tuple[str, str, bool] | None:
        """The next line; None when the deadline passes first. Raises ``_WorkerDiedError`` at the end of the pipe."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        ends = time.monotonic() + deadline_s
        while b"\n" not in self._unread:
            left_s = ends - time.monotonic()
            if left_s <= 0:
                return None
            if poll.poll(left_s * 1000):
                read = os.read(descriptor, 65_536)
                if not read:
                    raise _WorkerDiedError("a verifier process ended in mid-answer")
                self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        verdict, reason, goes_on = json.loads(line)
        return verdict, reason, goes_on

    def _cpu_s(self) -> float:
        """CPU seconds of the process so far; infinity where the system does not tell, so a deadline is a TIMEOUT."""
        try:
            with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            return float("inf")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class WorkerPool:
    """``num_workers`` verifier processes, each started when it is first needed. Usable from any number of threads."""

    def __init__(self, settings: WorkerSettings, *, num_workers: int) -> None:
        self._settings = settings
        # An empty place is a worker yet to start; the last one used is taken first, so few are started for little work.
        self._places: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(num_workers):
            self._places.put(None)
        self._num_workers = num_workers
        self._lock = threading.Lock()
        self._alive: set[_Worker] = set()
        # On Linux a child that asks to die with its parent dies with the thread that started it: one thread starts all.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="verifier-starter")
        self._is_closed = False

    def ask(self, gold: str, answer: str) -> tuple[Verdict, str]:
        """Verdict and reason. An answer whose worker dies is asked once more, of a fresh one, and GRADER_ERROR then."""
        reason = ""
        for _ in range(2):
            try:
                with self._worker() as worker:
                    return worker.ask(gold, answer)
            except _WorkerDiedError as error:
                reason = str(error)
        return Verdict.GRADER_ERROR, f"{reason}, twice"

    def ask_many(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Verdict, str]]:
        """``ask`` of every pair, in order, spread over the workers."""
        if len(pairs) <= 1 or self._num_workers == 1:
            return [self.ask(*pair) for pair in pairs]
        with ThreadPoolExecutor(max_workers=min(self._num_workers, len(pairs))) as threads:
            return list(threads.map(lambda pair: self.ask(*pair), pairs))

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that are running."""
        with self._lock:
            return sorted(worker.pid for worker in self._alive if worker.is_alive)

    def close(self) -> None:
        """Kill the workers; further questions are our own bug."""
        self._is_closed = True
        self._starter.shutdown()
        with self._lock:
            for worker in self._alive:
                worker.kill()
            self._alive.clear()

    @contextlib.contextmanager
    def _worker(self) -> Iterator[_Worker]:
        """A worker of this thread alone. What interrupts an answer ends it, as its next reply would be a late one."""
        worker = self._places.get()
        is_fit = False
        try:
            if worker is None or not worker.is_alive:
                self._forget(worker)
                worker = None
                worker = self._start()
            yield worker
            is_fit = worker.is_alive
        finally:
            if not is_fit:
                self._forget(worker)
                worker = None
            self._places.put(worker)

    def _start(self) -> _Worker:
        try:
            worker = self._starter.submit(_Worker, self._settings).result()
        except OSError as error:
            raise _WorkerDiedError("a verifier process could not be started") from error
        with self._lock:
            self._alive.add(worker)
        return worker

    def _forget(self, worker: _Worker | None) -> None:
        if worker is not None:
            worker.kill()
            with self._lock:
                self._alive.discard(worker)
