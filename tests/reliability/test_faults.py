"""Faults inside runs, damage to them, signals, commands that meet: a stated end, and the same command loses nothing.

One small sweep has a run for every fault: struck by the first command, and made good by the same one without the fault.
"""

import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from klear_core.runs import schema
from klear_core.runs.store import read_json, write_json
from tests.reliability.killing import fingerprints, group_lives
from tests.reliability.lab import (
    ALWAYS,
    ARM,
    Lab,
    check_same,
    events,
    flip,
    folder_of,
    how,
    rows,
    status_of,
    truncate,
    until,
)
from tests.reliability.run_faults import GO, WAITS

pytestmark = pytest.mark.slow
NOBODY = 65534
LEDGER = schema.LEDGER_FILE

# Faults inside a run at its third step of four, and how the run must end.
STRIKES = {
    "full_at_record": ("infrastructure", "steps.jsonl cannot be written"),
    "full_at_checkpoint": ("infrastructure", "cannot be written"),
    "full_at_model": ("infrastructure", "checkpoint cannot be written"),
    "full_at_tables": ("infrastructure", "eval.parquet cannot be written"),
    "sync_fails": ("infrastructure", "cannot be synced: Input/output error"),
    "folder_removed": ("infrastructure", "does not exist"),
    "terminated": ("killed", "killed by SIGTERM"),
    "die": ("killed", "killed by SIGKILL"),
    "silent_exit": ("bug", "ended with exit code 0 and said nothing"),
}
CLOCKS = ("clock_back", "clock_forward")


def in_the_way(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")


def foreign(path: Path) -> None:
    """A file of another user that nobody else may open."""
    in_the_way(path)
    path.chmod(0o600 if os.geteuid() == 0 else 0)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


# What stands in the folder of a run before it starts, and what it ends with.
OBSTACLES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a file for the checkpoints": (in_the_way, schema.RESUME_DIR, "resume is a file, and a run folder is needed there"),
    "a file for the final model": (in_the_way, schema.CHECKPOINT_DIR, "checkpoint cannot be written: Not a directory"),
    "a folder for a record": (Path.mkdir, schema.TIMINGS_FILE, "Is a directory"),
    "a record of another user": (foreign, schema.TIMINGS_FILE, "Permission denied"),
}


def newest(folder: Path) -> Path:
    return folder / schema.RESUME_DIR / (folder / schema.RESUME_DIR / "latest").read_text().strip()


def tear(path: Path) -> None:
    """The beginning of a line that was being written."""
    with path.open("ab") as file:
        file.write(b'{"step": 9, "upda')


def take_number(folder: Path) -> None:
    """The status and the lock of a dead process whose number a living one has now."""
    status = read_json(folder / schema.STATUS_FILE)
    mine = status["owner"] | {"pid": os.getpid(), "process_start": "1"}
    write_json(folder / schema.STATUS_FILE, status | {"state": "running", "exit_class": "", "owner": mine})
    (folder / schema.LOCK_FILE).write_text(f'{{"pid": {os.getpid()}}}')


# Damage to the folder of a run that was killed at its last step; the step it must go on after, and what its log says.
DAMAGES: dict[str, tuple[Callable[[Path], object], int | None, str]] = {
    "a byte of the newest checkpoint": (
        lambda folder: flip(newest(folder) / "model.safetensors"),
        3,
        "is damaged and passed over: model.safetensors has another sha256",
    ),
    "half of the newest checksums": (lambda folder: truncate(newest(folder) / "sha256.json"), 3, "passed over"),
    "both checkpoints": (
        lambda folder: [flip(path) for path in folder.glob(f"{schema.RESUME_DIR}/*/state.json")],
        None,
        "rows of steps.jsonl after the checkpoint are made again",
    ),
    "a newest checkpoint that is not there": (
        lambda folder: (folder / schema.RESUME_DIR / "latest").write_text("000999\n"),
        3,
        "attempt 2 goes on after step 3",
    ),
    "a torn last record": (lambda folder: tear(folder / schema.STEPS_FILE), 3, "are in steps.cut1.jsonl"),
    "a byte of an early record": (
        lambda folder: flip(folder / schema.STEPS_FILE, 0.1),
        None,
        "line 1 is damaged: its checksum does not match, and the checkpoint needs 3 rows: the run starts over",
    ),
    "a record file": (lambda folder: (folder / schema.EVAL_LOG).unlink(), None, "eval.jsonl does not exist"),
    "half of the manifest": (lambda folder: truncate(folder / schema.MANIFEST_FILE), 3, ""),
    "a process number that is taken": (take_number, 3, ""),
}

NAMES = [*STRIKES, *CLOCKS, *OBSTACLES, *DAMAGES]
EVERY = range(len(NAMES))


@pytest.fixture(scope="module")
def whole(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep without any fault."""
    root = tmp_path_factory.mktemp("whole")
    ended = lab.run(root, ALWAYS, "launch.time_limit_s=600", seeds=EVERY)
    assert ended.code == 0, ended.text
    return root


@pytest.fixture(scope="module")
def struck(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep with a fault in every run, after its first command."""
    root = tmp_path_factory.mktemp("struck")
    for name, (place, where, _) in OBSTACLES.items():
        folder = folder_of(root, NAMES.index(name))
        folder.mkdir(parents=True)
        place(folder / where)
    planted = {f"{ARM}/seed{NAMES.index(name)}": name for name in (*STRIKES, *CLOCKS)}
    rights = "without_power_over_files" if os.geteuid() == 0 else ""
    given = [ALWAYS, "launch.time_limit_s=600"]
    late = {f"{ARM}/seed{NAMES.index(name)}": "die" for name in DAMAGES}
    ended = lab.run(root, *given, seeds=EVERY, runs=planted, step=3, late=late, command=rights)
    assert ended.code == 1, ended.text
    return root


@pytest.fixture(scope="module")
def seen(struck: Path) -> dict[str, schema.Status]:
    """Where each run stood after the first command."""
    return {name: status_of(folder_of(struck, seed)) for seed, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def healed(lab: Lab, struck: Path, seen: dict[str, schema.Status]) -> Path:
    """The struck sweep, obstacles removed and other damage done, after the same command without a fault."""
    for name, (_, where, _) in OBSTACLES.items():
        path = folder_of(struck, NAMES.index(name)) / where
        path.rmdir() if path.is_dir() else path.unlink()
    for name, (damage, _, _) in DAMAGES.items():
        damage(folder_of(struck, NAMES.index(name)))
    tear(struck / "clipping" / LEDGER)
    truncate(struck / "clipping" / schema.PLAN_FILE)
    ended = lab.run(struck, ALWAYS, "launch.time_limit_s=600", seeds=EVERY)
    assert ended.code == 0, ended.text
    return struck


@pytest.mark.parametrize("name", STRIKES)
def test_a_fault_inside_a_run_has_its_class_and_costs_no_result(name, seen, healed, whole):
    exit_class, reason = STRIKES[name]
    status = seen[name]
    assert (status.state, status.exit_class) == ("failed", exit_class)
    assert reason in status.reason
    check_same(healed, whole, NAMES.index(name))


@pytest.mark.parametrize("name", CLOCKS)
def test_a_jump_of_the_clock_changes_no_duration_and_passes_no_limit(name, seen, struck, whole):
    status = seen[name]
    assert (status.state, status.exit_class) == ("done", "ok")
    began, ended = (datetime.fromisoformat(moment) for moment in (status.started, status.ended))
    assert abs((ended - began).total_seconds()) > 3000
    assert 0 < status.wall_s < 300
    timings = rows(folder_of(struck, NAMES.index(name)) / schema.TIMINGS_FILE)
    assert all(0 <= row[key] < 300 for row in timings for key in row if key.endswith("_s") and "per" not in key)
    check_same(struck, whole, NAMES.index(name))


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_stands_in_the_way_of_a_run_is_named_and_its_removal_is_enough(name, seen, healed, whole):
    status = seen[name]
    assert (status.state, status.exit_class) == ("failed", "infrastructure")
    assert OBSTACLES[name][2] in status.reason
    check_same(healed, whole, NAMES.index(name))


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_to_an_unfinished_run_is_told_and_made_good(name, seen, healed, whole):
    _, resumed, told = DAMAGES[name]
    folder = folder_of(healed, NAMES.index(name))
    assert (seen[name].state, seen[name].exit_class) == ("failed", "killed")
    assert status_of(folder).resumed_step == resumed
    assert told in (folder / schema.LOG_FILE).read_text()
    check_same(healed, whole, NAMES.index(name))


def test_a_torn_ledger_and_half_a_plan_stop_nobody(healed):
    assert [row["exit_code"] for row in events(healed, "sweep_ended")] == [1, 0]
    assert list((healed / "clipping").glob("ledger.cut*.jsonl"))
    assert len(read_json(healed / "clipping" / schema.PLAN_FILE)["runs"]) == len(NAMES)


def test_a_power_cut_between_the_first_two_files_of_a_run_is_gone_on_from(lab, tmp_path, whole):
    assert lab.run(tmp_path, ALWAYS, command="die_after_first_file").code == -signal.SIGKILL
    ended = lab.run(tmp_path, ALWAYS)
    assert ended.code == 0, ended.text
    check_same(tmp_path, whole)


@pytest.mark.parametrize(
    ("number", "code", "state"),
    [(number, 130, "interrupted") for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)],
)
def test_a_signal_to_the_command_stops_its_runs_and_the_same_command_goes_on(lab, tmp_path, whole, number, code, state):
    pid = lab.start(tmp_path, ALWAYS, seeds=(0, 1), runs={f"{ARM}/seed{seed}": "wait" for seed in (0, 1)}, step=3)
    folders = [folder_of(tmp_path, seed) for seed in (0, 1)]
    until(lambda: all((tmp_path / f"{WAITS}{seed}").exists() for seed in (0, 1)))
    os.kill(pid, number)
    ended = lab.wait(pid)
    assert ended.code == code
    assert "Traceback" not in ended.text
    until(lambda: not group_lives(pid))
    assert [status_of(folder).state for folder in folders] == [state] * 2
    assert lab.run(tmp_path, ALWAYS, seeds=(0, 1)).code == 0
    for seed, folder in enumerate(folders):
        assert status_of(folder).resumed_step == 2
        check_same(tmp_path, whole, seed)


def test_a_second_command_in_the_same_folder_is_refused_and_the_first_undisturbed(lab, tmp_path, whole):
    first = lab.start(tmp_path, ALWAYS, runs={f"{ARM}/seed0": "wait"}, step=3)
    try:
        until((tmp_path / f"{WAITS}0").exists)
        owner = status_of(folder_of(tmp_path)).owner.pid
        assert f"is in use by process {owner}; wait for it" in lab.run(tmp_path, ALWAYS).error
        # Other runs of the same sweep meet the sweep's own lock.
        assert f"clipping is in use by process {first}; wait for it" in lab.run(tmp_path, ALWAYS, seeds=[1]).error
        assert not folder_of(tmp_path, 1).exists()
        (tmp_path / GO).touch()
        assert lab.wait(first).code == 0
    finally:
        lab.kill(first)
    assert status_of(folder_of(tmp_path)).attempt == 1
    check_same(tmp_path, whole)


def test_two_sweeps_that_share_a_supervised_start_train_it_once(lab, tmp_path):
    gate = tmp_path / "gate"
    own = ["sft.checkpoint=null", "sft.steps=10", "rl.steps=1"]
    first = lab.start(tmp_path, *own, command="sft_waits", value=str(gate))
    try:
        (log,) = until(lambda: list(tmp_path.glob(f"_sft/*/{schema.STEPS_FILE}")))
        until(lambda: len(rows(log)) == 2)
        second = lab.start(tmp_path, *own, "sweep.name=other")
        until(lambda: rows(tmp_path / "other" / LEDGER)[1:])
        gate.touch()
        assert [lab.wait(pid).code for pid in (first, second)] == [0, 0]
    finally:
        lab.kill(first)
    assert status_of(log.parent).attempt == 1
    assert [row["step"] for row in rows(log)] == list(range(1, 11))
    assert fingerprints(tmp_path / "clipping") == fingerprints(tmp_path / "other")


def test_runs_whose_supervised_start_failed_are_not_started_and_say_why(lab, tmp_path):
    own = ["sft.checkpoint=null", "sft.steps=10", "rl.steps=1"]
    ended = lab.run(tmp_path, *own, command="sft_fails")
    assert ended.code == 1
    (start,) = tmp_path.glob("_sft/*")
    assert how(start) == ("failed", "bug")
    (left,) = events(tmp_path, "run_not_started")
    assert left["reason"] == f"its supervised start {start} failed: bug: ZeroDivisionError: a planted mistake"
    assert f"not started: {folder_of(tmp_path)}: its supervised start" in ended.text
    assert not (folder_of(tmp_path) / schema.STATUS_FILE).exists()
    assert lab.run(tmp_path, *own).code == 0
    assert how(folder_of(tmp_path)) == ("done", "ok")
