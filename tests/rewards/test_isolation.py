"""Each canary tells when its layer is missing, and a machine without isolation is refused."""

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from klear_core.errors import ConfigError
from klear_core.rewards.sandbox import backends, limits, pool
from tests.rewards.small import LIMITS, NO_BWRAP, SHORT, answers, outputs, program

pytestmark = pytest.mark.slow
_Ended = limits.Ended
_LAYERS = ("seccomp", "landlock", "namespaces")


@pytest.fixture
def sandbox():
    with pool.Sandbox(LIMITS, slots=4) as made:
        yield made


def test_a_cpu_limit_that_a_program_lowers_is_not_the_machines_fault():
    early = "import resource\ntry: resource.setrlimit(0, (1, 1))\nexcept Exception: pass\nwhile True: pass"
    with pool.Sandbox(dataclasses.replace(LIMITS, cpu_s=1.5)) as sandbox:
        (run,) = sandbox.run(program(early))
    assert run.ended is _Ended.CPU


def test_an_honest_program_may_have_its_threads(sandbox):
    threads = (
        "import threading\nstop = threading.Event()\nmade = [threading.Thread(target=stop.wait) for _ in range(24)]\n"
    )
    threads += "[each.start() for each in made]\nstop.set()\n[each.join() for each in made]\nprint(len(made))"
    assert outputs(sandbox.run(program(threads))) == answers(24)


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (("landlock", "namespaces"), ("open a socket", "open a local socket", "start a process")),
        (("seccomp", "namespaces"), ("read a file", "list a folder")),
        (("namespaces",), ("read a file", "write a file", "start a process", "execute a program", "write to shared")),
        ((), ("read a file", "open a socket", "start a process", "execute a program")),
    ],
)
def test_canaries_tell_which_layer_is_missing(layers, told, monkeypatch):
    monkeypatch.setattr(backends, "_LAYERS", layers or ("none",))
    with pytest.raises(ConfigError) as refused:
        pool.Sandbox(LIMITS, backend="native")
    for word in told:
        assert word in str(refused.value)
    assert not list(Path("/dev/shm").glob(f"canary-{os.getpid()}"))


def test_a_machine_that_runs_out_of_memory_ends_guests_first(sandbox):
    sandbox.run(SHORT)
    assert Path(f"/proc/{sandbox._zygote.process.pid}/oom_score_adj").read_text().strip() == "1000"


@pytest.mark.parametrize("layers", [("seccomp", "landlock"), _LAYERS])
def test_canaries_hold_where_the_layers_suffice(layers, monkeypatch):
    monkeypatch.setattr(backends, "_LAYERS", layers)
    with pool.Sandbox(LIMITS, backend="native") as sandbox:
        assert sandbox.isolation.startswith("native: seccomp")


@pytest.mark.skipif(NO_BWRAP, reason="bwrap is not installed (Debian: apt-get install bubblewrap)")
@pytest.mark.parametrize("layers", [("seccomp",), ("seccomp", "namespaces"), ("seccomp", "landlock"), _LAYERS])
def test_canaries_hold_in_bubblewrap_with_and_without_landlock(layers, monkeypatch):
    monkeypatch.setattr(backends, "_LAYERS", layers)
    with pool.Sandbox(LIMITS, backend="bubblewrap") as sandbox:
        assert sandbox.isolation.startswith("bubblewrap: seccomp")
        assert outputs(sandbox.run(SHORT)) == answers(1, 2, 3)


def test_a_machine_without_any_isolation_is_refused_with_ways_on(monkeypatch):
    monkeypatch.setattr(backends, "_LAYERS", ("none",))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError) as refused:
        pool.Sandbox(LIMITS)
    for word in ("read a file", "bwrap is not installed", "seccomp", "Landlock", "apt-get", "allow_unisolated=true"):
        assert word in str(refused.value)


def test_running_without_isolation_is_said_in_every_record(monkeypatch):
    monkeypatch.setattr(backends, "_LAYERS", ("none",))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pool.Sandbox(LIMITS, allow_unisolated=True) as sandbox:
        assert sandbox.isolation.startswith("UNISOLATED: no layer")
        assert outputs(sandbox.run(SHORT)) == answers(1, 2, 3)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_get_one_clear_line_and_no_weaker_sandbox(monkeypatch, platform):
    monkeypatch.setattr("sys.platform", platform)
    with pytest.raises(ConfigError, match=f"running programs needs Linux, and this is {platform}"):
        pool.Sandbox(LIMITS, allow_unisolated=True)
