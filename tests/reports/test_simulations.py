"""What the statistics promise, on evaluations simulated whole: arms x seeds x questions x binomial samples.

Seeds and questions are crossed, as in the sweeps: all arms and seeds answer the same questions.  On the logit scale a
question has a difficulty, an arm finds some questions easier than another does, a training seed moves an arm on all
questions, and on each by a little of its own.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit

from reports.stats import compare, holm, two_way_interval, verdict

EFFECT = 0.3  # of the second arm, in logits: some 0.05 of accuracy
QUESTION_SD = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Standard deviations in logits."""

    seed: float  # a training seed moves an arm by this
    seed_question: float  # and on each question by this
    arm_question: float  # two arms differ on a question by this


WORLDS = {
    "seeds matter": World(seed=0.3, seed_question=0.3, arm_question=0.3),
    "questions matter": World(seed=0.1, seed_question=0.3, arm_question=0.5),
    "only samples vary": World(seed=0.0, seed_question=0.0, arm_question=0.0),
}
every_world = pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))


def levels(rng, world, effects_A, *, trials, questions):
    """Logits [trials, arms, 1, questions] of arms that have the given effects."""
    difficulty = rng.normal(0, QUESTION_SD, (trials, 1, 1, questions))
    tastes = rng.normal(0, world.arm_question, (trials, len(effects_A), 1, questions))
    return difficulty + tastes + np.asarray(effects_A)[:, None, None]


def evaluate(rng, world, levels_TA1Q, *, seeds, samples):
    """Scores [trials, arms, seeds, questions]: shares of right ones among binomial samples."""
    trials, arms, _, questions = levels_TA1Q.shape
    moved = rng.normal(0, world.seed, (trials, arms, seeds, 1))
    moved = moved + rng.normal(0, world.seed_question, (trials, arms, seeds, questions))
    return rng.binomial(samples, expit(levels_TA1Q + moved)) / samples


def expected(logits, deviation):
    """Mean of expit(logits + normal of that deviation), by Gauss-Hermite quadrature."""
    nodes, weights = hermegauss(30)
    return (expit(np.asarray(logits)[..., None] + deviation * nodes) * weights).sum(axis=-1) / weights.sum()


def coverage(intervals, truths):
    return np.mean([found.low <= truth <= found.high for found, truth in zip(intervals, truths, strict=True)])


def decide(baseline_RQ, arms_RQ):
    """The verdicts of the whole decision: paired t over seeds, Holm over all arms against one baseline."""
    found = [compare((arm_RQ - baseline_RQ).mean(axis=-1)) for arm_RQ in arms_RQ]
    adjusted = holm([comparison.p for comparison in found])
    return {verdict(one.difference.value, p) for one, p in zip(found, adjusted, strict=True)}


@every_world
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_deciding_interval_covers_the_difference_on_these_questions(seeds, world):
    rng = np.random.default_rng(seeds)
    found = levels(rng, world, [0.0, EFFECT], trials=2000, questions=64)
    scores = evaluate(rng, world, found, seeds=seeds, samples=8)
    differences_TR = (scores[:, 1] - scores[:, 0]).mean(axis=-1)
    by_question = expected(found, math.hypot(world.seed, world.seed_question))
    truths = (by_question[:, 1] - by_question[:, 0]).mean(axis=(1, 2))
    assert 0.93 <= coverage([compare(row).difference for row in differences_TR], truths) <= 0.97


@every_world
def test_the_two_way_interval_of_ten_seeds_covers_the_difference_on_questions_like_these(world):
    rng = np.random.default_rng(10)
    trials = 1000
    found = levels(rng, world, [0.0, EFFECT], trials=trials, questions=64)
    scores = evaluate(rng, world, found, seeds=10, samples=8)
    intervals = [two_way_interval(d, rng=rng, resamples=400) for d in scores[:, 1] - scores[:, 0]]
    spread = math.sqrt(QUESTION_SD**2 + world.arm_question**2 + world.seed**2 + world.seed_question**2)
    truth = float(expected(EFFECT, spread) - expected(0.0, spread))
    assert 0.93 <= coverage(intervals, [truth] * trials) <= 0.97


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_equal_arms_are_called_different_no_more_often_than_promised(seeds):
    """In a sweep of seven equal arms any verdict counts."""
    rng = np.random.default_rng(seeds)
    trials = 2000
    world = World(seed=0.3, seed_question=0.3, arm_question=0.0)
    scores = evaluate(rng, world, levels(rng, world, [0.0] * 7, trials=trials, questions=64), seeds=seeds, samples=8)
    called = sum(bool(decide(baseline, arms) & {"better", "worse"}) for baseline, *arms in scores)
    assert called / trials <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / trials)


def test_a_large_difference_is_called_by_the_same_decision():
    rng = np.random.default_rng(1)
    world = World(seed=0.1, seed_question=0.1, arm_question=0.0)
    scores = evaluate(rng, world, levels(rng, world, [0.0, *[1.5] * 6], trials=100, questions=64), seeds=5, samples=8)
    for baseline, *arms in scores:
        assert decide(baseline, arms) == {"better"}


def test_why_percentiles_over_three_seeds_decide_nothing():
    """They exclude 0 whenever three seeds agree in sign, which equal arms do in a quarter of all cases."""
    rng = np.random.default_rng(4)
    trials = 2000
    world = World(seed=0.3, seed_question=0.3, arm_question=0.0)
    scores = evaluate(rng, world, levels(rng, world, [0.0, 0.0], trials=trials, questions=64), seeds=3, samples=8)
    differences_TR = (scores[:, 1] - scores[:, 0]).mean(axis=-1)
    drawn = differences_TR[:, rng.integers(3, size=(1000, 3))].mean(axis=-1)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
    assert np.mean((low > 0) | (high < 0)) == pytest.approx(0.25, abs=0.03)
    assert np.mean([compare(row).p < 0.05 for row in differences_TR]) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize(("seeds", "most"), [(3, 0.85), (10, 0.78)])
def test_why_questions_are_not_resampled_within_each_seed(seeds, most):
    """All seeds answer the same questions: drawn anew for each seed, what they have in common averages out."""
    rng = np.random.default_rng(seeds)
    trials, questions, resamples = 300, 64, 200
    world = World(seed=0.1, seed_question=0.1, arm_question=0.7)
    found = levels(rng, world, [0.0, EFFECT], trials=trials, questions=questions)
    scores = evaluate(rng, world, found, seeds=seeds, samples=32)
    spread = math.sqrt(QUESTION_SD**2 + world.arm_question**2 + world.seed**2 + world.seed_question**2)
    truth = float(expected(EFFECT, spread) - expected(0.0, spread))
    nested = two_way = 0
    for differences_RQ in scores[:, 1] - scores[:, 0]:
        drawn_seeds = rng.integers(seeds, size=(resamples, seeds))[..., None]
        drawn = differences_RQ[drawn_seeds, rng.integers(questions, size=(resamples, seeds, questions))]
        low, high = np.quantile(drawn.mean(axis=(1, 2)), [0.025, 0.975])
        nested += low <= truth <= high
        crossed = two_way_interval(differences_RQ, rng=rng, resamples=resamples)
        two_way += crossed.low <= truth <= crossed.high
    assert nested / trials < most
    assert two_way / trials >= 0.91  # 93 % less two Monte-Carlo standard errors of 300 trials
