"""The zygote as the trainer sees it: started by exec, spoken to through one socket, ended with all that it forked."""

import array
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from klear_core.errors import ConfigError
from klear_core.rewards.sandbox import wire
from klear_core.rewards.sandbox.isolation import Layers

_ROOT = Path(__file__).resolve().parents[3]
# What random and threading do after every fork costs a guest pages, and neither is needed: a guest seeds its generator
# itself, and the zygote has one thread.
_START = (
    "import os, sys; sys.path.insert(0, sys.argv[2]); "
    "register, os.register_at_fork = os.register_at_fork, lambda **_: None; "
    "from klear_core.rewards.sandbox.zygote import main; os.register_at_fork = register; main(int(sys.argv[1]))"
)
_START_TIMEOUT_S = 60.0
_SEND_TIMEOUT = struct.pack("ll", 30, 0)  # struct timeval: a zygote that takes nothing for so long hangs


class Zygote:
    """The zygote's process with our end of its control socket."""

    def __init__(self, *, layers: Sequence[str], readable: Sequence[str], prefix: Sequence[str] = ()) -> None:
        """Start it; ``prefix`` is put before its command line (bubblewrap). ConfigError when it does not start."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [*prefix, sys.executable, "-s", "-S", "-P", "-c", _START, str(theirs.fileno()), str(_ROOT)]
        settings = {"layers": [*layers], "readable": [*readable], "hidden": [str(_ROOT)]}
        with theirs:
            try:
                self.process = _popen(command, theirs.fileno())
            except BaseException:
                ours.close()
                raise
        self.control = ours
        try:
            self.layers = self._begin(settings)
        except BaseException:  # also an interrupt: a process that nobody knows must not go on
            self.close()
            raise

    def start(self, number: int, descriptors: Sequence[int]) -> None:
        """Start a guest; OSError when the zygote is gone."""
        socket.send_fds(self.control, [wire.START.pack(number)], [*descriptors])

    def messages(self) -> list[tuple[bytes, list[int]]]:
        """What it has said, with descriptors; an empty message when it is gone."""
        said: list[tuple[bytes, list[int]]] = []
        while True:
            try:
                message, descriptors = self._receive()
            except BlockingIOError:
                return said
            except OSError:
                message, descriptors = b"", []
            said.append((message, descriptors))
            if not message:
                return said

    def close(self) -> None:
        """End it with all that it has forked."""
        self._end_control()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1.0)
        if self.process.returncode is None:
            self._kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def _receive(self) -> tuple[bytes, list[int]]:
        """A message that is there already. (``socket.recv_fds`` of Python 3.11 drops its flags.)"""
        room = socket.CMSG_SPACE(array.array("i", [0]).itemsize)
        message, extra, _, _ = self.control.recvmsg(wire.ENDED.size, room, socket.MSG_DONTWAIT)
        descriptors = array.array("i")
        for level, kind, data in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(data)
        return message, [*descriptors]

    def _begin(self, settings: dict[str, list[str]]) -> Layers:
        """Hand over the settings and learn which layers there are."""
        self.control.settimeout(_START_TIMEOUT_S)
        told = b""
        with contextlib.suppress(OSError):
            self.control.send(json.dumps(settings).encode())
            told = self.control.recv(1 << 16)
        if told:
            self.control.settimeout(None)
            self.control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
            return Layers(**json.loads(told))
        self._end_control()
        self._kill()
        assert self.process.stderr is not None
        error = os.read(self.process.stderr.fileno(), 1 << 16).decode("utf-8", "replace").strip()
        raise ConfigError(f"the sandbox does not start: {error.splitlines()[-1] if error else 'no reason given'}")

    def _kill(self) -> None:
        """The whole group: what bubblewrap has started would otherwise outlive it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _end_control(self) -> None:
        """Close the socket, also where a process that we have forked holds it open."""
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)
        self.control.close()


def _popen(command: Sequence[str], control_fd: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        # Fixed hashes: a program that prints a set gives the same answer whenever it is graded.
        # One arena: each of a thread's own takes 64 MB of the address space that a program may have.
        env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[control_fd],
        start_new_session=True,
    )
