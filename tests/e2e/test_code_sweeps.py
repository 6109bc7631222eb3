"""Sweeps whose problems are decided by running programs, through the real command."""

import json
import math

import pyarrow.parquet as pq
import pytest

from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from tests.e2e.conftest import run_command

pytestmark = pytest.mark.slow
ARMS = ("off", "reference_90")


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    """A smoke sweep of two filters: {root, output}."""
    root = tmp_path_factory.mktemp("runs")
    done = run_command(
        *("+sweep=code_filter", "code_filter=off,reference_90", "scale=smoke", "task.train_problems=128"),
        *("sft.steps=150", "wandb.mode=disabled", f"launch.runs_dir={root}"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {"root": root, "output": done.stdout}


def test_programs_are_run_and_every_completion_says_how_its_tests_ended(filtered):
    for arm in ARMS:
        folder = filtered["root"] / "code_filter" / arm / "seed0"
        rows = pq.read_table(folder / schema.EVAL_FILE).to_pylist()
        tested = [row for row in rows if row["tests"]]
        assert tested
        for row in tested:
            assert len(row["tests"]) == 16
            assert set(row["tests"]) <= set("PWRTMO")
            assert row["pass_rate"] == row["tests"].count("P") / 16
            assert row["correct"] == (row["pass_rate"] == 1)
        assert all(row["pass_rate"] == 0 and not row["correct"] for row in rows if not row["tests"])
        manifest = store.read_manifest(folder)
        assert manifest.grading.startswith(("native: ", "bubblewrap: "))


def test_the_filtered_arm_meets_no_flawed_problem_and_says_what_it_dropped(filtered):
    folder = filtered["root"] / "code_filter"
    rows = {arm: store.read_filter(folder / arm / "seed0") for arm in ARMS}
    assert sum(row["dropped"] for row in rows["off"]) == 0
    assert sum(row["kept"] for row in rows["reference_90"] if row["flawed"]) == 0
    assert sum(row["dropped"] for row in rows["reference_90"] if row["flawed"]) > 20
    text = (folder / "report" / "report.md").read_text()
    assert "## What the filter dropped" in text
    assert "arms leave out different problems" in text
    assert "RUNS DISAGREE" not in text.split("### Held fixed")[0].split("problem order")[1].split("\n")[0]
    shares = json.loads(next((filtered["root"] / schema.FILTER_STORE_DIR).glob("*/shares.json")).read_text())
    assert len(shares) == 128


def test_the_gradients_noise_is_measured_at_the_first_step_of_every_arm(filtered):
    for arm in ARMS:
        steps = list(read_log(filtered["root"] / "code_filter" / arm / "seed0" / schema.STEPS_FILE))
        assert math.isfinite(steps[0]["gradient_variance"])
        assert all(row["invalid_completions"] == 0 for row in steps)
