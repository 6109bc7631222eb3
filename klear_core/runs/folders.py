"""Folders of the run store: making them, and holding one so that no second process writes there."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from klear_core.errors import RunStoreError
from klear_core.runs.schema import LOCK_FILE, Owner

_POLL_S = 0.1


def make_folder(path: Path) -> Path:
    """Create ``path`` and its parents; RunStoreError when a file stands in the way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        blocker = next((p for p in (path, *path.parents) if p.exists() and not p.is_dir()), path)
        raise RunStoreError(f"{blocker} is a file, and a run folder is needed there") from None
    except OSError as error:
        raise RunStoreError(f"{path} cannot be created: {error.strerror}") from error
    return path


@contextmanager
def replaced_whole(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill, synced and renamed to ``folder`` at the end: a reader never sees half of it.

    What stood there before is removed; RunStoreError when the disk refuses, and the temporary folder is gone then.
    """
    make_folder(folder.parent)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    for remains in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(remains, ignore_errors=True)
    try:
        temporary.mkdir()
        yield temporary
        for path in (*temporary.rglob("*"), temporary):
            sync_path(path)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
        sync_path(folder.parent)
    except OSError as error:
        raise RunStoreError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_path(path: Path) -> None:
    """Have the kernel put a file, or the entries of a folder, on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class FolderInUseError(RunStoreError):
    """Another process writes into the folder."""


@contextmanager
def held(folder: Path, *, wait_s: float) -> Iterator[None]:
    """Hold a folder for writing; FolderInUseError, naming the holder, when it is not free within ``wait_s`` seconds.

    The lock is the kernel's (flock) and ends with the process, however it ends; the file's text only says who holds it.
    """
    make_folder(folder)
    path = folder / LOCK_FILE
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunStoreError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        _lock(fd, path, time.monotonic() + wait_s)
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps({"pid": os.getpid()}).encode(), 0)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise FolderInUseError(
                    f"{path.parent} is in use by process {_holder(fd)}; wait for it, or set sweep.name or "
                    f"launch.runs_dir"
                ) from None
            time.sleep(_POLL_S)
        except OSError as error:
            raise RunStoreError(f"{path} cannot be locked: {error.strerror}; set launch.runs_dir") from error


def _holder(fd: int) -> str:
    try:
        return str(json.loads(os.pread(fd, 100, 0))["pid"])
    except (ValueError, KeyError, TypeError):
        return "unknown"


def owner_of(pid: int) -> Owner:
    """The process that has the number ``pid`` now."""
    return Owner(pid=pid, process_start=_process_start(pid), boot_id=_boot_id())


def is_alive(owner: Owner) -> bool:
    """Whether the very process still runs, and not a later one of its number."""
    if owner.boot_id != _boot_id():
        return False
    if owner.process_start:
        return _process_start(owner.pid) == owner.process_start
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_gone(owner: Owner, *, wait_s: float) -> bool:
    """Whether the process has ended, or does so within ``wait_s`` seconds."""
    deadline = time.monotonic() + wait_s
    while is_alive(owner):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _process_start(pid: int) -> str:
    """Clock ticks between boot and the start of a living process, "" when there is none or the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
