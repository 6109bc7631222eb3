"""Ending processes together: stop requests become a flag, and a child never outlives its parent."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

_PR_SET_PDEATHSIG = 1


@contextmanager
def stop_requests() -> Iterator[Event]:
    """SIGINT, SIGTERM and SIGHUP set the event instead of raising wherever they arrive, where Python may lose them.

    A second request has its ordinary effect, so a user is never trapped; what is ignored, as by nohup, stays ignored.
    """
    stop = Event()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def request(number: int, frame: FrameType | None) -> None:
        stop.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone, where there is a call for it (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the request was in place.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
