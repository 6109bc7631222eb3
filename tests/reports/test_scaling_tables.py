"""Tables of speed, asymptotes and scores across tasks, on runs whose curves and scores are known."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from reports.analysis import analyse
from reports.load import load_sweep
from reports.report import write_report
from reports.scaling_tables import across_tasks_table, are_tasks, scaling_table
from reports.training_tables import learning_curve, speed_table, threshold_table

STEPS, TOKENS = 60, 6000.0
POINT = "u4"


def saturating(asymptote, midpoint=9.0):
    step = np.arange(1, STEPS + 1)
    return 0.3 + (asymptote - 0.3) / (1 + (midpoint / step) ** 2)


def steps_of(values, seed, *, tokens=TOKENS):
    """steps.jsonl and timings.jsonl of a run with that training accuracy; a step costs 8 samples, 4 updates, 2 s."""
    noise = np.random.default_rng(seed).normal(0, 0.02, len(values))
    step = np.arange(1, len(values) + 1)
    steps = pd.DataFrame({"step": step, "samples": 8 * step, "tokens": tokens * step, "updates": 4 * step})
    steps["correct_fraction"] = np.asarray(values) + noise
    timings = pd.DataFrame({"step": step, "rollout_s": 1.0, "reward_s": 0.0, "score_s": 0.5, "update_s": 0.5})
    return {"steps": steps, "timings": timings.assign(eval_s=9.0)}


@pytest.fixture
def sweep(write_sweep):
    """A stored sweep at one operating point whose training curves are replaced by those of a function of an arm."""

    def make(curve_of, *, seeds=5, **changes):
        levels = {(t, POINT): 0.5 for t in ("clip_higher", "gppo", "cispo")}
        data = load_sweep(write_sweep(accuracy=levels, seeds=seeds, **changes), "clipping")
        runs = [
            dataclasses.replace(run, expected_steps=None, **curve_of(run.planned.treatment, run.planned.seed))
            for run in data.runs
        ]
        data = dataclasses.replace(data, runs=runs)
        return data, analyse(data)

    return make


def row(table, treatment):
    return table.raw.set_index("treatment").loc[treatment]


def shown(table, treatment):
    (cells,) = [cells for cells in table.rows if cells[0] == treatment]
    return dict(zip(table.header, cells, strict=True))


def test_asymptotes_are_those_of_the_curves_with_ties_and_refusals(sweep):
    curves = {"clip_higher": saturating(0.8), "gppo": saturating(0.81), "cispo": np.linspace(0.3, 0.7, STEPS)}
    table = scaling_table(*sweep(lambda treatment, seed: steps_of(curves[treatment], seed)), POINT)
    found = row(table, "clip_higher")
    assert found["low"] < 0.8 < found["high"]
    assert found["asymptote"] == pytest.approx(0.8, abs=0.01)
    assert found["midpoint_tokens"] == pytest.approx(9 * TOKENS, rel=0.1)
    # The seeds of both arms share their noise, so the difference is nearly exact.
    assert row(table, "gppo")["difference"] == pytest.approx(0.01, abs=0.002)
    assert "(tie)" in shown(table, "gppo")["minus baseline"]
    straight = shown(table, "cispo")
    assert (straight["A"], straight["minus baseline"]) == ("—", "—")
    assert straight["refused"].startswith("5 of 5: ")
    assert shown(table, "gppo")["refused"] == "0 of 5"


def test_asymptotes_further_apart_than_a_tie_are_not_called_one(sweep):
    curves = {"clip_higher": saturating(0.8), "gppo": saturating(0.9), "cispo": saturating(0.8)}
    table = scaling_table(*sweep(lambda treatment, seed: steps_of(curves[treatment], seed)), POINT)
    assert "tie" not in shown(table, "gppo")["minus baseline"]
    assert row(table, "gppo")["difference_low"] > 0.02


def test_the_asymptote_of_a_minority_of_seeds_is_not_shown(sweep):
    def curve(treatment, seed):
        identified = saturating(0.8)
        return steps_of(identified if treatment == "clip_higher" or seed < 2 else np.full(STEPS, 0.5), seed)

    table = scaling_table(*sweep(curve), POINT)
    assert shown(table, "gppo")["A"] == "—"
    assert shown(table, "gppo")["refused"] == "3 of 5: no rise beyond the noise"
    assert row(table, "gppo")["seed0"] == pytest.approx(0.8, abs=0.05)


def test_speed_is_told_up_to_the_same_cost_on_every_axis(sweep):
    # gppo spends half the tokens a step: the same curve by step, half as far along by tokens.
    line = np.linspace(0.2, 0.8, STEPS)

    def curve(treatment, seed):
        return steps_of(line, seed, tokens=TOKENS / 2 if treatment == "gppo" else TOKENS)

    table = speed_table(*sweep(curve), POINT)
    base, gppo = row(table, "clip_higher"), row(table, "gppo")
    assert base["tokens_until"] == STEPS * TOKENS / 2
    assert gppo["tokens_area"] == pytest.approx(0.5, abs=0.01)
    assert base["tokens_area"] == pytest.approx(0.35, abs=0.01)
    assert gppo["difference"] == pytest.approx(0.15, abs=0.01)
    assert gppo["difference_low"] < gppo["difference"] < gppo["difference_high"]
    for axis in ("samples", "updates", "seconds"):
        assert gppo[f"{axis}_area"] == pytest.approx(base[f"{axis}_area"])
    assert base["end"] == pytest.approx(0.78, abs=0.02)
    assert shown(table, "clip_higher")["over tokens, minus baseline"] == "—"


def test_runs_that_never_reach_the_threshold_count_with_all_they_spent(sweep):
    # The start is at 0.3 or so: a line to 0.9 crosses a quarter of the way to 1, one at 0.3 does not.
    def curve(treatment, seed):
        stays = treatment == "gppo" or (treatment == "cispo" and seed == 0)
        return steps_of(np.full(STEPS, 0.3) if stays else np.linspace(0.3, 0.9, STEPS), seed)

    data, analysis = sweep(curve)
    table = threshold_table(data, analysis, POINT)
    assert [shown(table, t)["reached"] for t in ("clip_higher", "gppo", "cispo")] == ["5 of 5", "0 of 5", "4 of 5"]
    assert shown(table, "gppo")["tokens"] == f"at least {STEPS * TOKENS:,.0f}"
    assert shown(table, "gppo")["seconds"] == f"at least {STEPS * 2.0:,.1f}"
    some, all_of_them = row(table, "cispo"), row(table, "clip_higher")
    assert some["tokens_is_lower_bound"]
    assert math.isnan(some["tokens_low"])
    assert not all_of_them["tokens_is_lower_bound"]
    assert all_of_them["tokens_low"] < all_of_them["tokens"] < all_of_them["tokens_high"]
    # The slope is 0.6 over the run, so the smoothed line is at the threshold two steps after the line itself.
    crossing = (all_of_them["threshold"] - 0.3) / 0.6 * (STEPS - 1) + 1 + 2
    assert all_of_them["tokens"] == pytest.approx(crossing * TOKENS, rel=0.08)


def test_seconds_are_unknown_from_the_first_missing_timing_on(sweep):
    def curve(treatment, seed):
        frames = steps_of(np.linspace(0.3, 0.9, STEPS), seed)
        timings = frames["timings"]
        return frames | ({"timings": timings[timings["step"] != 3]} if (treatment, seed) == ("gppo", 0) else {})

    data, analysis = sweep(curve)
    (run,) = [run for run in data.at(POINT, "gppo") if run.planned.seed == 0]
    seconds = learning_curve(run)["seconds"]
    assert list(seconds[:2]) == [2.0, 4.0]
    assert np.isnan(seconds[2:]).all()
    table = speed_table(data, analysis, POINT)
    assert row(table, "clip_higher")["seconds_until"] == 2.0 * STEPS
    assert not math.isnan(row(table, "gppo")["seconds_area"])


def tasks(data, told):
    plan = dataclasses.replace(data.plan, points=told)
    return dataclasses.replace(data, plan=plan)


TWO_TASKS = {"u4": "task.name = chains", "u16": "task.name = functions"}


def test_scores_are_put_together_across_tasks(write_sweep):
    data = tasks(load_sweep(write_sweep(seeds=5), "clipping"), TWO_TASKS)
    table = across_tasks_table(data, analyse(data))
    # gppo is far above at one task and far below at the other, cispo is the baseline's equal at both.
    gppo = row(table, "gppo")
    assert (gppo["improvement"], gppo["improvement_low"], gppo["improvement_high"]) == (0.5, 0.5, 0.5)
    cispo = row(table, "cispo")
    assert cispo["improvement_low"] <= 0.5 <= cispo["improvement_high"]
    assert row(table, "clip_higher")["iqm"] == pytest.approx(0.6, abs=0.06)
    assert shown(table, "clip_higher")["probability of improvement over clip_higher"] == "—"
    assert shown(table, "gppo")["runs a task"] == "5, 5"


@pytest.mark.parametrize(
    "told",
    [
        {"u4": "rl.updates_per_rollout = 4", "u16": "rl.updates_per_rollout = 16"},
        {"u4": "task.name = chains, rl.steps = 4", "u16": "task.name = functions, rl.steps = 4"},
        {"u4": "", "u16": ""},
    ],
)
def test_settings_of_one_task_are_never_pooled(write_sweep, told):
    data = tasks(load_sweep(write_sweep(seeds=3), "clipping"), told)
    assert not are_tasks(data)
    assert not across_tasks_table(data, analyse(data)).rows


def test_one_task_is_not_several(write_sweep):
    data = load_sweep(write_sweep(accuracy={("clip_higher", "u4"): 0.5, ("gppo", "u4"): 0.6}), "clipping")
    assert not are_tasks(tasks(data, {"u4": "task.name = chains"}))


def test_the_report_shows_each_table_where_there_is_something_to_show(write_sweep, tmp_path):
    data = tasks(load_sweep(write_sweep(seeds=3), "clipping"), TWO_TASKS)
    text = write_report(data, tmp_path / "report").read_text()
    for title in ("## Across tasks", "## How fast it learned", "## Where the curves would end"):
        assert text.count(title) == 1
    for name in ("across_tasks", "speed-u4", "threshold-u4", "scaling-u4"):
        assert len(pd.read_csv(tmp_path / "report" / f"{name}.csv")) == 3
