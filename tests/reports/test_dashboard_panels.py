"""A dashboard shows only keys that a run logs; the mirror itself says here which those are."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ablations.mirror import step_values
from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from klear_core.runs.wandb_sink import WandbSink
from reports.dashboard_panels import RUNTIME, STEP, accuracy_key, sections
from reports.load import load_sweep


@pytest.fixture
def data(write_sweep):
    """A small sweep of RL with one run."""
    return load_sweep(write_sweep(seeds=1, accuracy={("clip_higher", "u4"): 0.5}), "clipping")


def supervised(data):
    """The same sweep, had it been one of supervised training."""
    return dataclasses.replace(data, plan=dataclasses.replace(data.plan, stage="sft"))


def drawn(data):
    return {key for section in sections(data) for panel in section.panels for key in (panel.x, panel.y)}


def logged(steps, evaluated):
    """The keys that the mirror of a run holds, with those that W&B gives every row."""
    return set(step_values(steps, evaluated)) | {STEP, RUNTIME}


def test_every_panel_of_rl_is_of_keys_that_its_runs_log(data):
    folder = data.folder / data.plan.runs[0].folder
    row = next(iter(read_log(folder / schema.STEPS_FILE)))
    assert set(row) >= set(schema.STEP_FIELDS)
    evaluated = store.read_table(folder / schema.EVAL_FILE).to_pylist()
    assert drawn(data) <= logged(row, evaluated)


def test_every_panel_of_supervised_training_is_of_keys_that_its_runs_log(data):
    data = supervised(data)
    evaluated = store.read_table(data.folder / data.plan.runs[0].folder / schema.EVAL_FILE).to_pylist()
    assert drawn(data) <= logged(dict.fromkeys(schema.SFT_STEP_FIELDS, 0.5), evaluated)


def test_every_accuracy_that_runs_have_stored_is_shown_the_declared_one_first(data):
    (evaluation,) = [section for section in sections(data) if section.name == "Evaluation"]
    expected = ["test/t1.0/correct", "test/greedy/correct", "validation/t1.0/correct"]
    assert [panel.y for panel in evaluation.panels] == expected


def test_before_any_run_has_started_the_declared_accuracy_is_shown(data):
    empty = pd.DataFrame(columns=["split", "decoding"])
    unstarted = dataclasses.replace(data, runs=[dataclasses.replace(run, evaluations=empty) for run in data.runs])
    (evaluation,) = [section for section in sections(unstarted) if section.name == "Evaluation"]
    assert [panel.y for panel in evaluation.panels] == ["test/t1.0/correct"]


def test_every_corner_has_its_panels(data):
    (corners,) = [section for section in sections(data) if section.name == "Corners"]
    expected = {f"corner_{corner}_{part}" for corner in schema.CORNERS for part in ("fraction", "mass")}
    assert expected <= {panel.y for panel in corners.panels}


def test_each_stage_has_its_sections(data):
    assert [s.name for s in sections(data)] == ["Reward", "Entropy", "Corners", "Evaluation", "Cost"]
    assert [s.name for s in sections(supervised(data))] == ["Loss", "Evaluation", "Cost"]
    assert all(section.panels for section in (*sections(data), *sections(supervised(data))))


def test_panels_of_a_section_have_titles_of_their_own(data):
    for section in sections(data):
        assert len({panel.title for panel in section.panels}) == len(section.panels)


@pytest.mark.slow
def test_wandb_gives_every_row_the_step_and_the_seconds_that_panels_are_drawn_against(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    sink = WandbSink(
        mode="offline",
        project="p",
        folder=tmp_path,
        run_id="r",
        name="n",
        group="g",
        job_type="rl",
        config={"arm": "gppo"},
        finish_timeout_s=20.0,
    )
    key = accuracy_key("test", "t1.0")
    sink.log({"step": 3, "entropy": 0.5, key: 0.25}, step=3)
    sink.finish(failed=False)
    assert sink.problem == ""
    (offline,) = (tmp_path / "wandb").glob("offline-run-*")
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(offline)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    (row,) = [json.loads(line)["history"]["item"] for line in told.splitlines() if '"history":' in line]
    assert (row[STEP], row["entropy"], row[key]) == (3, 0.5, 0.25)
    assert row[RUNTIME] >= 0
