"""How an attempt ended: one class for every exception, signal and exit code."""

import errno
import signal
from dataclasses import replace
from pathlib import Path

from ablations.job import Outcome
from klear_core.errors import ConfigError, DataError, DivergedError, EngineError, HarnessError, RunStoreError

RETRIED = ("infrastructure", "oom")
_OF_ERRORS: tuple[tuple[type[BaseException], str], ...] = (
    (ConfigError, "config_error"),
    (DataError, "data_error"),
    (EngineError, "data_error"),
    (DivergedError, "diverged"),
    (RunStoreError, "infrastructure"),
    (MemoryError, "oom"),
    (OSError, "infrastructure"),
    (KeyboardInterrupt, "killed"),
)
# torch raises a RuntimeError on the CPU and a subclass of it on a GPU; its text is what tells.
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "Cannot allocate memory")
_SERVER_GONE = 255  # what multiprocessing reports for a child whose fork server is gone
_CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS")


def of_error(error: BaseException, *, memory_limit_mb: int | None = None) -> Outcome:
    """Class and reason of an exception that ended an attempt, under the memory limit that it had."""
    outcome = _classed(error)
    if outcome.exit_class == "oom" and memory_limit_mb is not None:
        return replace(outcome, reason=f"launch.memory_limit_mb is {memory_limit_mb}: {outcome.reason}")
    return outcome


def _classed(error: BaseException) -> Outcome:
    told = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    reason = " ".join(told.split())[:500]
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return Outcome(exit_class="oom", reason=reason)
    for kind, exit_class in _OF_ERRORS:
        if isinstance(error, kind):
            return Outcome(exit_class=exit_class, reason=reason)
    if isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY):
        return Outcome(exit_class="oom", reason=reason)
    return Outcome(exit_class="bug", reason=reason)


def of_exit_code(code: int, *, oom_kills: int) -> Outcome:
    """Class and reason of a process that could not say itself how it ended.

    ``code`` is minus the signal's number after a signal; ``oom_kills`` counts the kernel's out-of-memory kills of this
    control group while the process ran.
    """
    if code == _SERVER_GONE:
        return Outcome(exit_class="infrastructure", reason="the server that starts the runs has died")
    if code >= 0:
        return Outcome(exit_class="bug", reason=f"ended with exit code {code} and said nothing")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL" and oom_kills:
        return Outcome(exit_class="oom", reason="killed by the kernel, which was out of memory")
    if name in _CRASHES:
        return Outcome(exit_class="bug", reason=f"crashed with {name}")
    if name == "SIGXFSZ":
        return Outcome(exit_class="infrastructure", reason="a file passed the size limit of the process (SIGXFSZ)")
    return Outcome(exit_class="killed", reason=f"killed by {name}")


def oom_kills() -> int:
    """Out-of-memory kills in this process's control group so far, 0 where the system does not count them."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").rpartition("::")[2].strip()
        lines = Path(f"/sys/fs/cgroup{own}/memory.events").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    counts = dict(line.split() for line in lines)
    return int(counts.get("oom_kill", 0))
