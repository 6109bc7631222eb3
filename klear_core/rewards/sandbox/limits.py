"""What a program may use, what it is asked, and how each of its tests ended. Standard library only."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one test of a program may use. Seconds of CPU decide, so that a busy machine changes no verdict."""

    cpu_s: float  # CPU seconds a test, all threads together
    wall_s: float  # wall seconds a test: only programs that sleep reach it
    memory_mb: int  # MiB of address space beyond that of an idle interpreter
    output_kb: int  # KiB a test may print or return
    stderr_kb: int  # KiB of its error output that are kept; the rest is thrown away
    threads: int  # threads, the main one included
    open_files: int  # descriptors, the standard three included
    max_timeouts: int  # after so many the program's remaining tests count as TIMEOUT and are not run


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program with what it is asked: standard inputs, or JSON lists of arguments when ``entry`` names a function."""

    source: str
    entry: str  # "" for a whole program
    inputs: tuple[str, ...]


class Ended(StrEnum):
    """How the process that answered a test came to its end, or that it gave its answer."""

    ANSWERED = "answered"  # exit code 0, or a value returned
    FAILED = "failed"  # an exception, another exit code, a signal
    CPU = "cpu"
    ASLEEP = "asleep"  # the wall limit, reached by a program that did not want the CPU
    STARVED = "starved"  # the wall limit, reached by a program that waited for the CPU: the machine's fault
    MEMORY = "memory"
    OUTPUT = "output"
    THREADS = "threads"
    NOT_RUN = "not_run"  # after ``max_timeouts``
    NO_ISOLATION = "no_isolation"  # a layer could not be entered, so nothing was run
    LOST = "lost"  # the runner or the zygote died


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRun:
    """What one test did; ``output`` is what it printed, or the JSON text of what its function returned."""

    ended: Ended
    output: bytes
    error: str  # the end of its error output, or the exception, for people
    cpu_s: float
    wall_s: float


# The states in which nothing is known about the program.
INFRASTRUCTURE = frozenset({Ended.STARVED, Ended.NO_ISOLATION, Ended.LOST})
