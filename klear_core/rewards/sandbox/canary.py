"""Canaries: a program that tries what the sandbox must prevent, run through the very path that graded programs take."""

import json
import os
import select
import time
from pathlib import Path

from klear_core.errors import ConfigError
from klear_core.rewards.sandbox import wire
from klear_core.rewards.sandbox.limits import Ended, Limits, Program
from klear_core.rewards.sandbox.trial import Trial
from klear_core.rewards.sandbox.zygote_process import Zygote

_DEADLINE_S = 20.0
_DECOY = "decoy"

# Each probe is a statement that must fail; the program prints the names of those that did not.
_PROBES = {
    "read a file": "open(folder + '/decoy').read()",
    "list a folder": "os.listdir(folder)",
    "read another process": "open(f'/proc/{trainer}/environ', 'rb').read()",
    "write a file": "open(folder + '/written', 'w').write('x')",
    "write to shared memory": "open(f'/dev/shm/canary-{trainer}', 'w').write('x')",
    "open a socket": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "open a local socket": "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
    "start a process": "os.fork() or os._exit(0)",
    "signal another process": "os.kill(trainer, 0)",
    "raise a limit": "resource.setrlimit(resource.RLIMIT_AS, (2**50, 2**50))",
    "change its user": "os.setuid(1)",
    # Comes last and tells by itself, as it would not come back.
    "execute a program": "os.execv(*python(f'print({json.dumps([*done, name])!r})'))",
}

_CODE = """
import json, os, resource, sys
try:
    import socket
except ImportError:
    socket = None
folder, trainer, probes = json.loads(sys.stdin.read())
python = lambda code: ('/proc/self/exe', ['python', '-I', '-S', '-c', code])
done = []
for name, statement in probes:
    try:
        exec(statement)
    except BaseException:
        continue
    done.append(name)
print(json.dumps(done))
"""


def probe(zygote: Zygote, limits: Limits, *, folder: str, trainer: int) -> list[str]:
    """What a program could do that it must not, by running one; ConfigError when none could be run at all."""
    (Path(folder) / _DECOY).write_text("bait", encoding="utf-8")
    (Path(folder) / _DECOY).chmod(0o644)
    given = json.dumps([folder, trainer, [*_PROBES.items()]])
    trial = Trial(Program(source=_CODE, entry="", inputs=(given,)), limits)
    watch, descriptors = trial.next()
    try:
        zygote.start(0, descriptors)
        for fd in descriptors:
            os.close(fd)
        message, deadline = b"", time.monotonic() + _DEADLINE_S
        while message[:1] != b"E":
            if not select.select([zygote.control], [], [], max(deadline - time.monotonic(), 0.0))[0]:
                raise ConfigError("a probe did not end")
            for message, received in zygote.messages():
                for fd in received:
                    os.close(fd)
                if not message:
                    raise ConfigError("a probe did not run: the sandbox ended")
        _, _, status, used_s = wire.ENDED.unpack(message)
        watch.ended(status, used_s)
    finally:
        watch.close()
        Path(f"/dev/shm/canary-{trainer}").unlink(missing_ok=True)  # by a probe that came through
    (run,) = watch.runs
    if run.ended is not Ended.ANSWERED:
        raise ConfigError(f"a probe did not run: {(run.error.strip().splitlines() or [run.ended])[-1]}")
    return [str(name) for name in json.loads(run.output)]
