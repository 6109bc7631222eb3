"""Landlock (Linux 5.13 and later): a process gives up all files but those below named paths, and all of TCP."""

import ctypes
import os
import struct
from collections.abc import Sequence

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers on x86-64 and arm64
_PATH_BENEATH, _QUERY_VERSION = 1, 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
# File rights that each version of the interface knows.
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP = 3  # bind and connect, from version 4
_SCOPES = 3  # abstract sockets and signals to other domains, from version 6


def version(libc: ctypes.CDLL) -> int:
    """Version of the kernel's interface, 0 where there is none."""
    return max(int(libc.syscall(_CREATE, None, 0, _QUERY_VERSION)), 0)


def ruleset(libc: ctypes.CDLL, *, readable: Sequence[str], devices: Sequence[str]) -> int:
    """A descriptor for ``restrict``: reading below ``readable``, reading and writing ``devices``, nothing else.

    Paths that do not exist are left out. OSError when the kernel refuses.
    """
    abi = version(libc)
    handled = _RIGHTS[min(abi, max(_RIGHTS))]
    attributes = struct.pack("=QQQ", handled, _TCP if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    fd = _checked(libc.syscall(_CREATE, ctypes.c_char_p(attributes), size, 0), "landlock")
    os.set_inheritable(fd, False)
    for path in readable:
        _allow(libc, fd, path, _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0))  # noqa: PTH112
    for path in devices:
        _allow(libc, fd, path, _READ_FILE | _WRITE_FILE)
    return fd


def restrict(libc: ctypes.CDLL, ruleset_fd: int) -> None:
    """Bind the calling process for good; needs no_new_privs. OSError when the kernel refuses."""
    _checked(libc.syscall(_RESTRICT, ruleset_fd, 0), "landlock")


def _allow(libc: ctypes.CDLL, ruleset_fd: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = struct.pack("=Qi", rights, fd)
        _checked(libc.syscall(_ADD_RULE, ruleset_fd, _PATH_BENEATH, ctypes.c_char_p(rule), 0), f"landlock, {path}")
    finally:
        os.close(fd)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return int(result)
