"""Each statistic against SciPy, a closed form or brute force; what they promise together is in test_simulations."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from reports.stats import (
    clustered_error,
    collapsed,
    compare,
    holm,
    mean_interval,
    minimum_detectable_effect,
    paired_clustered_error,
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
    nothing = compare([0.0, 0.0, 0.0])
    assert (nothing.difference.low, nothing.difference.high, nothing.p) == (0.0, 0.0, 1.0)
    assert standard_error([0.3, 0.3, 0.3]) == 0.0
    assert math.isnan(compare([0.2]).p)
    assert math.isnan(compare([]).p)


@pytest.mark.parametrize(("seeds", "expected"), [(2, "not resolved"), (5, "not resolved"), (6, "better")])
def test_equal_differences_of_few_seeds_are_no_certainty(seeds, expected):
    """Two seeds that answer one question more are no proof, however equal they are; 0.3 - 0.2 is 0.5 - 0.4 but for
    rounding.
    """
    found = compare([0.3 - 0.2, 0.5 - 0.4, 0.1, 0.1, 0.1, 0.1][:seeds])
    assert found.difference.value == pytest.approx(0.1)
    assert math.isnan(found.difference.low)
    assert math.isnan(found.mde)
    assert found.p == found.sign_flip_floor == 2.0 ** (1 - seeds)
    assert verdict(found.difference.value, found.p) == expected


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


def test_the_two_way_interval_resamples_seeds_and_questions():
    rng = np.random.default_rng(0)
    by_seed = np.repeat(rng.normal(size=(8, 1)), 50, axis=1)
    by_question = np.repeat(rng.normal(size=(1, 50)), 8, axis=0)

    def width(differences):
        found = two_way_interval(differences, rng=np.random.default_rng(1))
        assert found.value == pytest.approx(differences.mean())
        return found.high - found.low

    # What only seeds move has the width of the t interval over seeds, what only questions move that over questions.
    for differences, means in ((by_seed, by_seed[:, 0]), (by_question, by_question[0])):
        deciding = mean_interval(means)
        assert width(differences) == pytest.approx(deciding.high - deciding.low, rel=0.1)
    assert width(np.ones((4, 4))) == 0
    assert math.isnan(two_way_interval(np.ones((1, 9)), rng=rng).low)


def test_the_two_way_interval_leaves_out_seeds_and_questions_without_values():
    differences = np.random.default_rng(0).normal(size=(6, 20))
    holed = np.hstack([differences, np.ones((6, 1))])
    holed[2, 20] = math.nan
    holed = np.vstack([holed, np.full((1, 21), math.nan)])
    whole = two_way_interval(differences, rng=np.random.default_rng(1))
    assert two_way_interval(holed, rng=np.random.default_rng(1)) == whole
    assert whole.n == 6
    assert math.isnan(two_way_interval(np.full((3, 4), math.nan), rng=np.random.default_rng(1)).value)


QUESTIONS = st.lists(st.lists(st.integers(0, 1).map(float), min_size=3, max_size=3), min_size=2, max_size=9)


@given(QUESTIONS)
def test_without_clusters_the_clustered_error_is_that_of_the_mean_over_questions(scores_QS):
    means = np.mean(scores_QS, axis=1)
    assert clustered_error(scores_QS) == pytest.approx(standard_error(means), abs=1e-12)
    assert clustered_error(means) == pytest.approx(standard_error(means), abs=1e-12)


@given(QUESTIONS, st.data())
def test_the_clustered_error_is_that_of_all_pairs_within_a_cluster(scores_QS, data):
    Q = len(scores_QS)
    labels = data.draw(st.lists(st.sampled_from("abc"), min_size=Q, max_size=Q))
    C = len(set(labels))
    means = np.mean(scores_QS, axis=1)
    pairs = sum(
        (means[i] - means.mean()) * (means[j] - means.mean())
        for i, j in itertools.product(range(Q), repeat=2)
        if labels[i] == labels[j]
    )
    found = clustered_error(scores_QS, labels)
    if C < 2:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(math.sqrt(max(pairs, 0.0) * C / (C - 1)) / Q, abs=1e-9)


def test_questions_that_agree_within_their_cluster_count_once():
    means = np.array([0.1, 0.4, 0.8, 0.9])
    assert clustered_error(np.repeat(means, 5), np.repeat(range(4), 5)) == pytest.approx(standard_error(means))
    assert clustered_error(np.repeat(means, 5)) < standard_error(means) / 2


@pytest.mark.parametrize("size", [1, 4])
def test_the_clustered_error_is_the_deviation_that_a_mean_has_over_repeated_evaluations(size):
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(40), size)
    means, errors = [], []
    for _ in range(400):
        easy = rng.normal(0, 0.2, 40)[clusters] + rng.normal(0, 0.1, len(clusters))
        scores_QS = rng.binomial(1, np.clip(0.5 + easy, 0, 1)[:, None], (len(clusters), 8))
        means.append(scores_QS.mean())
        errors.append(clustered_error(scores_QS, clusters))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)


def test_the_paired_error_is_that_of_differences_and_leaves_out_what_either_lacks():
    rng = np.random.default_rng(0)
    hard = rng.uniform(0, 1, 200)[:, None]
    ours, theirs = rng.binomial(1, hard, (200, 8)).astype(float), rng.binomial(1, hard, (200, 4)).astype(float)
    clusters = np.arange(200) // 2
    found = paired_clustered_error(ours, theirs, clusters)
    assert found == pytest.approx(standard_error((ours.mean(1) - theirs.mean(1)).reshape(100, 2).mean(1)))
    # What makes a question hard for both drops out.
    assert found < math.hypot(clustered_error(ours, clusters), clustered_error(theirs, clusters)) / 1.5
    # As a question of its own, not as a wrong answer.
    ours[:2] = math.nan
    ours[2, 5] = math.nan
    means = np.nanmean(ours[2:], axis=1) - theirs[2:].mean(axis=1)
    assert paired_clustered_error(ours, theirs, clusters) == pytest.approx(clustered_error(means, clusters[2:]))


def test_after_holm_over_six_comparisons_a_sign_flip_test_needs_eight_seeds():
    for seeds, enough in ((7, False), (8, True)):
        floor = compare(np.arange(1, seeds + 1) / 10).sign_flip_p
        assert (holm([floor] * 6)[0] < 0.05) == enough


def test_collapse_is_no_variance_for_ten_steps_or_a_length_far_from_the_starts():
    lengths = [23.0] * 20
    assert collapsed([0.5] * 20, lengths, 23.0) == ""
    assert collapsed([0.5] * 5 + [0.96] * 10 + [0.5] * 5, lengths, 23.0) == "no variance within groups for 10 steps"
    assert collapsed([0.96] * 9 + [0.9] + [0.96] * 9, lengths, 23.0) == ""
    assert "mean length 22%" in collapsed([0.5] * 20, [23.0] * 15 + [5.0] * 5, 23.0)
    assert "mean length 209%" in collapsed([0.5] * 20, [23.0] * 15 + [48.0] * 5, 23.0)
    assert collapsed([0.5] * 20, [48.0] * 15 + [23.0] * 5, 23.0) == ""
    assert collapsed([], [], math.nan) == ""
