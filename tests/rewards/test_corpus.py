"""Every program of the corpus gets its verdict, and nothing on the host changes, in every setting."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from klear_core.rewards import code
from tests.rewards import programs

_ROOT = Path(__file__).resolve().parents[2]
_ORDINARY = 60000
_IS_ROOT = os.getuid() == 0
_NO_BWRAP = "bwrap is not installed (Debian: apt-get install bubblewrap)" if shutil.which("bwrap") is None else ""
# Where bubblewrap stands alone, a guest sees a /proc of its own, with bwrap's first process and the mounts.
_OWN_PROC = {"host/secrets": {code.TestVerdict.WRONG}, "stealing/memory_of_processes": {code.TestVerdict.PASS}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the corpus is run, and why it cannot be ("" when it can)."""

    options: tuple[str, ...]
    missing: str = ""
    as_ordinary_user: bool = False
    isolation: str = "native"
    looser: tuple[str, ...] = ()


_SETTINGS = {
    "one at a time": Setting(options=("--slots", "1")),
    "32 at once": Setting(options=("--slots", "32", "--wall", "3")),
    "no user namespaces": Setting(
        options=("--slots", "4", "--without-user-namespaces"), isolation="native: seccomp, l"
    ),
    "ordinary user": Setting(
        options=("--slots", "8"),
        missing="" if _IS_ROOT else "all other settings are run by an ordinary user already",
        as_ordinary_user=True,
    ),
    "bubblewrap": Setting(
        options=("--slots", "8", "--backend", "bubblewrap"), missing=_NO_BWRAP, isolation="bubblewrap: seccomp, "
    ),
    "bubblewrap without Landlock": Setting(
        options=("--slots", "8", "--backend", "bubblewrap", "--layers", "seccomp"),
        missing=_NO_BWRAP,
        isolation="bubblewrap: seccomp;",
        looser=tuple(_OWN_PROC),
    ),
}


@cache
def interpreter_for_all() -> str:
    """An interpreter that an ordinary user can start, "" when there is none."""
    for program in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        command = [program, "-c", "import sys, ctypes, json, ast; sys.exit(sys.version_info < (3, 11))"]
        try:
            tried = subprocess.run(command, user=_ORDINARY, group=_ORDINARY, extra_groups=[], cwd="/", check=False)
        except OSError:
            continue
        if tried.returncode == 0:
            return program
    return ""


def copy_for_all(folder: Path) -> None:
    """What the examination imports, where an ordinary user can read it."""
    for name in ("klear_core/__init__.py", "klear_core/records.py", "klear_core/errors.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(_ROOT / name, folder / name)
    for name in ("klear_core/rewards", "tests/rewards"):
        shutil.copytree(_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def examine(setting: Setting, folder: Path) -> dict:
    """What ``tests.rewards.examine`` tells, run in a process of its own."""
    command = [sys.executable, "-m", "tests.rewards.examine", *setting.options]
    root, user = _ROOT, {}
    if setting.as_ordinary_user:
        copy_for_all(folder)
        root, user = folder, {"user": _ORDINARY, "group": _ORDINARY, "extra_groups": []}
        command[0] = interpreter_for_all()
    environment = {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=240, check=False, **user
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture
def public_folder():
    """A folder that every user can reach, unlike pytest's own."""
    folder = Path("/tmp") / f"corpus-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", _SETTINGS)
def test_every_program_gets_its_verdict_and_the_host_does_not_change(name, public_folder):
    setting = _SETTINGS[name]
    if setting.missing:
        pytest.skip(setting.missing)
    if setting.as_ordinary_user and not interpreter_for_all():
        pytest.skip("no interpreter of Python >= 3.11 lies where an ordinary user can read it")
    told = examine(setting, public_folder)
    cases = {case.name: case for case in programs.load({})}
    assert told["verdicts"].keys() == cases.keys()
    for program in setting.looser:
        assert set(told["verdicts"].pop(program)) <= _OWN_PROC[program] | cases[program].expected
    found = {
        program: f"{letters}, not {sorted(cases[program].expected)}"
        for program, letters in told["verdicts"].items()
        if not set(letters) <= cases[program].expected
    }
    assert found == {}
    assert told["changes"] == []
    assert told["isolation"].startswith(setting.isolation)


def test_the_corpus_has_programs_of_every_class():
    cases = programs.load({})
    counts = Counter(case.name.partition("/")[0] for case in cases)
    assert set(counts) == set(programs.CLASSES)
    assert len(cases) >= 64
    assert counts["controls"] >= 14
    assert all(case.is_control for case in cases if case.name.startswith("controls/"))


def test_a_program_states_its_class_what_it_expects_and_what_it_tries():
    for path in programs.FOLDER.rglob("*.*"):
        if path.suffix in (".py", ".txt"):
            keys = programs.header(path.read_text(encoding="utf-8"))
            assert keys["class"] == path.parent.name
            assert {"expect", "tries"} <= keys.keys()
            assert "task" in keys or {"inputs", "outputs"} <= keys.keys()


def test_no_program_may_be_judged_by_the_machine():
    assert all(code.TestVerdict.INFRASTRUCTURE not in case.expected for case in programs.load({}))
