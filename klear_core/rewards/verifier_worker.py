"""A verifier process: reads one pair of texts a line, answers one verdict a line, under limits of time and memory.

Started with ``python -c BOOTSTRAP SETTINGS``. The judge is named by its module, which has
``judge(gold, answer, **options)``.
"""

import ctypes
import functools
import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from klear_core.records import Verdict

# The parent's search path comes with the settings, so a worker runs the code that its parent imported.
BOOTSTRAP = (
    "import json, sys; settings = json.loads(sys.argv[1]); sys.path[:] = settings['path']; "
    "from klear_core.rewards.verifier_worker import main; main(settings)"
)
READY = "READY"
_PR_SET_PDEATHSIG = 1
_REPEAT_S = 0.05


class _OutOfTime(BaseException):
    """The answer's CPU seconds are used up. No error, as it must pass every "except Exception" of the libraries."""


class _Timer:
    """CPU seconds of one answer. It rings again and again, as a library can swallow one ring."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self.rang = False
        signal.signal(signal.SIGPROF, self._ring)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        self.rang = True
        raise _OutOfTime

    def start(self) -> None:
        self.rang = False
        signal.setitimer(signal.ITIMER_PROF, self._limit_s, _REPEAT_S)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main(settings: dict[str, Any]) -> None:
    """Serve pairs from standard input until it ends; ``settings`` are those of ``verifier_pool``."""
    _die_with_parent(settings["parent"])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, settings["memory_limit_mib"] * 2**20)
    # What a library prints must not become a reply.
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    judge = functools.partial(importlib.import_module(settings["module"]).judge, **settings["options"])
    replies.write(json.dumps([READY, "", True]) + "\n")
    replies.flush()
    timer = _Timer(settings["cpu_limit_s"])
    for line in sys.stdin:
        gold, answer = json.loads(line)
        replies.write(json.dumps(_answer(judge, gold, answer, timer, settings)) + "\n")
        replies.flush()


def _answer(
    judge: Callable[[str, str], tuple[Verdict, str]], gold: str, answer: str, timer: _Timer, settings: dict[str, Any]
) -> tuple[Verdict, str, bool]:
    """Verdict, reason and whether this process is fit for another; no answer can raise here."""
    try:
        timer.start()
        try:
            verdict, reason = judge(gold, answer)
        finally:
            timer.stop()
    except _OutOfTime:
        verdict, reason = Verdict.TIMEOUT, ""
    except MemoryError:
        # What was interrupted may have left caches half built.
        return Verdict.TIMEOUT, f"more than {settings['memory_limit_mib']} MiB of memory", False
    except RecursionError:
        verdict, reason = Verdict.UNPARSABLE, "too deeply nested to judge"
    except Exception as error:
        verdict, reason = Verdict.GRADER_ERROR, f"{type(error).__name__} in the verifier"
    if timer.rang:  # also when a library swallowed it, as what came after is no judgement
        return Verdict.TIMEOUT, f"more than {settings['cpu_limit_s']:g} CPU seconds", True
    return verdict, reason, True


def _limit(kind: int, value: int) -> None:
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError):
        return  # not every system has every limit; the parent's deadline stands in any case


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent is gone; elsewhere than on Linux the end of input does it."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the request was in place.
    if os.getppid() != parent:
        os._exit(0)
