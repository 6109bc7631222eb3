"""The layers around a guest: what the zygote gives up once, and what each guest gives up before it runs a program."""

import contextlib
import ctypes
import fcntl
import os
import platform
import resource
import signal
import struct
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from klear_core.rewards.sandbox import landlock, seccomp
from klear_core.rewards.sandbox.limits import Limits
from klear_core.rewards.sandbox.syscalls import ARCHES

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_NEW_USER, _NEW_NET, _NEW_IPC, _NEW_UTS = 0x10000000, 0x40000000, 0x08000000, 0x04000000
_CAPABILITY_HEADER = struct.pack("=Ii", 0x20080522, 0)
_NO_CAPABILITIES = bytes(24)
_NOBODY = 65534
_SPARE = 8  # descriptors that an interpreter opens in passing
_MAX_CPU_S = 10**7
_MAX_STACK = 64 * 2**20

# Shared libraries, time zones and the interpreter; no home, no configuration with secrets, no data.
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Which layers a machine has. ``landlock`` is the version of its interface, 0 for none."""

    seccomp: bool
    landlock: int
    namespaces: bool  # user, network, ipc
    user: str  # whom guests run as: "nobody", "caller", "root without capabilities"


class Cage:
    """Prepared by the zygote, entered by each guest."""

    def __init__(self, *, wanted: frozenset[str], readable: tuple[str, ...]) -> None:
        """Give up what the zygote and all that it forks never need; ``wanted`` names the layers that are to be used."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._base_bytes = _address_space()
        with contextlib.suppress(OSError):  # a machine that runs out of memory ends guests, not the trainer
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        self._libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        arch = ARCHES.get(platform.machine())
        self._ruleset = -1
        if "landlock" in wanted and landlock.version(self._libc) > 0:
            paths = (*LIBRARIES, *interpreter(), *readable)
            ruleset = landlock.ruleset(self._libc, readable=paths, devices=_DEVICES)
            # Out of the way of the low descriptors that a guest lays out.
            self._ruleset = fcntl.fcntl(ruleset, fcntl.F_DUPFD_CLOEXEC, 64)
            os.close(ruleset)
        user = _leave_root()
        namespaces = "namespaces" in wanted and self._leave_namespaces()
        for capability in range(64):
            self._libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        _drop_capabilities(self._libc)
        # Guests are the same user, and would find the descriptors of others in our /proc. They inherit it, and with it
        # that they leave no core: a host that pipes cores to a program does so whatever RLIMIT_CORE says.
        self._libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        has_landlock = self._ruleset >= 0
        self._filter = None
        if "seccomp" in wanted and arch is not None:
            self._filter = seccomp.Filter(arch, writable_files=has_landlock)
        self.layers = Layers(
            seccomp=self._filter is not None,
            landlock=landlock.version(self._libc) if has_landlock else 0,
            namespaces=namespaces,
            user=user,
        )

    def enter(self, limits: Limits, *, parent: int, tests: int) -> None:
        """Lock the calling process in for good, to run ``tests`` tests; OSError when a layer cannot be entered."""
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            raise OSError("the zygote is gone")
        os.setsid()
        # A user namespace of its own lets the kernel count its threads alone. It never counts those of root, whose
        # guests only the trainer watches.
        counts_threads = self.layers.namespaces and os.geteuid() != 0
        if counts_threads and not self._unshare(_NEW_USER):
            raise OSError("user namespace: refused")
        _set_limits(limits, base_bytes=self._base_bytes, cpu_s=int(2 * limits.cpu_s * tests) + 2)
        if counts_threads:
            resource.setrlimit(resource.RLIMIT_NPROC, (limits.threads, limits.threads))
        if self._ruleset >= 0:
            landlock.restrict(self._libc, self._ruleset)
            os.close(self._ruleset)
        _drop_capabilities(self._libc)
        if self._filter is not None:
            self._filter.install(self._libc)

    def descriptors(self) -> tuple[int, ...]:
        """What a guest needs open until it has entered."""
        return (self._ruleset,) if self._ruleset >= 0 else ()

    def told(self) -> dict[str, Any]:
        """The layers as plain data."""
        return asdict(self.layers)

    def _leave_namespaces(self) -> bool:
        """A user namespace of our own, in which we are who we were, and an empty network; False when refused."""
        user, group = os.geteuid(), os.getegid()
        self._libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # a change of user has handed our files in /proc to root
        if not self._unshare(_NEW_USER | _NEW_NET | _NEW_IPC | _NEW_UTS):
            return False
        try:
            # Guests make user namespaces in this one, which only a user with a place in it may do.
            for name, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{user} {user} 1"),
                ("gid_map", f"{group} {group} 1"),
            ):
                Path("/proc/self", name).write_text(text, encoding="ascii")
        except OSError:
            return False
        return True

    def _unshare(self, flags: int) -> bool:
        return int(self._libc.unshare(flags)) == 0


def _set_limits(limits: Limits, *, base_bytes: int, cpu_s: int) -> None:
    """The kernel's own limits.

    That of CPU time comes long after the trainer's: the kernel counts clock ticks for it, by which a program can look
    busier than it is. Its hard limit, which ends in SIGKILL, is out of reach, as SIGKILL means the machine's failure.
    """
    memory = base_bytes + limits.memory_mb * 2**20
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, limits.open_files + _SPARE),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (lowest, lowest))
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s if hard < 0 else min(cpu_s, hard), _MAX_CPU_S if hard < 0 else hard))
    # Many honest programs raise this one to its hard limit, and it is bounded by the address space anyway.
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (_MAX_STACK if hard < 0 else min(_MAX_STACK, hard), hard))


def _leave_root() -> str:
    """Become nobody where the interpreter's library stays readable to it; else root will lose its capabilities only."""
    if os.geteuid() != 0:
        return "caller"
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    with contextlib.suppress(OSError):
        os.setgroups([])
    try:
        # Back and forth first: nobody can not come back.
        os.setresgid(_NOBODY, _NOBODY, 0)
        os.setresuid(_NOBODY, _NOBODY, 0)
        readable = os.access(library, os.R_OK | os.X_OK, effective_ids=True)
        os.setresuid(0, 0, 0)
        if readable:
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
            return "nobody"
        os.setresgid(0, 0, 0)
    except OSError:
        pass
    return "root without capabilities"


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Empty the effective, permitted and inheritable sets; a new user namespace has filled them."""
    if libc.capset(_CAPABILITY_HEADER, _NO_CAPABILITIES):
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")


def interpreter() -> tuple[str, ...]:
    """The standard library, without the packages beside it."""
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    with os.scandir(library) as entries:
        return tuple(entry.path for entry in entries if entry.name not in ("site-packages", "dist-packages"))


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()


def missing_note() -> str:
    """Why programs cannot be run on this system at all, "" when it is Linux."""
    if sys.platform != "linux":
        return f"running programs needs Linux, and this is {sys.platform}"
    return ""
