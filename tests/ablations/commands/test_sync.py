"""`ablations sync`: upload commands, and mirrors and tables from the records."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest

from ablations import mirror
from ablations.commands import sync
from klear_core.runs import folders, schema, store
from klear_core.runs.log import read_log
from tests.ablations.commands.cli_store import (
    SFT_KEY,
    ablations,
    answers,
    configs,
    contents,
    refused,
    write_plan,
    write_run,
)
from tests.e2e.conftest import environment

OLD = "offline-run-20260101_000000-old"
REBUILD = ("--from-ledger", "--mode", "offline")
ROWS = answers("validation", "t1.0", 2, [[1], [0]]) + answers("test", "t1.0", 3, [[1], [1]])


def put_offline(folder, name=OLD):
    made = folder / "wandb" / name
    made.mkdir(parents=True)
    (made / "run-x.wandb").write_bytes(b"whatever")
    return made


class Sink:
    """Records what a mirror is given, and leaves an offline folder as wandb does."""

    made: ClassVar[list["Sink"]] = []
    fails: ClassVar[str] = ""

    def __init__(self, config, **opened):
        self.opened, self.rows, self.summary, self.failed = opened, [], {}, None
        Sink.made.append(self)
        put_offline(opened["folder"], f"offline-run-20270101_000000-{opened['run_id']}")

    problem = property(lambda self: Sink.fails)

    def log(self, row, *, step):
        self.rows.append((step, dict(row)))

    def log_texts(self, rows, *, step):
        raise AssertionError("wandb.log_text is off")

    def summarize(self, values):
        self.summary = dict(values)

    def finish(self, *, failed):
        self.failed = failed


@pytest.fixture
def sinks(monkeypatch):
    monkeypatch.setattr(sync, "open_mirror", Sink)
    monkeypatch.setattr(Sink, "made", [])
    monkeypatch.setattr(Sink, "fails", "")
    return Sink


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "my runs"


def test_the_upload_commands_are_exact_and_the_rest_is_comments(runs):
    done = write_run(runs, "gppo-u4/seed0", mirror="W&B had not finished after 10 s")
    twice = [put_offline(done), put_offline(done, "offline-run-20260101_000001-old")]
    uploaded = put_offline(write_run(runs, "gppo-u4/seed1"))
    (uploaded / "run-x.wandb.synced").touch()
    alive = folders.owner_of(os.getpid())
    put_offline(write_run(runs, "gppo-u4/seed2", state="running", owner=alive))
    write_run(runs, "clip_higher-u4/seed0")
    lines = ablations("sync", "--runs", runs).stdout.splitlines()
    commands = [line for line in lines if not line.startswith("# ")]
    assert [command.split(" sync ")[1] for command in commands] == [f"'{path}'" for path in twice]
    assert all(command.split(" sync ")[0].endswith("wandb") for command in commands)
    told = "\n".join(line for line in lines if line.startswith("# "))
    assert "seed0: its mirror is not complete (W&B had not finished after 10 s); `ablations sync --from-ledger`" in told
    assert f"seed1: {OLD} is uploaded" in told
    assert f"seed2: left out, process {alive.pid} is writing it" in told
    assert "2 offline folders of 4 runs wait for an upload" in told


def test_a_named_sweep_brings_its_supervised_starts_and_nothing_else(runs):
    write_run(runs, "gppo-u4/seed0", sft=True)
    write_run(runs, "gppo-u4/seed0", folder=runs / "_sft" / "other")
    write_run(runs, "gppo-u4/seed0")
    write_run(runs, "gppo-u4/seed0", folder=runs / "second" / "gppo-u4" / "seed0")
    chosen = [path.relative_to(runs).as_posix() for path in sync.select(runs, ["clipping"])]
    assert chosen == [f"_sft/{SFT_KEY}", "clipping/gppo-u4/seed0"]
    assert len(sync.select(runs, [])) == 4
    assert "there is no sweep 'cliping'" in refused("sync", "cliping", "--runs", runs)
    assert "found: clipping, second" in refused("sync", "cliping", "--runs", runs)


def test_a_complete_rebuild_clears_the_status_and_moves_the_old_folders_aside(runs, sinks):
    folder = write_run(runs, "gppo-u4/seed0", rows=ROWS, mirror="it lagged")
    old = put_offline(folder)
    for _, table, _ in schema.TABLES:
        (folder / table).unlink()
    records = {p: b for p, b in contents(folder).items() if p.suffix == ".jsonl"}
    done = ablations("sync", *REBUILD, "--runs", runs)
    assert done.exit_code == 0
    assert "clipping/gppo-u4/seed0: tables and mirror rebuilt, 3 steps" in done.stdout
    (sink,) = sinks.made
    config = configs()["gppo-u4/seed0"]
    assert sink.opened == {
        **{"stage": "rl", "arm": "gppo-u4", "run_id": config.run_id, "folder": folder, "mode": "offline"},
        **{"finish_timeout_s": 600.0, "patient": True},
    }
    assert [step for step, _ in sink.rows] == [1, 2, 3]
    assert sink.rows[1][1]["validation/t1.0/correct"] == 0.5
    assert "problems_hash" not in sink.rows[0][1]
    assert sink.summary == {"validation/t1.0/correct": 0.5, "test/t1.0/correct": 1.0}
    assert sink.failed is False
    assert store.read_status(folder).mirror == ""
    assert [path.name for path in (folder / "wandb" / "replaced").iterdir()] == [old.name]
    assert (folder / "wandb" / "replaced" / old.name / "run-x.wandb").read_bytes() == b"whatever"
    assert len([*(folder / "wandb").glob("offline-run-*")]) == 1
    assert pq.read_table(folder / schema.EVAL_FILE).num_rows == len(ROWS)
    assert {p: b for p, b in contents(folder).items() if p.suffix == ".jsonl"} == records


def test_an_incomplete_rebuild_leaves_the_old_folders_and_the_status(runs, sinks, monkeypatch):
    monkeypatch.setattr(sinks, "fails", "W&B had not finished after 600 s")
    folder = write_run(runs, "gppo-u4/seed0", mirror="it lagged")
    old = put_offline(folder)
    done = ablations("sync", *REBUILD, "--runs", runs)
    assert done.exit_code == 1
    assert "clipping/gppo-u4/seed0: not rebuilt: W&B had not finished after 600 s" in done.stdout
    assert store.read_status(folder).mirror == "it lagged"
    assert [*(folder / "wandb").glob("offline-run-*")] == [old]
    assert len([*(folder / "wandb" / "replaced").iterdir()]) == 1, "the new folder is kept as well"


def test_a_second_rebuild_keeps_what_the_first_one_replaced(runs, sinks):
    folder = write_run(runs, "gppo-u4/seed0")
    put_offline(folder)
    for _ in range(2):
        ablations("sync", *REBUILD, "--runs", runs)
        (made,) = (folder / "wandb").glob("offline-run-*")
        made.rename(made.with_name(OLD))
    assert len([*(folder / "wandb" / "replaced").iterdir()]) == 2


def test_a_run_that_is_being_written_or_never_started_is_skipped_with_a_line(runs, sinks):
    folder = write_run(runs, "gppo-u4/seed0")
    write_run(runs, "gppo-u4/seed1")
    (runs / "clipping/gppo-u4/seed1" / schema.STATUS_FILE).unlink()
    code = f"""
from pathlib import Path
from klear_core.runs import folders
with folders.held(Path({str(folder)!r}), wait_s=0):
    print("held", flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        done = ablations("sync", *REBUILD, "--runs", runs)
        holder.communicate("\n")
    assert done.exit_code == 0
    assert "clipping/gppo-u4/seed0: skipped, another process is writing it" in done.stdout
    assert "clipping/gppo-u4/seed1: skipped, never started" in done.stdout
    assert sinks.made == []


def test_unfinished_runs_get_what_there_is_and_no_tables(runs, sinks):
    folder = write_run(runs, "gppo-u4/seed0", steps=2, state="failed", exit_class="diverged", mirror="x")
    done = ablations("sync", *REBUILD, "--runs", runs)
    assert "mirror (failed) rebuilt, 2 steps" in done.stdout
    assert [step for step, _ in sinks.made[0].rows] == [1, 2]
    assert (sinks.made[0].failed, sinks.made[0].summary) == (True, {})
    assert not (folder / schema.EVAL_FILE).exists()
    status = store.read_status(folder)
    assert (status.state, status.exit_class, status.mirror) == ("failed", "diverged", "")


def test_a_supervised_start_is_mirrored_as_by_its_run(runs, sinks):
    write_run(runs, "gppo-u4/seed0", sft=True, steps=60, rows=answers("test", "t1.0", 0, [[1], [0]]))
    ablations("sync", *REBUILD, "--runs", runs)
    (sink,) = sinks.made
    assert (sink.opened["stage"], sink.opened["arm"], sink.opened["run_id"]) == ("sft", "sft", f"sft-{SFT_KEY}")
    assert [step for step, _ in sink.rows] == [20, 40, 60]
    assert set(sink.rows[0][1]) == set(schema.SFT_STEP_FIELDS)
    assert sink.summary == {"test/t1.0/correct": 0.5}


def test_damaged_records_leave_the_run_as_it_is_and_the_others_are_rebuilt(runs, sinks):
    folder = write_run(runs, "gppo-u4/seed0")
    write_run(runs, "gppo-u4/seed1")
    old = put_offline(folder)
    path = folder / schema.STEPS_FILE
    path.write_bytes(path.read_bytes().replace(b"0.125", b"0.126", 1))
    done = ablations("sync", *REBUILD, "--runs", runs)
    assert done.exit_code == 1
    assert "seed0: not rebuilt: " in done.stdout
    assert "steps.jsonl line 1 is damaged" in done.stdout
    assert "seed1: tables and mirror rebuilt" in done.stdout
    assert old.is_dir()


def test_modes_that_make_no_sense_are_refused(runs):
    write_run(runs, "gppo-u4/seed0")
    assert "--mode is online, and goes with --from-ledger only" in refused("sync", "--mode", "online", "--runs", runs)
    line = refused("sync", "--from-ledger", "--runs", runs, WANDB_MODE="disabled")
    assert "W&B is disabled (WANDB_MODE); allowed: --mode offline or --mode online" in line


def test_a_run_and_a_replay_open_the_same_mirror(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(mirror, "WandbSink", lambda **given: opened.append(given))
    config = configs()["gppo-u4/seed2"]
    common = {"stage": "rl", "arm": config.arm, "run_id": config.run_id, "folder": tmp_path, "mode": "offline"}
    mirror.open_mirror(config, **common, finish_timeout_s=1.0)
    mirror.open_mirror(config, **common, finish_timeout_s=1.0, patient=True)
    assert opened[0] | {"patient": True} == opened[1]
    one = opened[0]
    assert (one["name"], one["group"], one["job_type"]) == ("gppo-u4-s2", "clipping", "rl")
    assert (one["config"]["sweep"], one["config"]["arm"], one["config"]["seed"]) == ("clipping", "gppo-u4", 2)
    assert str(tmp_path) not in str(one["config"])


@pytest.mark.slow
def test_the_rebuilt_mirror_is_a_whole_wandb_run_with_every_step(runs):
    folder = write_run(runs, "gppo-u4/seed0", rows=ROWS, mirror="it lagged")
    write_plan(runs, {"gppo-u4/seed0"})
    command = [sys.executable, "-c", "from ablations.cli import main; main()"]
    done = subprocess.run(
        [*command, "sync", "clipping", *REBUILD, "--runs", str(runs)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (offline,) = (folder / "wandb").glob("offline-run-*")
    inspected = subprocess.run(
        [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(offline)],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    records = [json.loads(line) for line in inspected.stdout.splitlines()]
    theirs = {row["history"]["item"]["_step"]: row["history"]["item"] for row in records if row["type"] == "history"}
    ours = {row["step"]: row for row in read_log(folder / schema.STEPS_FILE)}
    assert sorted(theirs) == sorted(ours) == [1, 2, 3]
    assert all(float(theirs[step]["reward_mean"]) == row["reward_mean"] for step, row in ours.items())
    assert float(theirs[3]["test/t1.0/correct"]) == 1.0
    (start,) = [record["run"] for record in records if record["type"] == "run"]
    assert (start["run_id"], start["run_group"], start["display_name"], start["job_type"]) == (
        *(configs()["gppo-u4/seed0"].run_id, "clipping", "gppo-u4-s0", "rl"),
    )
    assert records[-1]["type"] == "exit"
    assert store.read_status(folder).mirror == ""
