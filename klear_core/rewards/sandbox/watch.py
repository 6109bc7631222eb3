"""A guest as the trainer sees it: its pipes, what came out of them, which limit it has passed."""

import os
import signal
import time
from collections.abc import Sequence

from klear_core.rewards.sandbox import guest
from klear_core.rewards.sandbox.limits import Ended, Limits, TestRun

TICK_S = 0.02  # how often a running guest is looked at
_QUEUED_SHARE = 0.2  # of its wall time in the run queue: from there on a program was not asleep but starved
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
        self._since = time.monotonic()
        self._spent_s = 0.0  # CPU seconds of the tests that are answered
        self._passed: Ended | None = None

    def started(self, pidfd: int) -> None:
        """The guest runs."""
        self._pidfd = pidfd

    def read(self) -> None:
        """Take what has been written, and end a guest that writes too much."""
        if len(self._output) <= self._output_cap and _read_into(self.output_fd, self._output) and self._calls:
            self._take_frames()
        _read_into(self.error_fd, self._error)
        del self._error[self._error_cap :]
        if len(self._output) > self._output_cap:
            self._end(Ended.OUTPUT)

    def look(self, now: float) -> None:
        """End a guest that has passed a limit of time or threads."""
        wall_s = now - self._since
        if wall_s < TICK_S or self._pidfd < 0 or self._passed is not None:
            return
        used_s, threads, queued_s = _seen(self._pidfd)
        limits = self._limits
        if used_s - self._spent_s >= limits.cpu_s:
            self._end(Ended.CPU)
        elif threads > limits.threads:
            self._end(Ended.THREADS)
        elif wall_s >= limits.wall_s:
            self._end(Ended.STARVED if queued_s >= _QUEUED_SHARE * wall_s else Ended.ASLEEP)

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
        if code == guest.MEMORY_EXIT:
            return Ended.MEMORY
        # A function that ends its process has given no answer.
        return Ended.ANSWERED if code == 0 and not self._calls else Ended.FAILED

    def _end(self, why: Ended) -> None:
        if self._passed is None:
            self._passed = why
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
            self.runs.append(_answered(kind, body, cpu_s=used_s, wall_s=now - self._since))
            self._spent_s, self._since = self._spent_s + used_s, now


def _answered(kind: bytes, body: bytes, *, cpu_s: float, wall_s: float) -> TestRun:
    ended = {guest.VALUE: Ended.ANSWERED, guest.NO_MEMORY: Ended.MEMORY}.get(kind, Ended.FAILED)
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


def _seen(pidfd: int) -> tuple[float, int, float]:
    """CPU seconds (in steps of 10 ms), threads, and seconds that the main thread has waited for a processor."""
    # The number by which we know the process, whatever namespace its zygote lives in.
    pid = next((line.split()[1] for line in _lines(f"/proc/self/fdinfo/{pidfd}") if line.startswith("Pid:")), "-1")
    if pid == "-1":
        return 0.0, 0, 0.0
    fields = "".join(_lines(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    queue = "".join(_lines(f"/proc/{pid}/schedstat")).split()
    if not fields or len(queue) < 2:
        return 0.0, 0, 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND, int(fields[17]), int(queue[1]) / 1e9


def _lines(path: str) -> list[str]:
    """Lines of a file of /proc, none when its process is gone."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return file.readlines()
    except OSError:
        return []
