"""Statistics across tasks against SciPy and brute force; the bootstrap against every resample that there is."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from reports.aggregate import improvement_probability, interquartile_mean

SCORES = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=5)
TASKS = st.lists(SCORES, min_size=1, max_size=3)


def rng():
    return np.random.default_rng(0)


@given(TASKS)
def test_the_interquartile_mean_is_scipys_trimmed_mean_of_all_runs(tasks):
    found = interquartile_mean(tasks, rng=rng(), resamples=20)
    scores = sorted(score for task in tasks for score in task)
    cut = len(scores) // 4
    assert found.value == pytest.approx(scipy_stats.trim_mean(scores, 0.25))
    assert found.value == pytest.approx(np.mean(scores[cut : len(scores) - cut]))
    assert found.n == len(scores)


def test_a_quarter_of_wild_runs_at_either_end_does_not_move_the_interquartile_mean():
    calm = [[0.5, 0.6, 0.4, 0.5], [0.5, 0.4, 0.6, 0.5]]
    wild = [[0.5, 0.6, 0.4, 99.0], [0.5, 0.4, 0.6, -99.0]]
    assert interquartile_mean(wild, rng=rng()).value == pytest.approx(interquartile_mean(calm, rng=rng()).value)


@given(TASKS, st.data())
def test_the_probability_of_improvement_is_that_of_all_pairs_and_of_mann_and_whitney(ours, data):
    theirs = data.draw(st.lists(SCORES, min_size=len(ours), max_size=len(ours)))
    found = improvement_probability(ours, theirs, rng=rng(), resamples=20).value
    by_task = [
        np.mean([(x > y) + 0.5 * (x == y) for x, y in itertools.product(mine, other)])
        for mine, other in zip(ours, theirs, strict=True)
    ]
    assert found == pytest.approx(np.mean(by_task))
    u = [
        scipy_stats.mannwhitneyu(mine, other, method="asymptotic").statistic / (len(mine) * len(other))
        for mine, other in zip(ours, theirs, strict=True)
        if np.ptp([*mine, *other]) > 0  # SciPy divides by the variance of the ranks
    ]
    if len(u) == len(ours):
        assert found == pytest.approx(np.mean(u))
    assert improvement_probability(theirs, ours, rng=rng(), resamples=20).value == pytest.approx(1 - found)


def test_runs_are_resampled_within_their_task_and_never_moved():
    # One task is all zeros, the other all ones: whatever is drawn, half of the runs stay at either.
    found = interquartile_mean([[0.0] * 4, [1.0] * 4], rng=rng())
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    apart = improvement_probability([[2.0] * 3, [0.0] * 3], [[1.0] * 3, [1.0] * 3], rng=rng())
    assert (apart.value, apart.low, apart.high) == (0.5, 0.5, 0.5)


def test_the_bootstrap_interval_is_that_of_all_resamples():
    tasks, other = [[0.1, 0.5, 0.9], [0.3, 0.35, 0.8]], [[0.2, 0.4, 0.6], [0.2, 0.5, 0.7]]
    draws = [list(itertools.product(task, repeat=3)) for task in tasks]
    means = [scipy_stats.trim_mean([*a, *b], 0.25) for a, b in itertools.product(*draws)]
    found = interquartile_mean(tasks, rng=rng(), resamples=20_000)
    assert [found.low, found.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)

    drawn = [
        [(list(x), list(y)) for x in draw for y in itertools.product(t, repeat=3)]
        for draw, t in zip(draws, other, strict=True)
    ]
    by_task = [[np.mean(np.greater.outer(x, y)) for x, y in pairs] for pairs in drawn]
    sample = np.random.default_rng(1)
    all_means = (sample.choice(by_task[0], 200_000) + sample.choice(by_task[1], 200_000)) / 2
    found = improvement_probability(tasks, other, rng=rng(), resamples=20_000)
    assert [found.low, found.high] == pytest.approx(np.quantile(all_means, [0.025, 0.975]), abs=0.03)


def test_what_too_few_runs_cannot_support_is_not_a_number():
    one = interquartile_mean([[0.4], [0.6, 0.7]], rng=rng())
    assert one.value == pytest.approx(np.mean([0.4, 0.6, 0.7]))
    assert math.isnan(one.low)
    for tasks in ([], [[]], [[0.5, 0.6], []], [[math.nan]]):
        assert math.isnan(interquartile_mean(tasks, rng=rng()).value)
    assert math.isnan(improvement_probability([[0.5, 0.6]], [[]], rng=rng()).value)
    holed = interquartile_mean([[0.5, math.nan, 0.6]], rng=rng())
    assert (holed.value, holed.n) == (0.55, 2)
    with pytest.raises(ValueError, match="2 tasks cannot be compared with 1"):
        improvement_probability([[0.1], [0.2]], [[0.1]], rng=rng())
