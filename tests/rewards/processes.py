"""Processes and descriptors as the tests of the sandbox count them."""

import contextlib
import os
import time
from pathlib import Path


def children(parent: int) -> list[int]:
    """Living processes whose parent is ``parent``."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(file.parent.name))
    return found


def descendants(parent: int) -> list[int]:
    """Living processes that come from ``parent``."""
    own = children(parent)
    return [*own, *(each for child in own for each in descendants(child))]


def wait_until(claim, *, seconds: float = 10.0) -> bool:
    """Whether ``claim()`` becomes true."""
    end = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def descriptors() -> list[str]:
    """What our descriptors lead to."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(path))  # noqa: PTH115
    return sorted(name for name in found if not name.endswith("/fd"))


def is_alive(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
