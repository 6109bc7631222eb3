"""Sweeps in which some runs must fail: the healthy ones are done, the others are classed, and only they run again."""

import math
from collections import Counter
from pathlib import Path

import pytest

from klear_core.runs import schema
from tests.reliability.killing import fingerprints
from tests.reliability.lab import ARM, Ended, Lab, events, folder_of, how, rows, status_of

pytestmark = pytest.mark.slow

TWENTY = ["objective=clip_higher,gppo", "launch.slots=3", "retries=1", "rl.steps=2"]
# A run of this size has 430 MiB of data; it takes half a second on an idle machine.
LIMITS = ["launch.memory_limit_mb=2000", "launch.time_limit_s=6"]
POISONED = {
    "clip_higher-u2/seed0": ("hang_deaf", "killed", "passed launch.time_limit_s = 6 seconds"),
    "clip_higher-u2/seed3": ("memory", "oom", "can't allocate memory"),
    "clip_higher-u2/seed7": ("exception", "bug", "ZeroDivisionError: a planted mistake"),
    "gppo-u2/seed2": ("segfault", "bug", "crashed with SIGSEGV"),
    "gppo-u2/seed6": ("nan", "diverged", "at step 2: loss is nan (2 of 2 updates are not finite)"),
}


@pytest.fixture(scope="module")
def twenty(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Twenty runs, five of them poisoned in five ways, after their first command."""
    root = tmp_path_factory.mktemp("twenty")
    planted = {place: fault for place, (fault, _, _) in POISONED.items()}
    return root, lab.run(root, *TWENTY, *LIMITS, seeds=range(10), runs=planted, report=True)


@pytest.fixture(scope="module")
def again(lab: Lab, twenty: tuple[Path, Ended]) -> tuple[Path, Ended]:
    """The same twenty after the same command without poison."""
    root, _ = twenty
    return root, lab.run(root, *TWENTY, *LIMITS, seeds=range(10))


def named(row: dict[str, object]) -> str:
    return str(row["folder"])


def test_fifteen_healthy_runs_are_done_and_five_poisoned_ones_are_classed(twenty):
    root, ended = twenty
    assert ended.code == 1, ended.text
    found = {f"{path.parts[-3]}/{path.parts[-2]}": status_of(path.parent) for path in root.rglob(schema.STATUS_FILE)}
    assert len(found) == 20
    # What the second command has made of them since is in the ledger's later half.
    first = ledger_of(root, command=0)
    outcomes = {named(row): row for row in first if row["event"] == "run_ended"}
    assert {place for place, row in outcomes.items() if row["exit_class"] != "ok"} == set(POISONED)
    for place, (_, exit_class, reason) in POISONED.items():
        assert outcomes[place]["exit_class"] == exit_class
        assert reason in outcomes[place]["reason"]
    assert "15 of 20 runs done" in ended.text


def test_out_of_memory_is_tried_twice_and_a_mistake_once(twenty):
    root, _ = twenty
    started = Counter(named(row) for row in ledger_of(root, command=0) if row["event"] == "run_started")
    assert started == Counter(dict.fromkeys(started, 1)) + Counter({"clip_higher-u2/seed3": 1})
    assert len(started) == 20


def test_the_report_lists_the_five_with_class_and_reason(twenty):
    root, ended = twenty
    text = (root / "clipping" / schema.REPORT_DIR / "report.md").read_text()
    failures = text.partition("## What failed, and why")[2].partition("##")[0]
    assert failures.count("\n- ") == 5
    for place, (_, exit_class, reason) in POISONED.items():
        arm, _, seed = place.partition("/seed")
        (line,) = [line for line in failures.splitlines() if line.startswith(f"- {arm}, seed {seed}: ")]
        assert f"failed: {exit_class}: " in line
        assert reason.replace("_", "") in line.replace("\\", "").replace("_", "")
    assert "report: " in ended.text


def test_the_ledger_tells_what_the_statuses_say(twenty):
    root, _ = twenty
    first = ledger_of(root, command=0)
    assert [first[0]["event"], first[-1]["event"]] == ["sweep_started", "sweep_ended"]
    assert (first[0]["new"], first[0]["continue"], first[0]["reuse"], first[-1]["exit_code"]) == (20, 0, 0, 1)
    open_runs: set[tuple[str, int]] = set()
    for row in first[1:-1]:
        key = (named(row), row["attempt"])
        if row["event"] == "run_started":
            open_runs.add(key)
        else:
            assert row["event"] == "run_ended"
            open_runs.remove(key)
    assert not open_runs


def test_the_second_command_runs_only_the_five(again):
    root, ended = again
    assert ended.code == 0, ended.text
    second = ledger_of(root, command=1)
    assert sorted(named(row) for row in second if row["event"] == "run_started") == sorted(POISONED)
    assert (second[0]["new"], second[0]["continue"], second[0]["reuse"]) == (0, 5, 15)
    assert second[-1]["exit_code"] == 0
    assert len([name for name in fingerprints(root) if name.endswith(schema.STEPS_FILE)]) == 20
    attempts = {place: status_of(root / "clipping" / place).attempt for place in POISONED}
    assert attempts == dict.fromkeys(POISONED, 2) | {"clip_higher-u2/seed3": 3}


@pytest.mark.parametrize(("fault", "exit_class"), [("segfault_together", "bug"), ("memory_together", "oom")])
def test_four_runs_that_fail_in_the_same_moment_take_no_other_with_them(lab, tmp_path, fault, exit_class):
    poisoned, healthy = (0, 1, 2, 3), (4, 5)
    given = ["launch.slots=4", "rl.steps=2", "launch.memory_limit_mb=2000"]
    ended = lab.run(tmp_path, *given, seeds=poisoned + healthy, runs={f"{ARM}/seed{seed}": fault for seed in poisoned})
    assert ended.code == 1
    assert [how(folder_of(tmp_path, seed)) for seed in poisoned] == [("failed", exit_class)] * 4
    assert [how(folder_of(tmp_path, seed)) for seed in healthy] == [("done", "ok")] * 2
    assert "2 of 6 runs done" in ended.text


def test_trouble_around_a_run_is_tried_again_and_nothing_else(lab, tmp_path):
    planted = {f"{ARM}/seed0": "disk_trouble", f"{ARM}/seed1": "exception", f"{ARM}/seed2": "memory"}
    planted |= {f"{ARM}/seed3": "die", f"{ARM}/seed4": "nan"}
    ended = lab.run(
        tmp_path,
        *("retries=1", "rl.steps=2", "launch.memory_limit_mb=2000"),
        seeds=range(5),
        runs=planted,
        attempts=1,
    )
    assert ended.code == 1
    found = {seed: (*how(folder_of(tmp_path, seed)), status_of(folder_of(tmp_path, seed)).attempt) for seed in range(5)}
    assert found == {
        0: ("done", "ok", 2),
        1: ("failed", "bug", 1),
        2: ("done", "ok", 2),
        3: ("failed", "killed", 1),
        4: ("failed", "diverged", 1),
    }
    assert "gppo-u2 seed 0 is tried again after infrastructure: OSError" in ended.text


def test_after_max_failures_no_run_is_started(lab, tmp_path):
    planted = {f"{ARM}/seed{seed}": "exception" for seed in (0, 1)}
    ended = lab.run(tmp_path, *("launch.slots=1", "max_failures=2", "rl.steps=2"), seeds=range(4), runs=planted, step=1)
    assert ended.code == 1
    assert [named(row) for row in events(tmp_path, "run_started")] == [f"{ARM}/seed0", f"{ARM}/seed1"]
    left = {named(row): row["reason"] for row in events(tmp_path, "run_not_started")}
    assert left == dict.fromkeys([f"{ARM}/seed2", f"{ARM}/seed3"], "max_failures: 2 runs failed before")
    assert "0 of 4 runs done" in ended.text


def test_fail_fast_stops_what_runs_and_only_failed_goes_on_with_the_failed_one_alone(lab, tmp_path):
    given = ["launch.slots=2", "rl.steps=2"]
    ended = lab.run(
        tmp_path, *given, "fail_fast=true", seeds=range(3), runs={f"{ARM}/seed0": "exception", f"{ARM}/seed1": "wait"}
    )
    assert ended.code == 1
    assert how(folder_of(tmp_path, 0)) == ("failed", "bug")
    assert how(folder_of(tmp_path, 1)) == ("interrupted", "killed")
    assert status_of(folder_of(tmp_path, 1)).reason == "its sweep ended before it"
    assert not (folder_of(tmp_path, 2) / schema.STATUS_FILE).exists()
    assert lab.run(tmp_path, *given, "only_failed=true", seeds=range(3)).code == 0
    assert [named(row) for row in ledger_of(tmp_path, command=1) if row["event"] == "run_started"] == [f"{ARM}/seed0"]
    assert how(folder_of(tmp_path, 0)) == ("done", "ok")
    assert lab.run(tmp_path, *given, seeds=range(3)).code == 0
    started = [named(row) for row in ledger_of(tmp_path, command=2) if row["event"] == "run_started"]
    assert sorted(started) == [f"{ARM}/seed1", f"{ARM}/seed2"]


@pytest.fixture(scope="module")
def budget(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Two runs that may leave out one update each: one update of the first is NaN, and two of the second."""
    root = tmp_path_factory.mktemp("budget")
    planted = {f"{ARM}/seed0": "nan_loss_once", f"{ARM}/seed1": "nan"}
    return root, lab.run(root, "rl.max_skipped_updates=1", seeds=(0, 1), runs=planted)


def test_one_update_that_is_not_finite_is_left_out_within_the_budget_and_stays_in_the_records(budget):
    root, _ = budget
    assert how(folder_of(root, 0)) == ("done", "ok")
    steps = rows(folder_of(root, 0) / schema.STEPS_FILE)
    assert [math.isnan(row["loss"]) for row in steps] == [False, True, False, False]
    assert [row["nonfinite_updates"] for row in steps] == [0, 1, 0, 0]
    assert [row["skipped_updates"] for row in steps] == [0, 1, 1, 1]


def test_one_more_than_the_budget_is_a_divergence_whose_last_row_shows_why(budget):
    root, ended = budget
    assert ended.code == 1
    assert how(folder_of(root, 1)) == ("failed", "diverged")
    steps = rows(folder_of(root, 1) / schema.STEPS_FILE)
    assert [(row["nonfinite_updates"], row["skipped_updates"]) for row in steps] == [(0, 0), (2, 2)]
    assert "2 left out so far, rl.max_skipped_updates is 1" in status_of(folder_of(root, 1)).reason


def ledger_of(root: Path, *, command: int) -> list[dict[str, object]]:
    """The events of the first, the second ... command on a sweep."""
    parts: list[list[dict[str, object]]] = []
    for row in rows(root / "clipping" / schema.LEDGER_FILE):
        if row["event"] == "sweep_started":
            parts.append([])
        parts[-1].append(row)
    return parts[command]
