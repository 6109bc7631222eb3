"""The sandbox of a trainer: runs programs in guests side by side, and survives the death of any of them."""

import dataclasses
import os
import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from klear_core.errors import ConfigError
from klear_core.rewards.sandbox import wire
from klear_core.rewards.sandbox.backends import choose
from klear_core.rewards.sandbox.limits import Ended, Limits, Program, TestRun
from klear_core.rewards.sandbox.trial import Trial
from klear_core.rewards.sandbox.watch import TICK_S, Watch
from klear_core.rewards.sandbox.zygote_process import Zygote

_STARTS = 2  # of a zygote, before a batch is given up
_BURST = 32  # guests to start before the zygote is heard, so that neither waits for the other to read
_LOST = TestRun(ended=Ended.LOST, output=b"", error="the grading process died", cpu_s=0.0, wall_s=0.0)


class Sandbox:
    """Runs programs under ``limits``, ``slots`` side by side. To be closed, or used in a ``with`` block.

    What the machine does to a grading (a killed guest, a dead zygote, a wall limit that only a busy machine explains)
    is repeated once; the tests that still have no answer then end as one of ``INFRASTRUCTURE``.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        backend: str = "auto",
        readable: Sequence[str] = (),
        slots: int | None = None,
        allow_unisolated: bool = False,
    ) -> None:
        """Start and probe it; programs may import from ``readable`` folders.

        ConfigError, with what is missing and the ways on, when programs could not be run in isolation here.
        """
        self.limits = limits
        self._slots = slots or 2 * (os.cpu_count() or 1)  # a guest that ends and one that begins share a processor well
        self._lock = threading.Lock()
        self._backend = choose(backend, limits=limits, readable=tuple(readable), allow_unisolated=allow_unisolated)
        self._zygote: Zygote | None = None
        self._guests: dict[int, tuple[Trial, Watch]] = {}
        self._watches: dict[int, Watch] = {}  # by descriptor
        self._poll = select.poll()
        self._number = 0

    @property
    def isolation(self) -> str:
        """The backend and its layers in a line, for the records."""
        return self._backend.told

    @property
    def is_isolated(self) -> bool:
        """False only where ``allow_unisolated`` was needed."""
        return self._backend.is_isolated

    def run(self, program: Program) -> list[TestRun]:
        """What each test of one program did."""
        return self.run_all([program])[0]

    def run_all(self, programs: Sequence[Program]) -> list[list[TestRun]]:
        """What each test of each program did, in order. One caller at a time; others wait."""
        with self._lock:
            trials = [Trial(program, self.limits) for program in programs]
            waiting = deque(trial for trial in trials if not trial.is_done)
            try:
                while waiting or self._guests:
                    for _ in range(min(len(waiting), self._slots - len(self._guests), _BURST)):
                        if waiting:
                            self._start(waiting.popleft(), waiting)
                    self._wait(waiting)
            except BaseException:  # nothing may go on running, nor be half told
                self._close()
                raise
            return [trial.runs for trial in trials]

    def close(self) -> None:
        """End the zygote and every guest."""
        with self._lock:
            self._close()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, trial: Trial, waiting: deque[Trial]) -> None:
        """Start the next guest of a program."""
        if self._zygote is None:
            started = self._begin()
            if isinstance(started, TestRun):
                for each in (trial, *waiting):
                    each.give_up(started)
                waiting.clear()
                return
            self._zygote = started
            self._poll.register(self._zygote.control, select.POLLIN)
        watch, descriptors = trial.next()
        try:
            self._zygote.start(self._number, descriptors)
        except OSError:
            watch.close()
            self._lose_all(waiting)
            self._settle(trial, [_LOST], waiting)
            return
        finally:
            for fd in descriptors:
                os.close(fd)
        self._guests[self._number] = (trial, watch)
        for fd in (watch.output_fd, watch.error_fd):
            self._watches[fd] = watch
            self._poll.register(fd, select.POLLIN)
        self._number += 1

    def _begin(self) -> Zygote | TestRun:
        """A new zygote, or why there is none: what every test that waits for it then did."""
        told = ""
        for _ in range(_STARTS):
            try:
                return self._backend.start()
            except (ConfigError, OSError) as error:
                told = f"the sandbox did not start: {error}"
        return dataclasses.replace(_LOST, error=told)

    def _wait(self, waiting: deque[Trial]) -> None:
        """Wait for something to happen, and see to it."""
        if self._zygote is None:
            return
        said = False
        for fd, events in self._poll.poll(TICK_S * 1000):
            if (watch := self._watches.get(fd)) is None:
                said = True
            elif events & select.POLLIN:
                watch.read()
            else:
                self._forget(fd)  # closed by the guest, whose end the zygote tells
        if said:
            self._hear(waiting)
        now = time.monotonic()
        for _, watch in self._guests.values():
            watch.look(now)
        if any(watch.is_overdue(now) for _, watch in self._guests.values()):
            self._lose_all(waiting)

    def _hear(self, waiting: deque[Trial]) -> None:
        """Act on what the zygote says."""
        assert self._zygote is not None
        for message, descriptors in self._zygote.messages():
            if not message:
                self._lose_all(waiting)
            elif message[:1] == b"S":
                self._guests[wire.STARTED.unpack(message)[1]][1].started(descriptors[0])
            else:
                _, number, status, used_s = wire.ENDED.unpack(message)
                trial, watch = self._guests.pop(number)
                self._forget(watch.output_fd)
                self._forget(watch.error_fd)
                watch.ended(status, used_s)
                self._settle(trial, watch.runs, waiting)

    def _settle(self, trial: Trial, runs: Sequence[TestRun], waiting: deque[Trial]) -> None:
        trial.take(runs)
        if not trial.is_done:
            waiting.appendleft(trial)

    def _lose_all(self, waiting: deque[Trial]) -> None:
        """The zygote is gone: what its guests had answered counts, what they were at is lost."""
        lost = [*self._guests.values()]
        self._close()
        for trial, watch in lost:
            self._settle(trial, [*watch.runs, _LOST], waiting)

    def _forget(self, fd: int) -> None:
        if self._watches.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def _close(self) -> None:
        for _, watch in self._guests.values():
            self._forget(watch.output_fd)
            self._forget(watch.error_fd)
            watch.close()
        self._guests.clear()
        if self._zygote is not None:
            self._poll.unregister(self._zygote.control)
            self._zygote.close()
            self._zygote = None
