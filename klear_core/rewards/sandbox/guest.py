"""What a guest does: enter the cage, then run a program on its standard input, or call its function."""

import atexit
import contextlib
import fcntl
import gc
import io
import json
import os
import random
import struct
import sys
import threading
import traceback
import types
from collections.abc import Callable, Sequence
from typing import Any

from klear_core.rewards.sandbox import wire
from klear_core.rewards.sandbox.encode import encode
from klear_core.rewards.sandbox.isolation import Cage

MEMORY_EXIT = 117  # of a program that ended in a MemoryError
READY = b"R"  # first byte of the error output: every layer has been entered
VALUE, EXCEPTION, NO_MEMORY = b"V", b"X", b"M"  # kinds of frames
FRAME = struct.Struct("<cI")  # kind and length of what a call gave
_FAILED = 1
_FILE = "program.py"
_RESULTS = 3  # descriptor on which the results of calls are written
_ABOVE = 16  # descriptors are moved out of the way above this one


def main(descriptors: Sequence[int], cage: Cage, *, zygote: int) -> int:
    """Run the job of ``wire.START``'s descriptors; the exit code of the process."""
    job, stdin, output, error = descriptors
    source, entry, arguments, limits = wire.read_job(job)
    _lay_descriptors(stdin, output, error, is_program=not entry, keep=cage.descriptors())
    try:
        cage.enter(limits, parent=zygote, tests=max(len(arguments), 1))
    except OSError as refused:
        os.write(2, str(refused).encode())
        return _FAILED
    os.write(2, READY)
    return run_calls(source, entry, arguments, _RESULTS) if entry else run_program(source)


def run_program(source: str) -> int:
    """Run a whole program between descriptors 0, 1 and 2, as ``python program.py`` would; its exit code."""
    _begin()
    code = _guarded(lambda: exec(_compiled(source), _new_module("__main__")))
    # What the interpreter does at its end: threads, exit handlers, buffers.
    for step in (threading._shutdown, atexit._run_exitfuncs, lambda: sys.stdout.flush()):  # type: ignore[attr-defined]
        code = _guarded(step) or code
    return code


def run_calls(source: str, entry: str, arguments: Sequence[str], results_fd: int) -> int:
    """Answer one call after the other on ``results_fd``; frames of a kind, a length and that many bytes.

    Returns when all are answered. What the program prints goes to descriptor 1, which leads nowhere.
    """
    _begin()
    names = _new_module("program")
    found: list[Callable[..., Any]] = []

    def define() -> None:
        exec(_compiled(source), names)
        found.append(_function(names, entry))

    kind, told = _asked(define)
    for text in arguments:
        if found:
            kind, told = _asked(lambda text=text: encode(found[0](*json.loads(text))))  # type: ignore[misc]
        _write(results_fd, kind, told)
    return 0


def _asked(call: Callable[[], str | None]) -> tuple[bytes, str]:
    """What a call gave: a value, an exception that ended it, or no memory."""
    try:
        return VALUE, call() or ""
    except MemoryError:
        gc.collect()
        return NO_MEMORY, "MemoryError"
    except BaseException as error:  # the border with untrusted code: SystemExit and KeyboardInterrupt as well
        return EXCEPTION, _told(error)


def _guarded(call: Callable[[], object]) -> int:
    """Exit code of a part of a program, its traceback on descriptor 2."""
    try:
        call()
    except SystemExit as error:
        return _exit_code(error)
    except MemoryError:
        gc.collect()
        return MEMORY_EXIT
    except BaseException as error:  # the border with untrusted code
        with contextlib.suppress(BaseException):
            os.write(2, _trace(error).encode("utf-8", "backslashreplace"))
        return _FAILED
    return 0


def _trace(error: BaseException) -> str:
    """The exception with its lines in the program; the harness's own frames and paths are nobody's business."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__, limit=-5) if frame.filename == _FILE]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)])


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code & 0xFF if type(error.code) is int else _FAILED


def _told(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:300]
    except BaseException:  # its own __str__
        return "an exception that cannot be told"


def _write(fd: int, kind: bytes, text: str) -> None:
    body = text.encode("utf-8", "backslashreplace")
    frame = memoryview(FRAME.pack(kind, len(body)) + body)
    while frame:
        frame = frame[os.write(fd, frame) :]


def _lay_descriptors(stdin: int, output: int, error: int, *, is_program: bool, keep: Sequence[int]) -> None:
    """0 the input, 1 the output of a whole program, 2 the error output, 3 the results of calls; nothing else is open.

    What a function prints goes nowhere.
    """
    nowhere = os.open("/dev/null", os.O_RDWR)
    wanted = (stdin, output, error) if is_program else (stdin, nowhere, error, output)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for fd in wanted]
    for place, fd in enumerate(moved):
        os.dup2(fd, place)
    low = len(wanted)
    for fd in sorted(keep):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _compiled(source: str) -> types.CodeType:
    return compile(source, _FILE, "exec", dont_inherit=True)


def _new_module(name: str) -> dict[str, Any]:
    """The names of a new module: the main one of a program that is run, another of one whose function is called."""
    module = types.ModuleType(name)
    module.__dict__.update(__builtins__=__builtins__, __file__=_FILE)
    sys.modules[name] = module
    return module.__dict__


def _function(names: dict[str, Any], entry: str) -> Callable[..., Any]:
    """A function of the program, or the method of that name of its class ``Solution``."""
    if entry not in names and "Solution" in names:
        return getattr(names["Solution"](), entry)  # type: ignore[no-any-return]
    return names[entry]  # type: ignore[no-any-return]


def _begin() -> None:
    """The state of a fresh interpreter, the same whenever a program is graded."""
    random.seed(0)
    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]


def prepare() -> None:
    """What every guest finds ready, as it pays for each page that it writes: the streams of descriptors 0 to 2.

    They learn what kind of file they are over when they are made: a file in memory, and pipes.
    """
    sys.argv[:] = sys.orig_argv[:] = [_FILE]
    like = (wire.anonymous_file("like", b""), *os.pipe())
    kept = [os.dup(fd) for fd in range(3)]
    for fd, other in enumerate((like[0], like[2], like[2])):
        os.dup2(other, fd)
    _open_streams()
    for fd, other in enumerate(kept):
        os.dup2(other, fd)
    for fd in (*like, *kept):
        os.close(fd)


def _open_streams() -> None:
    for name, fd, mode in (("stdin", 0, "rb"), ("stdout", 1, "wb"), ("stderr", 2, "wb")):
        raw = io.FileIO(fd, mode, closefd=False)
        buffer: Any = io.BufferedReader(raw) if mode == "rb" else io.BufferedWriter(raw)
        errors = "backslashreplace" if name == "stderr" else "strict"
        stream = io.TextIOWrapper(buffer, encoding="utf-8", errors=errors, line_buffering=name == "stderr")
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
