"""Each statistic against SciPy, a closed form or brute force; the deciding interval also by simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from reports.stats import (
    collapsed,
    compare,
    holm,
    mean_interval,
    minimum_detectable_effect,
    pass_at_k,
    sign_flip_p,
    standard_error,
    two_way_interval,
    verdict,
)

VALUES = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=2, max_size=8)


@given(VALUES.filter(lambda values: np.ptp(values) > 1e-6))
def test_the_interval_and_p_are_those_of_scipys_t_test(values):
    expected = scipy_stats.ttest_1samp(values, 0.0)
    low, high = expected.confidence_interval(0.95)
    found = compare(values)
    assert found.difference.low == pytest.approx(low, abs=1e-9)
    assert found.difference.high == pytest.approx(high, abs=1e-9)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)


def test_few_or_equal_values_have_defined_answers():
    assert math.isnan(mean_interval([]).value)
    one = mean_interval([0.5])
    assert one.value == 0.5
    assert math.isnan(one.low)
    same = compare([0.1] * 5)
    assert (same.difference.low, same.difference.high) == (same.difference.value, same.difference.value)
    assert same.p == 0.0
    nothing = compare([0.0, 0.0, 0.0])
    assert nothing.p == 1.0
    assert standard_error([0.3, 0.3, 0.3]) == 0.0
    assert math.isnan(compare([0.2]).p)
    assert math.isnan(compare([]).p)


def test_values_that_are_not_finite_are_left_out_of_every_statistic():
    values, holed = [0.1, 0.2, 0.4], [0.1, math.nan, 0.2, math.inf, 0.4]
    assert mean_interval(holed) == mean_interval(values)
    assert compare(holed) == compare(values)
    assert sign_flip_p(holed) == sign_flip_p(values)
    assert minimum_detectable_effect(holed) == minimum_detectable_effect(values)
    # Nothing known is no evidence: p must not be 0.
    assert math.isnan(sign_flip_p([math.nan, math.nan]))


@pytest.mark.parametrize(("n", "factor"), [(3, 5.36), (5, 3.72), (10, 3.15)])
def test_the_minimum_detectable_effect_is_the_known_multiple_of_the_standard_error(n, factor):
    differences = np.random.default_rng(0).normal(size=n)
    assert minimum_detectable_effect(differences) / standard_error(differences) == pytest.approx(factor, abs=0.006)


@given(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=7))
def test_the_sign_flip_p_is_that_of_brute_force_and_keeps_its_floor(values):
    observed = abs(sum(values))
    flips = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    assert sign_flip_p(values) == sum(flip >= observed for flip in flips) / len(flips)
    assert sign_flip_p(values) >= compare(values).sign_flip_floor


def test_the_sign_flip_floor_is_reached_by_agreeing_seeds():
    found = compare([0.1, 0.2, 0.3, 0.4, 0.5])
    assert found.sign_flip_p == found.sign_flip_floor == 1 / 16


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_only_raises_keeps_the_order_and_ignores_where_a_comparison_stands(p_values):
    adjusted = holm(p_values)
    assert all(a >= p and a <= 1 for a, p in zip(adjusted, p_values, strict=True))
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))
    assert holm(p_values[::-1]) == adjusted[::-1]


def test_holm_matches_a_worked_example_and_leaves_out_what_was_not_compared():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.02)
    assert math.isnan(adjusted[1])


def test_verdicts_follow_the_corrected_p_and_the_sign():
    assert verdict(0.1, 0.049) == "better"
    assert verdict(-0.1, 0.049) == "worse"
    assert verdict(0.1, 0.05) == "not resolved"
    assert verdict(0.1, math.nan) == "no verdict"


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(n):
    for c in range(n + 1):
        samples = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            subsets = list(itertools.combinations(samples, k))
            assert pass_at_k(n, [c], k)[0] == pytest.approx(sum(map(any, subsets)) / len(subsets))
    assert np.isnan(pass_at_k(n, [0], n + 1)).all()


def test_pass_at_k_takes_a_count_a_question_and_does_not_overflow():
    found = pass_at_k([4, 8, 2], [1, 2, 2], 4)
    assert found[:2] == pytest.approx([1.0, 1 - math.comb(6, 4) / math.comb(8, 4)])
    assert math.isnan(found[2])
    large = 1 - math.comb(4900, 2500) / math.comb(5000, 2500)
    assert pass_at_k(5000, [100], 2500)[0] == pytest.approx(large)


def test_the_two_way_interval_covers_its_wider_scope_with_ten_seeds():
    rng = np.random.default_rng(3)
    hits, trials, truth = 0, 300, 0.05
    for _ in range(trials):
        seeds, questions = rng.normal(0, 0.05, (10, 1)), rng.normal(0, 0.3, (1, 60))
        found = two_way_interval(truth + seeds + questions + rng.normal(0, 0.3, (10, 60)), rng=rng, resamples=300)
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / trials <= 0.985  # 93 to 97 % and two Monte-Carlo standard errors of 300 trials


def test_the_two_way_interval_resamples_seeds_and_questions():
    rng = np.random.default_rng(0)
    by_seed = np.repeat(rng.normal(size=(8, 1)), 50, axis=1)
    by_question = np.repeat(rng.normal(size=(1, 50)), 8, axis=0)

    def width(differences):
        found = two_way_interval(differences, rng=np.random.default_rng(1))
        assert found.value == pytest.approx(differences.mean())
        return found.high - found.low

    # Percentile widths of a bootstrap mean: 2 x 1.96 x population deviation / sqrt(n).
    assert width(by_seed) == pytest.approx(3.92 * by_seed[:, 0].std() / 8**0.5, rel=0.1)
    assert width(by_question) == pytest.approx(3.92 * by_question[0].std() / 50**0.5, rel=0.1)
    assert width(np.ones((4, 4))) == 0
    assert math.isnan(two_way_interval(np.ones((1, 9)), rng=rng).low)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_deciding_interval_covers_as_promised(seeds):
    rng = np.random.default_rng(seeds)
    truth, hits, trials = 0.05, 0, 2000
    for _ in range(trials):
        # Crossed design: seed effects and binomial noise of 64 questions on each seed's difference.
        differences = truth + rng.normal(0, 0.05, seeds) + rng.normal(0, 0.5 / 8, seeds)
        found = compare(differences).difference
        hits += found.low <= truth <= found.high
    assert 0.93 <= hits / trials <= 0.97


def test_equal_arms_are_called_different_no_more_often_than_promised():
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(1000):
        p_values = [compare(rng.normal(0, 0.05, 5)).p for _ in range(6)]
        called += any(p < 0.05 for p in holm(p_values))
    assert called / 1000 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)


def test_collapse_is_no_variance_for_ten_steps_or_a_length_far_from_the_starts():
    lengths = [23.0] * 20
    assert collapsed([0.5] * 20, lengths, 23.0) == ""
    assert collapsed([0.5] * 5 + [0.96] * 10 + [0.5] * 5, lengths, 23.0) == "no variance within groups for 10 steps"
    assert collapsed([0.96] * 9 + [0.9] + [0.96] * 9, lengths, 23.0) == ""
    assert "mean length 22%" in collapsed([0.5] * 20, [23.0] * 15 + [5.0] * 5, 23.0)
    assert "mean length 209%" in collapsed([0.5] * 20, [23.0] * 15 + [48.0] * 5, 23.0)
    assert collapsed([0.5] * 20, [48.0] * 15 + [23.0] * 5, 23.0) == ""
    assert collapsed([], [], math.nan) == ""
