"""What programs of the corpus find on the host, and whether anything of it has changed."""

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import stat
from pathlib import Path
from typing import Any

from tests.rewards import processes

MARK = "klear-escape"  # in the name of every file that a program tries to leave
_ANSWERS = json.dumps({"21": "42", "-4": "-8"})
_LIBRARY = (str(Path(os.__file__).parent),)
_PLACES = (
    "/",
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/mqueue",
    "/run",
    "/etc",
    "/usr/lib",
    str(Path(os.__file__).parent),
)
_SUBREAPER = 36


class Host:
    """Plants decoys below ``folder``, listens on sockets, and tells what has changed since."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.home, self.cwd = folder / "home", folder / "run"
        self._shm = Path(f"/dev/shm/klear-decoy-{os.getpid()}")
        for name in ("home/.ssh", "run", "empty"):
            (folder / name).mkdir(parents=True)
        for name in ("answers.json", "home/answers.json", "run/answers.json"):
            (folder / name).write_text(_ANSWERS, encoding="utf-8")
        for name in ("home/.netrc", "home/.token", "home/.ssh/id_rsa", "writable"):
            (folder / name).write_text("secret", encoding="utf-8")
            (folder / name).chmod(0o666)
        for name in ("link", "run/link"):
            (folder / name).symlink_to(folder / "answers.json")
        os.mkfifo(folder / "fifo")
        self._shm.write_text(_ANSWERS, encoding="utf-8")
        for path in [folder, *folder.rglob("*"), self._shm]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))
        os.chdir(self.cwd)
        os.environ |= {"KLEAR_SECRET_TOKEN": "klear-secret" + "-expected", "HOME": str(self.home)}
        self.secret = "-".join(["klear", "secret", "expected"])
        self._sockets = [socket.create_server(("127.0.0.1", 0)), *map(_listen, self._addresses())]
        self.signals: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: self.signals.append(number))
        # Orphans become our children, so that none can be missed.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        self._before = self._state()

    def planted(self) -> dict[str, str]:
        """The words of the programs and what they stand for here."""
        return {
            "__TMP__": str(self._folder),
            "__HOME__": str(self.home),
            "__CWD__": str(self.cwd),
            "__SHM__": str(self._shm),
            "__TRAINER__": str(os.getpid()),
            "__PORT__": str(self._sockets[0].getsockname()[1]),
        }

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        os.chdir("/")
        for each in self._sockets:
            each.close()
        self._shm.unlink()

    def changes(self) -> list[str]:
        """What differs from the time before, in words."""
        # What the kernel has not ended quite yet is no child that was left.
        processes.wait_until(lambda: not _children(), seconds=2)
        after = self._state()
        return [
            f"{key}: {self._before.get(key)} -> {after.get(key)}"
            for key in sorted({*self._before, *after})
            if self._before.get(key) != after.get(key)
        ]

    def _addresses(self) -> list[str]:
        return [str(self._folder / "socket"), f"\0klear-decoy-{os.getpid()}"]

    def _state(self) -> dict[str, Any]:
        """Everything that a program could have changed, as text by name."""
        state: dict[str, Any] = {str(path): _told(path) for path in [*self._folder.rglob("*"), self._shm]}
        for place in _PLACES:
            with contextlib.suppress(OSError):
                state |= {str(path): "is there" for path in Path(place).iterdir() if MARK in path.name}
        state |= {f"limit {kind}": resource.getrlimit(kind) for kind in range(16)}
        state |= {f"environment {name}": value for name, value in os.environ.items()}
        return state | {
            "descriptors": sorted(_descriptors()),
            "children": _children(),
            "signals": [*self.signals],
            "connections": sum(map(_was_reached, self._sockets)),
            "scheduling": (os.nice(0), sorted(os.sched_getaffinity(0)), os.sched_getscheduler(0)),
            "names": (socket.gethostname(), str(Path.cwd()), os.getuid(), os.getgid()),
        }


def _told(path: Path) -> str:
    about = path.lstat()
    content = path.read_bytes().hex() if stat.S_ISREG(about.st_mode) else ""
    return f"{about.st_mode:o} {about.st_uid} {about.st_gid} {about.st_nlink} {about.st_mtime_ns} {content}"


def _listen(address: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(address)
    made.listen()
    return made


def _was_reached(listening: socket.socket) -> bool:
    listening.setblocking(False)
    try:
        listening.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _descriptors() -> list[str]:
    """What our descriptors lead to, but that of the listing itself."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(path.readlink()))
    return [name for name in found if not name.endswith("/fd")]


def _children() -> list[str]:
    """Processes whose parent we are, zombies too but those of bwrap, whose first process is left to init."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = file.read_text(errors="replace").rpartition(")")
            if int(rest.split()[1]) == os.getpid() and not ("bwrap" in name and rest.split()[0] == "Z"):
                found.append(name)
    return found
