"""`ablations list` and `ablations show`."""

import json
import os
from pathlib import Path

import pytest

from klear_core.runs import folders, schema
from klear_core.runs.gallery import read_gallery
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

SWEEPS = Path(__file__).resolve().parents[3] / "sweeps"
EVIL = "loss is \x1b[2Jnan\x9b [red]at[/red]\nstep 2 :smile:"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run in every state, one that is only planned, and a supervised start."""
    root = tmp_path_factory.mktemp("runs")
    write_run(root, "gppo-u4/seed0", sft=True, steps=60)
    rows = answers("validation", "t1.0", 2, [[1, 1]]) + answers("validation", "t1.0", 3, [[1, 0], [1, 1, 1, 1]])
    write_run(root, "gppo-u4/seed0", rows=rows, mirror="W&B had not finished after 10 s")
    write_run(root, "gppo-u4/seed1", steps=1, state="failed", exit_class="diverged", reason=EVIL, attempt=2)
    write_run(root, "gppo-u4/seed2", steps=2, state="running", owner=folders.owner_of(os.getpid()))
    write_run(root, "clip_higher-u4/seed0", steps=2, state="running")
    broken = write_run(root, "clip_higher-u4/seed1")
    (broken / schema.STATUS_FILE).write_text("{")
    write_plan(root, {*configs()})
    return root


def rows_of(runs):
    done = ablations("list", "runs", "--runs", runs, "--json")
    assert done.exit_code == 0
    return {row["run"]: row for row in json.loads(done.stdout)}


def test_every_run_is_listed_with_where_it_stands(runs):
    rows = rows_of(runs)
    told = {
        name: (r["state"], r["exit_class"], r["attempt"], r["steps"], r["planned_steps"]) for name, r in rows.items()
    }
    assert told == {
        f"_sft/{SFT_KEY}": ("done", "ok", 1, 60, 60),
        "clipping/gppo-u4/seed0": ("done", "ok", 1, 3, 3),
        "clipping/gppo-u4/seed1": ("failed", "diverged", 2, 1, 3),
        "clipping/gppo-u4/seed2": ("running", "", 1, 2, 3),
        "clipping/clip_higher-u4/seed0": ("dead (continues)", "", 1, 2, 3),
        "clipping/clip_higher-u4/seed1": ("unreadable", "", 0, 0, None),
        "clipping/clip_higher-u4/seed2": ("not started", "", 0, 0, None),
    }
    assert "process 1 is gone" in rows["clipping/clip_higher-u4/seed0"]["reason"]
    assert rows["clipping/gppo-u4/seed0"]["reason"] == "W&B: W&B had not finished after 10 s"
    assert rows["clipping/gppo-u4/seed1"]["reason"] == EVIL
    assert (rows["clipping/gppo-u4/seed2"]["arm"], rows["clipping/gppo-u4/seed2"]["seed"]) == ("gppo-u4", 2)


def test_the_table_holds_one_line_a_run_and_no_control_character(runs):
    out = ablations("list", "runs", "--runs", runs).stdout
    assert len(out.splitlines()) == 2 + len(rows_of(runs))
    assert "loss is [2Jnan [red]at[/red] step 2 :smile:" in out
    assert not [letter for letter in out if letter != "\n" and not letter.isprintable()]


def test_damaged_records_are_told_in_the_row_of_their_run(runs):
    path = runs / "clipping/gppo-u4/seed2" / schema.STEPS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"0.25", b"0.26", 1))
    row = rows_of(runs)["clipping/gppo-u4/seed2"]
    path.write_bytes(whole)
    assert row["steps"] is None
    assert "steps.jsonl line 2 is damaged" in row["reason"]


def test_the_lists_name_every_file_of_the_config_root(runs):
    done = json.loads(ablations("list", "--json", "--runs", runs).stdout)
    assert {row["name"] for row in done["sweeps"]} == {path.stem for path in (SWEEPS / "sweep").glob("*.yaml")}
    assert all(row["title"] for row in done["sweeps"])
    assert {row["name"] for row in done["objectives"]} == {path.stem for path in (SWEEPS / "objective").glob("*.yaml")}
    assert all(row["surrogate"] and row["note"] for row in done["objectives"])
    others = [path for path in SWEEPS.glob("*/*.yaml") if path.parent.name not in ("sweep", "objective")]
    assert {(row["group"], row["name"]) for row in done["presets"]} == {
        (path.parent.name, path.stem) for path in others
    }
    assert all(row["about"] for row in done["presets"])
    for what in ("sweeps", "objectives", "presets"):
        out = ablations("list", what).stdout
        assert all(row["name"] in out for row in done[what])


def test_the_short_list_says_what_to_type_and_counts_runs_by_state(runs, tmp_path):
    out = ablations("list", "--runs", runs).stdout
    assert "+sweep=clipping  Which clipping objective" in out
    assert f"{runs}/clipping: 1 dead (continues), 1 unreadable, 1 done, 1 failed, 1 running, 1 not started" in out
    assert f"runs       none in {tmp_path}" in ablations("list", "--runs", tmp_path).stdout


def test_reading_changes_nothing(runs):
    before = contents(runs)
    for arguments in (["list"], ["list", "runs"], ["show", "clipping/gppo-u4/seed0"], ["sync"]):
        assert ablations(*arguments, "--runs", runs).exit_code == 0
    assert contents(runs) == before


def test_a_run_is_found_by_path_name_and_the_beginning_of_its_id(runs):
    run_id = configs()["gppo-u4/seed0"].run_id
    shown = ablations("show", "clipping/gppo-u4/seed0", "--runs", runs).stdout
    for name in (runs / "clipping/gppo-u4/seed0", run_id, run_id[:-3]):
        assert ablations("show", name, "--runs", runs).stdout == shown
    assert f"run _sft/{SFT_KEY}\n" in ablations("show", "sft-5eed", "--runs", runs).stdout


def test_show_prints_settings_origin_state_and_last_rows(runs):
    out = ablations("show", "clipping/gppo-u4/seed0", "--runs", runs).stdout
    for text in (
        "\n    surrogate: gppo\n",
        "command: python -m ablations.run +sweep=clipping",
        "commit: c0ffee with changes that are not committed",
        "torch 1.2.3",
        "done, ok: clipping-gppo-u4-s0-",
        "owner: process 1, gone",
        "W&B mirror: W&B had not finished after 10 s",
    ):
        assert text in out, text
    values = dict(line.split() for line in out.split("\nlast metrics\n")[1].split("\n\n")[0].splitlines())
    assert (values["step"], values["reward_mean"], values["entropy"]) == ("3", "0.375", "nan")
    # The last step only; samples are averaged within a question first: (1/2 + 4/4) / 2.
    (row,) = [line.split() for line in out.splitlines() if line.startswith("  validation")]
    assert row == ["validation", "t1.0", "3", "2", "2-4", "0.750", "20.0"]


def test_show_tells_of_dead_and_failed_runs_without_control_characters(runs):
    out = ablations("show", "clipping/gppo-u4/seed1", "--runs", runs).stdout
    assert "failed, diverged: " in out
    assert "reason: loss is [2Jnan [red]at[/red] step 2 :smile:" in out
    assert "attempt 2" in out
    assert "\x1b" not in out
    assert "dead (continues): " in ablations("show", "clipping/clip_higher-u4/seed0", "--runs", runs).stdout
    assert "status.json cannot be read" in ablations("show", "clipping/clip_higher-u4/seed1", "--runs", runs).stdout


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("clipping/gpo-u4/seed0", "near: clipping/gppo-u4/seed0"),
        (
            "clipping-gppo",
            "is not one run but 3: clipping/gppo-u4/seed0, clipping/gppo-u4/seed1, clipping/gppo-u4/seed2",
        ),
        ("seed2", "near: clipping/gppo-u4/seed2"),
        ("zzz", "`ablations list runs --runs"),
        ("", "there is no run ''"),
    ],
)
def test_an_unknown_or_ambiguous_run_is_refused_with_what_is_near(asked, message, runs):
    assert message in refused("show", asked, "--runs", runs)


def test_objectives_writes_what_list_names_and_nothing_beside_it(tmp_path):
    ablations("objectives", "--out", str(tmp_path / "new" / "f.json"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["f.json"]
    names = [each.name for each in read_gallery(tmp_path / "new" / "f.json").objectives]
    assert sorted(names) == sorted(path.stem for path in (SWEEPS / "objective").glob("*.yaml"))


def test_objectives_that_cannot_be_written_are_one_line(tmp_path):
    (tmp_path / "file").touch()
    assert "is a file" in refused("objectives", "--out", str(tmp_path / "file" / "f.json"))
