"""Controls pass where equal arms are called equal, and fail where they are not."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from klear_core.runs import schema, store
from reports.controls import control_checks, control_sentence, false_positive_rate, linked_controls, stream_scores
from reports.load import load_sweep
from reports.stats import compare, holm, mean_interval, verdict
from tests.reports.sweeps_as import renamed

STREAMS = [f"stream_{k}" for k in range(1, 8)]


START = 0.4


def analysed(seeds=5, **levels):
    """A sweep of controls and its analysis, without a disk: scores an arm and seed around the arm's level."""
    arms = dict.fromkeys(["none", *STREAMS], 0.7) | {"random_reward": 0.3, "lr_x10": 0.1} | levels
    rng = np.random.default_rng(3)
    of_seed = rng.normal(0, 0.05, seeds)
    scores = {arm: dict(enumerate(level + of_seed + rng.normal(0, 0.02, seeds))) for arm, level in arms.items()}
    gaps = {
        arm: compare([values[seed] - scores["none"][seed] for seed in values])
        for arm, values in scores.items()
        if arm != "none"
    }
    versus = [
        SimpleNamespace(treatment=arm, point="", comparison=gap, adjusted_p=p, verdict=verdict(gap.difference.value, p))
        for (arm, gap), p in zip(gaps.items(), holm([gap.p for gap in gaps.values()]), strict=True)
    ]
    cells = {
        ("", arm): SimpleNamespace(per_seed=values, gain=mean_interval([v - START for v in values.values()]))
        for arm, values in scores.items()
    }
    plan = SimpleNamespace(treatments=dict.fromkeys(arms, ""), points={"": ""}, baseline="none", sweep="controls")
    return SimpleNamespace(plan=plan, folder=None, runs=[]), SimpleNamespace(cells=cells, versus=versus)


def checks_of(folder, **changes):
    data, analysis = analysed(**changes)
    data.folder = folder
    return {check.name: check for check in control_checks(data, analysis)}


def test_equal_runs_are_called_different_at_the_level_of_the_test():
    rng = np.random.default_rng(0)
    rates = [
        false_positive_rate(rng.normal(0, 0.02, (8, 5)) + rng.normal(0, 0.1, (1, 5)), rng=rng, draws=500)
        for _ in range(200)
    ]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.005)
    # What the rule says of itself: one sweep out of nine exceeds 6 % by chance.
    assert 0.02 <= np.mean(np.array(rates) > 0.06) <= 0.2


def test_the_rate_is_that_of_scipys_test_on_the_same_draws():
    scores_SR = np.random.default_rng(1).normal(size=(4, 3))
    order = np.random.default_rng(7).random((200, 3, 4)).argsort(axis=2)
    called = 0
    for draw in order:
        differences = [scores_SR[draw[r, 0], r] - scores_SR[draw[r, 1], r] for r in range(3)]
        called += scipy_stats.ttest_1samp(differences, 0.0).pvalue < 0.05
    assert false_positive_rate(scores_SR, rng=np.random.default_rng(7), draws=200) == called / 200


@settings(max_examples=40)
@given(seed=st.integers(0, 1000), runs=st.integers(2, 5), seeds=st.integers(2, 6))
def test_on_coarse_scores_it_is_the_test_of_the_verdicts(seed, runs, seeds):
    """Few questions: many comparisons have equal differences."""
    scores_SR = np.random.default_rng(seed).integers(4, 7, size=(runs, seeds)) / 10
    order = np.random.default_rng(7).random((50, seeds, runs)).argsort(axis=2)
    called = 0
    for draw in order:
        one, two = (scores_SR[draw[:, k], np.arange(seeds)] for k in (0, 1))
        called += compare(one - two).p < 0.05
    assert false_positive_rate(scores_SR, rng=np.random.default_rng(7), draws=50) == called / 50


def test_too_few_runs_give_no_rate_and_equal_scores_are_never_called_different():
    rng = np.random.default_rng(0)
    assert math.isnan(false_positive_rate(np.ones((1, 5)), rng=rng))
    assert math.isnan(false_positive_rate(np.ones((5, 1)), rng=rng))
    assert false_positive_rate(np.ones((4, 5)), rng=rng) == 0.0


def test_controls_pass_where_the_truth_is_as_it_must_be(tmp_path):
    checks = checks_of(tmp_path)
    assert [check.told for check in checks.values()] == ["pass", "pass", "pass", "pass", "not run"]
    assert "4 of 5 controls pass; 1 could not be asked" in control_sentence(list(checks.values()))
    assert stream_scores(*analysed()).shape == (8, 5)


def test_a_harness_that_favours_an_arm_fails(tmp_path):
    checks = checks_of(tmp_path, stream_3=0.99)
    assert checks["A/A: the verdicts of this report on those arms"].told == "fail"
    assert "**failed**" in control_sentence(list(checks.values()))


def test_a_reward_that_leaks_into_a_random_one_fails(tmp_path):
    assert checks_of(tmp_path, random_reward=0.8)["random reward: a fair coin teaches nothing"].told == "fail"


def test_an_effect_that_does_not_show_fails_the_positive_control(tmp_path):
    assert checks_of(tmp_path, lr_x10=0.7)["ten times the learning rate"].told == "fail"


def test_too_few_pairs_cannot_be_asked(tmp_path):
    assert checks_of(tmp_path, seeds=4)["A/A: the same arm with other random numbers"].told == "not run"


def test_identities_are_one_control_a_check_and_fail_with_a_single_objective(tmp_path):
    def row(objective, state, difference):
        return schema.IdentityCheck(
            name="gradient per token",
            objective=objective,
            compared="a and b",
            dtype="float64",
            tokens=9,
            pieces={"A>0": 9},
            difference=difference,
            tolerance=1e-12,
            state=state,
            note="",
        )

    def stored(*rows):
        found = schema.Identities(
            problem="", source="s", start="k0", policy="p", tokens=9, corners={}, checks=list(rows)
        )
        store.write_json(tmp_path / schema.IDENTITIES_FILE, found)
        return checks_of(tmp_path)["gradient per token, float64"]

    passed = stored(row("gppo", "passed", 1e-15), row("cispo", "not exercised", math.nan))
    assert passed.told == "pass"
    assert "not exercised by this batch: cispo" in passed.found
    assert stored(row("gppo", "passed", 1e-15), row("cispo", "failed", 1e-3)).told == "fail"


def test_only_controls_of_the_same_code_vouch_for_a_sweep(write_sweep):
    def sweep_named(name):
        root = write_sweep(accuracy={("none", ""): 0.5, ("lr_x10", ""): 0.1}, baseline="none", seeds=2)
        return renamed(root, name)

    root = sweep_named("controls")
    (sweep_named("other") / "other").rename(root / "other")
    data = load_sweep(root, "other")
    assert "run by the same code" in linked_controls(data, "link.md")
    assert linked_controls(load_sweep(root, "controls"), "link.md") == ""
    for run in store.read_plan(root / "controls").runs:
        home = root / "controls" / run.folder
        store.write_json(home / schema.STATUS_FILE, dataclasses.replace(store.read_status(home), sources=["other"]))
    assert "run by other code" in linked_controls(data, "link.md")
    (root / "controls" / schema.PLAN_FILE).unlink()
    assert "were not run beside" in linked_controls(data, "link.md")
