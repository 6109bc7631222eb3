"""SIGKILL at random times, to the parent alone and to the whole group: nothing is lost, nothing is doubled."""

import random
import signal
import time

import pytest

from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from tests.reliability.killing import (
    DIES_WITHIN_S,
    Runner,
    check_readable,
    check_same,
    fingerprints,
    group_lives,
    kill,
    run_with_kills,
    seconds_of_work,
)
from tests.reliability.zygote import shared

pytestmark = pytest.mark.slow
KILLS = 20


@pytest.fixture(scope="module")
def runner():
    return Runner(shared(), report=False)


@pytest.fixture(scope="module")
def whole(runner, tmp_path_factory):
    """An uninterrupted sweep: its root, its fingerprints, and the seconds that its runs took."""
    root = tmp_path_factory.mktemp("whole")
    assert runner.wait(runner.start(root)) == 0, (root / "output.txt").read_text()
    return root, fingerprints(root), seconds_of_work(root)


def test_the_uninterrupted_sweep_has_something_to_lose(whole):
    root, expected, _ = whole
    assert len(expected) == 14
    for path in root.rglob(schema.STEPS_FILE):
        rows = list(read_log(path))
        assert len({row.get("grad_norm_mean", row.get("grad_norm")) for row in rows}) > len(rows) / 2


def test_twenty_kills_at_random_times_lose_nothing(runner, whole, tmp_path):
    _, expected, work_s = whole
    seen = run_with_kills(runner, tmp_path, kills=KILLS, rng=random.Random(5), longest_s=work_s / 2)
    for folder in seen["folders"]:
        check_same(fingerprints(folder), expected)
    assert seen["slowest_death_s"] < DIES_WITHIN_S
    statuses = [store.read_status(path.parent) for folder in seen["folders"] for path in folder.rglob("status.json")]
    assert any(status.resumed_step for status in statuses), "no kill has hit a run in its middle"


# Every write that a crash may tear: the nth call of it in any process of the sweep is its last.
POINTS = {
    "write": (3, 70, 140),  # a row of a record
    "fsync": (5, 60, 200),
    "rename": (2, 9, 25),  # a status, a generation, the final model
    "replace": (3, 12, 30),
}


@pytest.mark.parametrize("call", POINTS)
def test_a_kill_in_the_middle_of_a_write_loses_nothing(runner, whole, tmp_path, call):
    _, expected, _ = whole
    for number, nth in enumerate(POINTS[call]):
        patch = {"patch": "tests.reliability.killing:die_in", "call": call, "nth": nth, "torn": number % 2 == 0}
        pid = runner.start(tmp_path, **patch)
        code = None
        deadline = time.monotonic() + 60
        while code is None and time.monotonic() < deadline:
            code = runner.poll(pid)
            time.sleep(0.02)
        assert not group_lives(pid)
        check_readable(tmp_path)
    assert runner.wait(runner.start(tmp_path)) == 0, (tmp_path / "output.txt").read_text()
    check_same(fingerprints(tmp_path), expected)


def test_the_real_command_killed_alone_takes_its_children_with_it_and_goes_on(whole, tmp_path):
    """No zygote: the fork server and its children, as a user has them."""
    _, expected, _ = whole
    runner = Runner(None)
    pid = runner.start(tmp_path, "wandb.mode=offline")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tmp_path.glob("clipping/*/seed0/steps.jsonl")):
        time.sleep(0.02)
    assert kill(pid, whole_group=False) < DIES_WITHIN_S
    assert runner.poll(pid) == -signal.SIGKILL
    check_readable(tmp_path)
    assert runner.wait(runner.start(tmp_path, "wandb.mode=offline")) == 0, (tmp_path / "output.txt").read_text()
    check_same(fingerprints(tmp_path), expected)
    for folder in (tmp_path / "clipping").glob("*/seed0"):
        status = store.read_status(folder)
        attempts = [path.name.split("-", 3)[3] for path in (folder / "wandb").glob("offline-run-*")]
        assert set(attempts) == {status.run_id}, "a resumed run keeps its id"
        assert ("last second may be missing" in status.mirror) == (status.resumed_step is not None)
