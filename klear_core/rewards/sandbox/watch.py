"""A guest as the trainer sees it: its pipes, what came out of them, which limit it has passed."""

import os
import signal
import time
from collections.abc import Sequence

from klear_core.rewards.sandbox import guest
from klear_core.rewards.sandbox.limits import Ended, Limits, TestRun

TICK_S = 0.02  # how often a running guest is looked at
_PATIENCE = 4  # wall limits, after which a program that waits for a processor is given up
_GRACE_S = 30.0  # for a zygote to start a guest, or to tell of the end of one that was killed
_CHUNK = 1 << 16
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Watch:
    """One guest: a whole program at one input, or a function at ``calls`` arguments."""

    def __init__(self, limits: Limits, *, calls: int) -> None:
        """``calls`` is 0 for a whole program. Opens the pipes; ``ends`` are to be handed to the guest."""
        self.runs: list[TestRun] = []  # of the tests that are answered
        self._limits = limits
        self._calls = calls
        self._output_cap, self._error_cap = limits.output_kb * 1024, limits.stderr_kb * 1024 + len(guest.READY)
        self.output_fd, output_end = os.pipe()
        self.error_fd, error_end = os.pipe()
        self.ends: Sequence[int] = (output_end, error_end)
        for fd in (self.output_fd, self.error_fd):
            os.set_blocking(fd, False)
        self._pidfd = -1
        self._output, self._error = bytearray(), bytearray()
        self._since = self._looked = self._asked = time.monotonic()
        self._spent_s = 0.0  # CPU seconds of the tests that are answered
        self._passed: Ended | None = None

    def started(self, pidfd: int) -> None:
        """The guest runs."""
        self._pidfd = pidfd
        if not self.runs:
            self._since = time.monotonic()

    def read(self) -> None:
        """Take what has been written, and end a guest that writes too much."""
        if len(self._output) <= self._output_cap and _read_into(self.output_fd, self._output) and self._calls:
            self._take_frames()
        _read_into(self.error_fd, self._error)
        del self._error[self._error_cap :]
        if len(self._output) > self._output_cap:
            self._end(Ended.OUTPUT)

    def look(self, now: float) -> None:
        """End a guest that has passed a limit of time or threads, or that goes on after its last answer."""
        wall_s = now - self._since
        if min(wall_s, now - self._looked) < TICK_S or self._pidfd < 0 or self._passed is not None:
            return
        self._looked = now
        limits = self._limits
        used_s, threads = _seen(self._pidfd)
        if self._calls and len(self.runs) == self._calls:
            self._end(Ended.ANSWERED)
        elif used_s - self._spent_s >= limits.cpu_s:
            self._end(Ended.CPU)
        elif threads > limits.threads:
            self._end(Ended.THREADS)
        elif wall_s >= _PATIENCE * limits.wall_s:
            self._end(Ended.STARVED)
        elif wall_s >= limits.wall_s and wall_s - _queued(self._pidfd) >= limits.wall_s:
            self._end(Ended.ASLEEP)  # time in which it waited for a processor is not its own

    def is_overdue(self, now: float) -> bool:
        """Whether the zygote has not started the guest, or not told its end, for so long that it must hang."""
        return (self._pidfd < 0 or self._passed is not None) and now - self._asked >= _GRACE_S

    def ended(self, status: int, used_s: float) -> None:
        """The guest is gone, and said what it will ever say: settle the test that it was at, if it was at one."""
        while len(self._output) <= self._output_cap and _read_into(self.output_fd, self._output):
            if self._calls:
                self._take_frames()
        self.read()
        self.close()
        if self._calls and len(self.runs) == self._calls:
            return
        cpu_s = max(used_s - self._spent_s, 0.0)
        ended = self._how(status, cpu_s)
        self.runs.append(
            TestRun(
                ended=ended,
                output=bytes(self._output) if ended is Ended.ANSWERED else b"",
                error=bytes(self._error).removeprefix(guest.READY).decode("utf-8", "replace"),
                cpu_s=round(cpu_s, 4),
                wall_s=round(time.monotonic() - self._since, 4),
            )
        )

    def close(self) -> None:
        """Close every descriptor that is still open."""
        for fd in (self.output_fd, self.error_fd, self._pidfd):
            if fd >= 0:
                os.close(fd)
        self.output_fd = self.error_fd = self._pidfd = -1

    def _how(self, status: int, cpu_s: float) -> Ended:
        """What the end of a guest means for its last test."""
        if not self._error.startswith(guest.READY):
            return Ended.NO_ISOLATION
        if self._passed is not None:
            return self._passed
        if cpu_s >= self._limits.cpu_s:
            return Ended.CPU  # the kernel's own limit, or the end, came before our look
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGKILL:
            return Ended.LOST  # nobody in the cage can send it, and it was not us
        if code == -signal.SIGXCPU:
            return Ended.CPU
        if code == guest.MEMORY_EXIT:
            return Ended.MEMORY
        # A function that ends its process has given no answer.
        return Ended.ANSWERED if code == 0 and not self._calls else Ended.FAILED

    def _end(self, why: Ended) -> None:
        if self._passed is None:
            self._passed, self._asked = why, time.monotonic()
        if self._pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            except ProcessLookupError:
                return

    def _take_frames(self) -> None:
        """Turn whole frames into answered tests."""
        size = guest.FRAME.size
        while len(self._output) >= size and len(self.runs) < self._calls:
            kind, length = guest.FRAME.unpack_from(self._output)
            if len(self._output) < size + length:
                return
            body = bytes(self._output[size : size + length])
            del self._output[: size + length]
            now = time.monotonic()
            # A quick call is not worth a look into /proc: one thread has used no more than the time that passed.
            used_s = now - self._since
            if used_s >= TICK_S and self._pidfd >= 0:
                used_s = max(_seen(self._pidfd)[0] - self._spent_s, 0.0)
            kind = kind if used_s < self._limits.cpu_s else _TOO_LATE
            self.runs.append(_answered(kind, body, cpu_s=used_s, wall_s=now - self._since))
            self._spent_s, self._since = self._spent_s + used_s, now


_TOO_LATE = b""  # the kind of an answer after the CPU limit, which came before our look
_OF_KIND = {guest.VALUE: Ended.ANSWERED, guest.NO_MEMORY: Ended.MEMORY, _TOO_LATE: Ended.CPU}


def _answered(kind: bytes, body: bytes, *, cpu_s: float, wall_s: float) -> TestRun:
    ended = _OF_KIND.get(kind, Ended.FAILED)
    has_value = ended is Ended.ANSWERED
    return TestRun(
        ended=ended,
        output=body if has_value else b"",
        error="" if has_value else body.decode("utf-8", "replace"),
        cpu_s=round(cpu_s, 4),
        wall_s=round(wall_s, 4),
    )


def _read_into(fd: int, sink: bytearray) -> bool:
    """Append what a pipe holds; False when it holds nothing, or has ended."""
    try:
        part = os.read(fd, _CHUNK)
    except BlockingIOError:
        return False
    sink += part
    return bool(part)


def _seen(pidfd: int) -> tuple[float, int]:
    """CPU seconds (in steps of 10 ms) and threads, nothing when the guest is gone."""
    fields = "".join(_lines(f"/proc/{_process(pidfd)}/stat")).rpartition(")")[2].split()
    if not fields:
        return 0.0, 0
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND, int(fields[17])


def _queued(pidfd: int) -> float:
    """Seconds for which that thread waited for a processor that waited longest, less what the guest itself has used.

    A guest's own threads wait for each other no longer than they run, so that none can make itself look starved.
    """
    folder = f"/proc/{_process(pidfd)}/task"
    try:
        threads = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return 0.0
    waits = ["".join(_lines(f"{folder}/{thread}/schedstat")).split() for thread in threads]
    longest_s = max((int(wait[1]) / 1e9 for wait in waits if len(wait) > 1), default=0.0)
    return max(longest_s - _seen(pidfd)[0], 0.0)


def _process(pidfd: int) -> str:
    """The number by which we know a process, whatever namespace its zygote lives in; "-1" when it is gone."""
    return next((line.split()[1] for line in _lines(f"/proc/self/fdinfo/{pidfd}") if line.startswith("Pid:")), "-1")


def _lines(path: str) -> list[str]:
    """Lines of a file of /proc, none when its process is gone."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return file.readlines()
    except OSError:
        return []
