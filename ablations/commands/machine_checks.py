"""Small experiments on this machine, in processes of their own: imports, locks, and deaths that are noticed."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from klear_core.errors import RunStoreError
from klear_core.runs import folders

_ROOT = Path(__file__).resolve().parents[2]
_IMPORT_S = 180.0
_START_S = 30.0
_DEATH_S = 5.0

# Each line is written before and after an import, so that a crash of native code names its package.
_IMPORTER = """
import importlib, json, sys
for name in sys.argv[1:]:
    print(json.dumps([name, "begun"]), flush=True)
    try:
        module = importlib.import_module(name)
        told = "ok"
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"
    print(json.dumps([name, told]), flush=True)
    if name == "torch" and told == "ok":
        cuda = module.version.cuda or ""
        count = module.cuda.device_count() if cuda else 0
        told = {"cuda": cuda, "count": count, "name": module.cuda.get_device_name(0) if count else ""}
        print(json.dumps(["gpu", told]), flush=True)
"""

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), flush=True)
child.wait()
"""
_CHILD = """
import os, time
from ablations.processes import die_with_parent
die_with_parent()
print(os.getpid(), flush=True)
time.sleep(60)
"""


def import_all(modules: Sequence[str]) -> dict[str, Any]:
    """Module -> "ok" or why its import fails; "gpu" -> what torch sees, absent when torch does not import."""
    found: dict[str, Any] = {}
    try:
        done = _python(_IMPORTER, *modules, timeout_s=_IMPORT_S)
        output, ended = done.stdout, f"the interpreter ended with exit code {done.returncode}"
    except subprocess.TimeoutExpired as error:
        raw = error.stdout or b""
        output = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
        ended = f"took longer than {_IMPORT_S:g} s"
    except OSError as error:
        output, ended = "", f"python cannot be started: {error.strerror}"
    for line in output.splitlines():
        try:
            name, told = json.loads(line)
        except ValueError:  # what a package prints when it is imported
            continue
        found[name] = told
    return {
        **{name: ended if found.get(name, "begun") == "begun" else found[name] for name in modules},
        **({"gpu": found["gpu"]} if "gpu" in found else {}),
    }


def lock_works(place: Path) -> str:
    """Hold a folder on the disk of ``place`` twice; "" when the second attempt is refused, else what happened."""
    existing = next(path for path in (place.absolute(), *place.absolute().parents) if path.is_dir())
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=existing) as scratch:
            return _lock_twice(Path(scratch))
    except OSError as error:
        return f"{existing} cannot be written: {error.strerror}"


def _lock_twice(folder: Path) -> str:
    try:
        with folders.held(folder, wait_s=0):
            try:
                with folders.held(folder, wait_s=0):
                    return "a second holder got the lock as well"
            except folders.FolderInUseError:
                return ""
    except RunStoreError as error:
        return str(error)


def deaths() -> tuple[str, str]:
    """Kill a process that has a child: what is wrong with telling it is dead, and with the child's end; "" for none."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", _PARENT, _CHILD]
    try:
        parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    except OSError as error:
        return (f"python cannot be started: {error.strerror}",) * 2
    assert parent.stdout is not None
    try:
        line = _first_line(parent)
        if not line.isdecimal():
            return ("the test process did not start",) * 2
        owners = folders.owner_of(parent.pid), folders.owner_of(int(line))
        seen = all(folders.is_alive(owner) for owner in owners)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    owner, child = owners
    detection = "" if seen and folders.is_gone(owner, wait_s=0) else "a process is not told from a dead one"
    if folders.is_gone(child, wait_s=_DEATH_S):
        return detection, ""
    os.kill(child.pid, 9)
    return detection, f"a child lived on for {_DEATH_S:g} s after its parent was killed"


def _first_line(process: "subprocess.Popen[str]") -> str:
    import select

    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _START_S)
    return process.stdout.readline().strip() if ready else ""


def _python(code: str, *arguments: str, timeout_s: float) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
