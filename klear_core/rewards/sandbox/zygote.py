"""The zygote: a fresh interpreter, started by exec, that forks a guest for every test it is handed.

It is started with an empty environment and without the site packages, reads no program, no input and no output, and
never learns what is expected. It ends, and with it every guest, when its trainer's socket closes.
"""

import _sitebuiltins
import builtins
import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys

from klear_core.rewards.sandbox import guest, wire
from klear_core.rewards.sandbox.isolation import Cage

# What programs usually import; here already, an import costs a guest next to nothing.
_PRELOADED = (
    "array bisect cmath collections copy datetime decimal fractions functools heapq io itertools json math operator "
    "queue random re statistics string struct sys threading time typing"
)


def main(control_fd: int) -> None:
    """Serve guests until the trainer closes its end of the control socket."""
    for name in _PRELOADED.split():
        __import__(name)
    # The zygote has no site module, which would define these.
    for word in ("exit", "quit"):
        setattr(builtins, word, _sitebuiltins.Quitter(word, "Ctrl-D"))
    guest.prepare()
    with socket.socket(fileno=control_fd) as control:
        settings = json.loads(control.recv(1 << 16))
        cage = Cage(wanted=frozenset(settings["layers"]), readable=tuple(settings["readable"]))
        sys.path[:] = [*(path for path in sys.path if path not in settings["hidden"]), *settings["readable"]]
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the trainer
        control.send(json.dumps(cage.told()).encode())
        with contextlib.suppress(ConnectionError):
            _serve(control, cage)


def _serve(control: socket.socket, cage: Cage) -> None:
    wake_read, wake_write = os.pipe()
    for fd in (wake_read, wake_write):
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    numbers: dict[int, int] = {}  # of guests by process
    gc.collect()
    gc.freeze()
    while True:
        ready = dict(poll.poll())
        if wake_read in ready:
            os.read(wake_read, 512)
            _reap(control, numbers)
        if control.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(control, wire.START.size, wire.START_DESCRIPTORS)
            if not message:
                return
            (number,) = wire.START.unpack(message)
            pid = _fork(descriptors, cage)
            numbers[pid] = number
            _tell_start(control, number, pid)
            for fd in descriptors:
                os.close(fd)


def _fork(descriptors: list[int], cage: Cage) -> int:
    zygote = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            code = guest.main(descriptors, cage, zygote=zygote)
        finally:
            os._exit(code)
    return pid


def _tell_start(control: socket.socket, number: int, pid: int) -> None:
    pidfd = os.pidfd_open(pid)
    socket.send_fds(control, [wire.STARTED.pack(b"S", number)], [pidfd])
    os.close(pidfd)


def _reap(control: socket.socket, numbers: dict[int, int]) -> None:
    while numbers:
        pid, status, usage = os.wait3(os.WNOHANG)
        if pid == 0:
            return
        cpu_s = usage.ru_utime + usage.ru_stime
        control.send(wire.ENDED.pack(b"E", numbers.pop(pid), status, cpu_s))
