"""Controls pass where equal arms are called equal, and fail where they are not."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from klear_core.runs import schema, store
from reports.analysis import analyse
from reports.controls import control_checks, control_sentence, false_positive_rate, linked_controls, stream_scores
from reports.load import load_sweep
from tests.reports.sweeps_as import renamed

STREAMS = [f"stream_{k}" for k in range(1, 8)]


def levels(**changes):
    plain = {("none", ""): 0.5} | {(name, ""): 0.5 for name in STREAMS} | {("random_reward", ""): 0.3}
    return plain | {("lr_x10", ""): 0.02} | {(name, ""): value for name, value in changes.items()}


@pytest.fixture
def controls(write_sweep):
    def make(seeds=5, **changes):
        return renamed(write_sweep(accuracy=levels(**changes), baseline="none", seeds=seeds), "controls")

    return make


def checks_of(root):
    data = load_sweep(root, "controls")
    return data, {check.name: check for check in control_checks(data, analyse(data))}


def test_equal_runs_are_called_different_at_the_level_of_the_test():
    rng = np.random.default_rng(0)
    rates = [
        false_positive_rate(rng.normal(0, 0.02, (8, 5)) + rng.normal(0, 0.1, (1, 5)), rng=rng, draws=500)
        for _ in range(60)
    ]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.015)


def test_the_rate_is_that_of_scipys_test_on_the_same_draws():
    scores_SR = np.random.default_rng(1).normal(size=(4, 3))
    order = np.random.default_rng(7).random((200, 3, 4)).argsort(axis=2)
    called = 0
    for draw in order:
        differences = [scores_SR[draw[r, 0], r] - scores_SR[draw[r, 1], r] for r in range(3)]
        called += scipy_stats.ttest_1samp(differences, 0.0).pvalue < 0.05
    assert false_positive_rate(scores_SR, rng=np.random.default_rng(7), draws=200) == called / 200


def test_too_few_runs_give_no_rate_and_equal_scores_are_never_called_different():
    rng = np.random.default_rng(0)
    assert math.isnan(false_positive_rate(np.ones((1, 5)), rng=rng))
    assert math.isnan(false_positive_rate(np.ones((5, 1)), rng=rng))
    assert false_positive_rate(np.ones((4, 5)), rng=rng) == 0.0


def test_controls_pass_where_the_truth_is_as_it_must_be(controls):
    data, checks = checks_of(controls())
    told = {name: check.told for name, check in checks.items()}
    assert told["A/A: the same arm with other random numbers"] == "pass"
    assert told["ten times the learning rate"] == "pass"
    assert told["identities on one stored batch"] == "not run"
    assert stream_scores(data, analyse(data)).shape == (8, 5)
    assert "could not be asked" in control_sentence(list(checks.values()))


def test_a_harness_that_favours_an_arm_fails(controls):
    _, checks = checks_of(controls(stream_3=0.99))
    assert checks["A/A: the verdicts of this report on those arms"].told == "fail"
    assert "**failed**" in control_sentence(list(checks.values()))


def test_a_reward_that_leaks_into_a_random_one_fails(controls):
    _, checks = checks_of(controls(random_reward=0.8))
    assert checks["random reward: a fair coin teaches nothing"].told == "fail"


def test_an_effect_that_does_not_show_fails_the_positive_control(controls):
    _, checks = checks_of(controls(lr_x10=0.5))
    assert checks["ten times the learning rate"].told == "fail"


def test_too_few_pairs_cannot_be_asked(controls):
    _, checks = checks_of(controls(seeds=2))
    assert checks["A/A: the same arm with other random numbers"].told == "not run"


def test_identities_are_one_control_a_check_and_fail_with_a_single_objective(controls):
    root = controls()

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
        store.write_json(root / "controls" / schema.IDENTITIES_FILE, found)
        return checks_of(root)[1]["gradient per token, float64"]

    passed = stored(row("gppo", "passed", 1e-15), row("cispo", "not exercised", math.nan))
    assert passed.told == "pass"
    assert "not exercised by this batch: cispo" in passed.found
    assert stored(row("gppo", "passed", 1e-15), row("cispo", "failed", 1e-3)).told == "fail"


def test_only_controls_of_the_same_code_vouch_for_a_sweep(controls, write_sweep):
    root = controls()
    sweep = write_sweep()
    (sweep / "clipping").rename(root / "clipping")
    for folder in (sweep / schema.SFT_STORE_DIR).iterdir():
        if not (root / schema.SFT_STORE_DIR / folder.name).exists():
            folder.rename(root / schema.SFT_STORE_DIR / folder.name)
    assert "run by the same code" in linked_controls(load_sweep(root, "clipping"), "link.md")
    for run in store.read_plan(root / "controls").runs:
        home = root / "controls" / run.folder
        store.write_json(home / schema.STATUS_FILE, dataclasses.replace(store.read_status(home), sources=["other"]))
    assert "run by other code" in linked_controls(load_sweep(root, "clipping"), "link.md")
    (root / "controls" / schema.PLAN_FILE).unlink()
    assert "were not run beside" in linked_controls(load_sweep(root, "clipping"), "link.md")
