"""Judges the whole corpus in one setting, in a process of its own, and prints what came of it as JSON.

    python -m tests.rewards.examine --slots 32 --without-user-namespaces

It needs the standard library only, so that it can be run by another interpreter and by another user.
"""

import argparse
import contextlib
import ctypes
import dataclasses
import json
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from klear_core.rewards.code import CodeJudge
from klear_core.rewards.sandbox import backends
from klear_core.rewards.sandbox.limits import Limits
from klear_core.rewards.sandbox.pool import Sandbox
from tests.rewards import programs
from tests.rewards.host import Host

LIMITS = Limits(
    cpu_s=0.5, wall_s=1.0, memory_mb=512, output_kb=256, stderr_kb=4, threads=16, open_files=32, max_timeouts=1
)
_NEW_USER = 0x10000000


def forbid_user_namespaces() -> None:
    """Enter a user namespace in which no further ones can be made."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None).unshare(_NEW_USER) == 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with contextlib.suppress(OSError):  # then we have no place in it, and can make none either
                Path("/proc/self", name).write_text(text, encoding="ascii")
        with contextlib.suppress(OSError):
            Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="ascii")


def examine(host: Host, options: argparse.Namespace) -> dict[str, Any]:
    """Verdicts of every program as letters, and what has changed."""
    cases = programs.load(host.planted())
    random.Random(7).shuffle(cases)
    limits = dataclasses.replace(LIMITS, wall_s=options.wall)
    started = time.monotonic()
    with Sandbox(limits, backend=options.backend, slots=options.slots) as sandbox:
        verdicts = CodeJudge(sandbox).judge_all([(case.source, case.tests) for case in cases])
        isolation = sandbox.isolation
    found = {case.name: "".join(letters) for case, letters in zip(cases, verdicts, strict=True)}
    seconds = round(time.monotonic() - started, 2)
    return {"isolation": isolation, "verdicts": found, "changes": host.changes(), "seconds": seconds}


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--layers", default="seccomp landlock namespaces")
    parser.add_argument("--without-user-namespaces", action="store_true")
    parser.add_argument("--wall", type=float, default=LIMITS.wall_s)
    options = parser.parse_args()
    if options.without_user_namespaces:
        forbid_user_namespaces()
    backends._LAYERS = tuple(options.layers.split())
    with tempfile.TemporaryDirectory(prefix="corpus") as folder:
        Path(folder).chmod(0o777)
        with Host(Path(folder)) as host:
            told = examine(host, options)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
