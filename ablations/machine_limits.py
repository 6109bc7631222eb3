"""What this process may use: cores, memory, disk, files. Limits of control groups count, in both of their versions."""

import os
import resource
import shutil
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 2**60  # what version 1 writes for "no limit" is a page below 2^63


def cores() -> int:
    """Cores that this process may run on, whatever share of them it gets."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_limit() -> float | None:
    """Cores' worth of time that the control group grants, None without a limit."""
    quotas = []
    for folder in _groups("cpu"):
        words = _words(folder / "cpu.max")  # "max 100000" or "150000 100000"
        if not words:
            words = [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
        if len(words) == 2 and words[0].isdecimal() and int(words[1]):
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def free_memory() -> int | None:
    """Bytes that can be had without swapping, within the control group's limit; None where nothing tells."""
    room = []
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            room.append(int(line.split()[1]) * 1024)
    for folder in _groups("memory"):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            words = [*_words(folder / limit), *_words(folder / used)]
            if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[0]) < _UNLIMITED:
                room.append(max(0, int(words[0]) - int(words[1])))
    return min(room, default=None)


def free_disk(folder: Path) -> int:
    """Free bytes of the disk on which ``folder`` lies or will lie."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def soft_limit(name: int) -> int | None:
    """The soft limit of a resource, None without one."""
    soft, _ = resource.getrlimit(name)
    return None if soft == resource.RLIM_INFINITY else soft


def _groups(controller: str) -> list[Path]:
    """Folders of this process's control group and of those around it, as each of them may limit it."""
    found = []
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, own = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _CGROUPS / controller if controllers else _CGROUPS
        path = root / own.lstrip("/")
        found += [path, *(parent for parent in path.parents if parent.is_relative_to(root))]
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
