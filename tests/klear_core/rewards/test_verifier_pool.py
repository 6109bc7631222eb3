"""Verifier processes: deadlines, memory, deaths, and that none outlives what it was started for."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from klear_core.records import Verdict
from klear_core.rewards.verifier_pool import WorkerPool, WorkerSettings
from tests.klear_core.rewards.processes import is_running

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = WorkerSettings(
    module="tests.klear_core.rewards.hostile_judge", options={}, cpu_limit_s=0.3, deadline_s=5.0, memory_limit_mib=512
)
IMPATIENT = replace(HOSTILE, deadline_s=1.0)
PARENT = """
import sys, threading
sys.path.insert(0, {root!r})
from klear_core.rewards.verifier_pool import WorkerPool, WorkerSettings
settings = WorkerSettings(module="tests.klear_core.rewards.hostile_judge", options={{}}, cpu_limit_s=100.0,
                          deadline_s=200.0, memory_limit_mib=512)
pool = WorkerPool(settings, num_workers=2)
pool.ask_many([("a", "a"), ("b", "b")])
threads = [threading.Thread(target=pool.ask, args=("a", {answer!r}), daemon=True) for _ in range(2)]
for thread in threads if {answer!r} else []:
    thread.start()
while len(pool.worker_pids()) < 1:
    pass
print(*pool.worker_pids(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with contextlib.closing(WorkerPool(HOSTILE, num_workers=1)) as made:
        yield made


def comes_true(claim: Callable[[], bool], *, within_s: float = 10.0) -> bool:
    ends = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


def test_no_process_starts_before_the_first_answer(pool):
    assert pool.worker_pids() == []
    assert pool.ask("a", "a")[0] is Verdict.CORRECT
    assert len(pool.worker_pids()) == 1


def test_one_process_serves_many_answers(pool):
    assert len({pool.ask("a", str(k))[1] for k in range(20)}) == 1


@pytest.mark.parametrize("answer", ["spin", "swallow"])
def test_the_workers_own_timer_ends_an_endless_answer_and_spares_the_worker(pool, answer):
    pool.ask("a", "a")
    pids = pool.worker_pids()
    started = time.monotonic()
    verdict, reason = pool.ask("a", answer)
    assert (verdict, reason) == (Verdict.TIMEOUT, "more than 0.3 CPU seconds")
    assert time.monotonic() - started < HOSTILE.deadline_s
    assert pool.worker_pids() == pids
    assert pool.ask("a", "a")[0] is Verdict.CORRECT


def test_the_parents_deadline_ends_what_no_signal_interrupts():
    with contextlib.closing(WorkerPool(IMPATIENT, num_workers=1)) as pool:
        pool.ask("a", "a")
        pids = pool.worker_pids()
        started = time.monotonic()
        assert pool.ask("a", "compute") == (Verdict.TIMEOUT, "no verdict within 1 s")
        assert time.monotonic() - started < IMPATIENT.deadline_s + 1
        assert not any(is_running(pid) for pid in pids)
        assert pool.ask("a", "a")[0] is Verdict.CORRECT


def test_a_worker_that_gets_no_cpu_is_an_error_of_the_grading_and_no_timeout():
    with contextlib.closing(WorkerPool(IMPATIENT, num_workers=1)) as pool:
        verdict, reason = pool.ask("a", "sleep")
    assert (verdict, reason) == (Verdict.GRADER_ERROR, "a verifier process got too little CPU, twice")


def test_a_memory_bomb_costs_its_worker_and_nothing_else(pool):
    pool.ask("a", "a")
    pids = pool.worker_pids()
    assert pool.ask("a", "bomb") == (Verdict.TIMEOUT, "more than 512 MiB of memory")
    assert pool.worker_pids() == []
    assert pool.ask("a", "a")[0] is Verdict.CORRECT
    assert pool.worker_pids() != pids


@pytest.mark.parametrize("answer", ["exit", "crash"])
def test_an_answer_that_kills_two_workers_is_an_error_of_the_grading(pool, answer):
    assert pool.ask("a", answer) == (Verdict.GRADER_ERROR, "a verifier process ended in mid-answer, twice")
    assert pool.ask("a", "a")[0] is Verdict.CORRECT


def test_an_answer_whose_worker_dies_once_is_asked_again(pool, tmp_path):
    answer = f"crash-once {tmp_path / 'died'}"
    assert pool.ask(answer, answer)[0] is Verdict.CORRECT
    assert (tmp_path / "died").exists()


def test_workers_that_die_in_mid_answer_lose_no_answer_of_many(tmp_path):
    answers = [f"crash-once {tmp_path / str(k)}" if k % 5 == 0 else str(k) for k in range(40)]
    with contextlib.closing(WorkerPool(HOSTILE, num_workers=2)) as pool:
        replies = pool.ask_many([(answer, answer) for answer in answers])
    assert [verdict for verdict, _ in replies] == [Verdict.CORRECT] * 40


def test_an_answer_whose_worker_is_killed_in_mid_answer_is_asked_again(pool, tmp_path):
    at_work = tmp_path / "at work"
    answer = f"sleep-once {at_work}"
    found: list[Verdict] = []
    thread = threading.Thread(target=lambda: found.append(pool.ask(answer, answer)[0]))
    thread.start()
    assert comes_true(at_work.exists)
    (pid,) = pool.worker_pids()
    os.kill(pid, signal.SIGKILL)
    thread.join()
    assert found == [Verdict.CORRECT]
    assert pool.worker_pids() != [pid]


def test_a_worker_killed_from_outside_is_replaced(pool):
    pool.ask("a", "a")
    (pid,) = pool.worker_pids()
    os.kill(pid, signal.SIGKILL)
    assert comes_true(lambda: not is_running(pid))
    assert pool.ask("a", "a")[0] is Verdict.CORRECT


def test_an_exception_in_the_judge_is_an_error_of_the_grading(pool):
    assert pool.ask("a", "raise") == (Verdict.GRADER_ERROR, "ArithmeticError in the verifier")


def test_endless_recursion_is_an_answer_too_deep_to_judge(pool):
    assert pool.ask("a", "recurse") == (Verdict.UNPARSABLE, "too deeply nested to judge")


def test_what_a_judge_prints_is_no_reply(pool):
    assert pool.ask("print", "print")[0] is Verdict.CORRECT
    assert pool.ask("a", "b")[0] is Verdict.WRONG


@pytest.mark.parametrize("text", ["\x00", "\ud800", "\r\n", '"]\n["', "\u2028", "𝟙", ""])
def test_every_text_reaches_the_judge_as_it_is(pool, text):
    assert pool.ask(text, text)[0] is Verdict.CORRECT


def test_replies_keep_the_order_of_the_answers_over_several_workers():
    with contextlib.closing(WorkerPool(HOSTILE, num_workers=2)) as pool:
        replies = pool.ask_many([("spin" if k == 3 else str(k % 2), "spin" if k == 3 else "0") for k in range(12)])
        pids = {reason for verdict, reason in replies if verdict is not Verdict.TIMEOUT}
    expected = [Verdict.TIMEOUT if k == 3 else (Verdict.WRONG if k % 2 else Verdict.CORRECT) for k in range(12)]
    assert [verdict for verdict, _ in replies] == expected
    assert len(pids) == 2


def test_a_pool_serves_many_threads_and_its_workers_outlive_the_thread_that_needed_them_first():
    with contextlib.closing(WorkerPool(HOSTILE, num_workers=2)) as pool:
        found: list[Verdict] = []
        for _ in range(2):
            threads = [threading.Thread(target=lambda k=k: found.append(pool.ask(str(k), str(k))[0])) for k in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            pids = pool.worker_pids()
            time.sleep(0.1)
            assert pool.worker_pids() == pids
    assert found == [Verdict.CORRECT] * 16


def test_closing_leaves_no_process_no_thread_and_no_descriptor():
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with contextlib.closing(WorkerPool(IMPATIENT, num_workers=2)) as pool:
        pool.ask_many([("a", "a"), ("a", "exit"), ("a", "bomb"), ("a", "compute"), ("a", "b")])
        pids = pool.worker_pids()
    assert not any(is_running(pid) for pid in pids)
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("answer", ["", "compute"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent_idle_or_at_work(answer, number):
    program = PARENT.format(root=str(ROOT), answer=answer)
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert pids
        assert all(is_running(pid) for pid in pids)
        parent.send_signal(number)
    assert comes_true(lambda: not any(is_running(pid) for pid in pids))


def test_a_worker_that_cannot_start_is_an_error_of_the_grading():
    broken = replace(HOSTILE, module="tests.klear_core.rewards.no_such_judge")
    with contextlib.closing(WorkerPool(broken, num_workers=1)) as pool:
        assert pool.ask("a", "a") == (Verdict.GRADER_ERROR, "a verifier process ended in mid-answer, twice")
