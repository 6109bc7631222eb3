"""A seccomp filter in classic BPF, built from the tables of ``syscalls``: a list of what is allowed."""

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

from klear_core.rewards.sandbox import syscalls
from klear_core.rewards.sandbox.syscalls import Arch

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


class Filter:
    """The filter's bytes; the guest's own process number is filled in when it is installed."""

    def __init__(self, arch: Arch, *, writable_files: bool) -> None:
        """``writable_files`` leaves opening for writing to another layer (Landlock)."""
        code = _program(arch, writable_files=writable_files)
        self._pid_places = [8 * k + 4 for k, instruction in enumerate(code) if instruction[3] == _OWN_PID]
        # Built here, once: every page that a guest writes to must be copied for it.
        self._code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in code))
        self._header = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(code), ctypes.addressof(self._code)))

    def install(self, libc: ctypes.CDLL) -> None:
        """Filter the calling process from now on; OSError when the kernel refuses."""
        for place in self._pid_places:
            struct.pack_into("=I", self._code, place, os.getpid())
        if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, self._header, 0, 0):
            number = ctypes.get_errno()
            raise OSError(number, f"seccomp: {os.strerror(number)}")


_REFUSED: Instruction = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
_ALLOWED: Instruction = (_RETURN, 0, 0, _ALLOW)
_OWN_PID = 0x7FFFFFF1  # stands for the process number until the filter is installed


def _program(arch: Arch, *, writable_files: bool) -> list[Instruction]:
    code: list[Instruction] = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, arch.audit), (_RETURN, 0, 0, _KILL)]
    code.append((_LOAD, 0, 0, _NUMBER))
    if arch.foreign_from is not None:
        code += [(_AT_LEAST, 0, 1, arch.foreign_from), (_RETURN, 0, 0, _KILL)]
    rules = {
        "clone": _masked(0, syscalls.CLONE_THREAD | syscalls.CLONE_NAMESPACES, syscalls.CLONE_THREAD),
        # glibc falls back to clone, whose flags a filter can read.
        "clone3": [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)],
        "tgkill": [*_unless(0, (_OWN_PID,)), *_if_one_of(2, syscalls.DEADLY), _ALLOWED],
        # A limit can be read; only those are changed that end a program in a way of its own.
        "prlimit64": [*_unless(0, (0, _OWN_PID)), *_if_zero(2), *_one_of(1, syscalls.RLIMITS)],
        "setrlimit": _one_of(0, syscalls.RLIMITS),
        "prctl": _one_of(0, syscalls.PRCTLS),
        "ioctl": _one_of(1, syscalls.IOCTLS),
        "fcntl": _one_of(1, syscalls.FCNTLS),
    }
    if not writable_files:
        rules |= {"open": _masked(1, syscalls.O_WRITING, 0), "openat": _masked(2, syscalls.O_WRITING, 0)}
    for name, rule in rules.items():
        if name in arch.numbers:
            code += [(_EQUAL, 0, len(rule), arch.numbers[name]), *rule]
    plain = sorted(number for name, number in arch.numbers.items() if name not in rules)
    for left, number in zip(range(len(plain), 0, -1), plain, strict=True):
        code.append((_EQUAL, left, 0, number))
    return [*code, _REFUSED, _ALLOWED]


def _low(argument: int) -> Instruction:
    """Load the low half of an argument; the calls that are ruled here take ints."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * argument)


def _one_of(argument: int, values: Sequence[int]) -> list[Instruction]:
    """Allow when an argument is one of some values, refuse otherwise."""
    return [*_unless(argument, values), _ALLOWED]


def _unless(argument: int, values: Sequence[int]) -> list[Instruction]:
    """Refuse unless an argument is one of some values; then go on behind."""
    tests: list[Instruction] = [(_EQUAL, left, 0, value) for left, value in zip(_down(values), values, strict=True)]
    return [_low(argument), *tests, _REFUSED]


def _if_one_of(argument: int, values: Sequence[int]) -> list[Instruction]:
    """Refuse when an argument is one of some values; else go on behind."""
    tests = [(_EQUAL, left - 1, int(left == 1), value) for left, value in zip(_down(values), values, strict=True)]
    return [_low(argument), *tests, _REFUSED]


def _if_zero(argument: int) -> list[Instruction]:
    """Allow when both halves of an argument are zero; else go on behind."""
    low, high = _low(argument), (_LOAD, 0, 0, _ARGUMENTS + 8 * argument + 4)
    return [low, (_EQUAL, 0, 3, 0), high, (_EQUAL, 0, 1, 0), _ALLOWED]


def _down(values: Sequence[int]) -> range:
    return range(len(values), 0, -1)


def _masked(argument: int, mask: int, wanted: int) -> list[Instruction]:
    return [
        _low(argument),
        (_AND, 0, 0, mask),
        (_EQUAL, 1, 0, wanted),
        _REFUSED,
        _ALLOWED,
    ]
