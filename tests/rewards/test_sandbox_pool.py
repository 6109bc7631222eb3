"""The sandbox survives the death of any of its processes, leaves nothing behind, and tells when it is not whole."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from klear_core.errors import ConfigError
from klear_core.rewards.sandbox import backends, limits, pool, watch, zygote_process
from tests.rewards import processes
from tests.rewards.small import LIMITS, NO_BWRAP, SHORT, SLEEPY, answers, outputs, program

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).resolve().parents[2]
_Ended = limits.Ended
_BACKENDS = pytest.mark.parametrize(
    "backend",
    ["native", pytest.param("bubblewrap", marks=pytest.mark.skipif(NO_BWRAP, reason="bwrap is not installed"))],
)


@pytest.fixture
def sandbox():
    with pool.Sandbox(LIMITS, slots=4) as made:
        yield made


def in_thread(call, *arguments):
    thread = threading.Thread(target=call, args=arguments)
    thread.start()
    return thread


def kill_guests(sandbox, times):
    """Kill every guest that is seen ``times`` times over, as somebody else on the machine may do."""
    for _ in range(times):
        guests = []

        def found(guests=guests):
            zygote = sandbox._zygote
            guests[:] = processes.children(zygote.process.pid) if zygote else []
            return bool(guests)

        processes.wait_until(found)
        for guest in guests:
            os.kill(guest, signal.SIGKILL)
        processes.wait_until(lambda guests=guests: not any(map(processes.is_alive, guests)))


def test_a_zygote_that_is_killed_costs_no_answer(sandbox):
    sandbox.run(SHORT)

    def kill():
        time.sleep(0.15)
        sandbox._zygote.process.kill()

    killer = in_thread(kill)
    found = sandbox.run_all([SLEEPY, SHORT, SLEEPY, SLEEPY, SHORT, SLEEPY, SLEEPY])
    killer.join()
    assert [outputs(runs) for runs in found] == [answers(1, 2, 3) if len(runs) == 3 else answers(7) for runs in found]


def test_a_zygote_that_is_killed_at_random_moments_breaks_nothing(sandbox):
    chance, stop = random.Random(3), threading.Event()

    def kill():
        while not stop.wait(chance.uniform(0.02, 0.25)):
            if zygote := sandbox._zygote:
                zygote.process.kill()

    killer = in_thread(kill)
    found = sandbox.run_all([SHORT] * 12 + [SLEEPY] * 4)
    stop.set()
    killer.join()
    for runs in found:
        assert all(run.ended in (_Ended.ANSWERED, _Ended.LOST) for run in runs)
        assert all(run.output for run in runs if run.ended is _Ended.ANSWERED)
    assert outputs(sandbox.run(SHORT)) == answers(1, 2, 3)


def test_a_guest_that_is_killed_once_is_repeated(sandbox):
    killer = in_thread(kill_guests, sandbox, 1)
    assert outputs(sandbox.run(SLEEPY)) == answers(7)
    killer.join()


def test_a_guest_that_is_killed_twice_is_lost_and_the_next_test_is_not(sandbox):
    slow = program("import time; time.sleep(0.3); print(input())", "1", "2")
    killer = in_thread(kill_guests, sandbox, 2)
    first, second = sandbox.run(slow)
    killer.join()
    assert (first.ended, outputs([second])) == (_Ended.LOST, answers(2))


def test_answers_before_a_death_count(sandbox):
    slow = limits.Program(
        source="import time\ndef f(n):\n    time.sleep(0.4 * n)\n    return n", entry="f", inputs=("[0]", "[1]", "[0]")
    )

    def kill():
        time.sleep(0.2)
        kill_guests(sandbox, 1)

    killer = in_thread(kill)
    assert [run.output for run in sandbox.run(slow)] == [b"0", b"1", b"0"]
    killer.join()


@_BACKENDS
def test_a_zygote_that_hangs_is_replaced(backend, monkeypatch):
    monkeypatch.setattr(watch, "_GRACE_S", 0.5)
    with pool.Sandbox(LIMITS, backend=backend) as sandbox:
        sandbox.run(SHORT)
        hanging = [sandbox._zygote.process.pid, *processes.descendants(sandbox._zygote.process.pid)]
        for process in hanging:
            os.kill(process, signal.SIGSTOP)
        assert outputs(sandbox.run(SHORT)) == answers(1, 2, 3)
    assert processes.wait_until(lambda: not any(map(processes.is_alive, hanging)))


def test_a_zygote_that_does_not_start_again_loses_the_batch_only(sandbox, monkeypatch):
    tried = []

    def refuse():
        tried.append(1)
        raise ConfigError("no more processes")

    whole = sandbox._backend
    monkeypatch.setattr(sandbox, "_backend", backends.Backend(told="", is_isolated=True, start=refuse))
    found = sandbox.run_all([SHORT] * 5)
    assert {run.ended for runs in found for run in runs} == {_Ended.LOST}
    assert "no more processes" in found[0][0].error
    assert len(tried) == 2
    monkeypatch.setattr(sandbox, "_backend", whole)
    assert outputs(sandbox.run(SHORT)) == answers(1, 2, 3)


def with_patched_zygote(monkeypatch, patch):
    start = zygote_process._START.replace("from klear", f"{patch}; from klear", 1)
    monkeypatch.setattr(zygote_process, "_START", start)


def test_a_guest_that_cannot_enter_a_layer_runs_nothing(sandbox, monkeypatch):
    with_patched_zygote(
        monkeypatch,
        "import klear_core.rewards.sandbox.isolation as i; "
        "i._set_limits = lambda *_, **__: (_ for _ in ()).throw(OSError('refused'))",
    )
    (run,) = sandbox.run(SLEEPY)
    assert (run.ended, run.output) == (_Ended.NO_ISOLATION, b"")
    assert "refused" in run.error


def test_a_zygote_with_fewer_layers_than_were_proven_is_not_used(sandbox, monkeypatch):
    assert outputs(sandbox.run(SHORT)) == answers(1, 2, 3)
    sandbox._zygote.process.kill()
    with_patched_zygote(monkeypatch, "import klear_core.rewards.sandbox.isolation as i; i.ARCHES = {}")
    (run,) = sandbox.run(SLEEPY)
    assert run.ended is _Ended.LOST
    assert "layers were lost" in run.error


def test_closing_leaves_no_process_and_no_descriptor():
    before = processes.descriptors()
    with pool.Sandbox(LIMITS) as sandbox:
        sandbox.run_all([SHORT, SLEEPY])
        zygote = sandbox._zygote.process.pid
        started = [zygote, *processes.descendants(zygote)]
    assert processes.descriptors() == before
    assert not any(map(processes.is_alive, started))


def test_an_interrupt_leaves_nothing_and_the_sandbox_goes_on(sandbox):
    before = processes.descriptors()
    usual = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for after_s in (0.01, 0.05, 0.2, 0.33):
            signal.setitimer(signal.ITIMER_REAL, after_s)
            with pytest.raises(KeyboardInterrupt):
                sandbox.run_all([SLEEPY] * 20)
    finally:
        signal.signal(signal.SIGALRM, usual)
    assert processes.descriptors() == before
    assert sandbox._zygote is None
    assert outputs(sandbox.run(SHORT)) == answers(1, 2, 3)


_TRAINER = """
import sys
from klear_core.rewards.sandbox import pool
from tests.rewards.small import LIMITS, program
sandbox = pool.Sandbox(LIMITS, slots=4, backend=sys.argv[1])
sandbox.run(program("pass"))
print(sandbox._zygote.process.pid, flush=True)
sandbox.run_all([program("import time; time.sleep(1000)"), program("while True: pass")] * 4)
"""


@_BACKENDS
def test_a_trainer_that_is_killed_leaves_no_process(backend):
    command = [sys.executable, "-c", _TRAINER, backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT, env={**os.environ, "PYTHONPATH": "."}) as trainer:
        zygote = int(trainer.stdout.readline())
        assert processes.wait_until(lambda: len(processes.descendants(zygote)) >= 4)
        started = [zygote, *processes.descendants(zygote)]
        trainer.kill()
    assert processes.wait_until(lambda: not any(map(processes.is_alive, started)), seconds=5)


def test_two_sandboxes_work_side_by_side(sandbox):
    with pool.Sandbox(LIMITS, slots=2) as other:
        found = {}

        def work(name, box):
            found[name] = [outputs(runs) for runs in box.run_all([SHORT, SLEEPY] * 4)]

        for thread in [in_thread(work, "a", sandbox), in_thread(work, "b", other)]:
            thread.join()
    assert found["a"] == found["b"] == [answers(1, 2, 3), answers(7)] * 4


@_BACKENDS
def test_a_sandbox_outlives_the_thread_that_made_it(backend):
    made = []

    def make():
        made.append(pool.Sandbox(LIMITS, backend=backend))
        made[0].run(SHORT)

    in_thread(make).join()
    time.sleep(0.1)
    zygote = made[0]._zygote
    assert outputs(made[0].run(SHORT)) == answers(1, 2, 3)
    is_same = made[0]._zygote is zygote
    made[0].close()
    assert is_same


def test_one_sandbox_serves_threads_one_after_the_other(sandbox):
    found = []
    threads = [in_thread(lambda: found.append(outputs(sandbox.run(SHORT)))) for _ in range(6)]
    for thread in threads:
        thread.join()
    assert found == [answers(1, 2, 3)] * 6
