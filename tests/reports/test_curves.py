"""Areas and crossings against closed forms; the saturating fit on curves of known truth, and on what it refuses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from reports.curves import (
    ASYMPTOTE_TIE,
    MAX_HALF_WIDTH,
    area_under_curve,
    cost_of_reaching,
    fit_saturating,
    main_refusal,
)

POINTS = 60
COST = np.arange(1, POINTS + 1) * 6000.0
STEPS = st.lists(st.tuples(st.floats(0.01, 10), st.floats(0, 1)), min_size=2, max_size=12)


def saturating(cost, start, asymptote, midpoint, exponent):
    """The curve as the paper writes it."""
    return start + (asymptote - start) / (1 + (midpoint / cost) ** exponent)


@given(STEPS)
def test_the_area_is_a_mean_height_that_no_unit_of_cost_and_no_order_of_points_changes(steps):
    cost, values = np.cumsum([step for step, _ in steps]), np.array([value for _, value in steps])
    area = area_under_curve(cost, values)
    by_hand = sum((cost[k + 1] - cost[k]) * (values[k] + values[k + 1]) / 2 for k in range(len(cost) - 1))
    assert area == pytest.approx(by_hand / (cost[-1] - cost[0]))
    assert values.min() - 1e-9 <= area <= values.max() + 1e-9
    assert area_under_curve(7 * cost + 3, values) == pytest.approx(area)
    assert area_under_curve(cost[::-1], values[::-1]) == pytest.approx(area)


def test_the_area_of_a_line_is_its_middle_on_any_grid_with_any_holes():
    cost = np.array([0.0, 1.0, 1.5, 4.0, 9.0, 10.0])
    line = 0.2 + 0.05 * cost
    assert area_under_curve(cost, line) == pytest.approx(0.45)
    holed = line.copy()
    holed[[1, 3]] = math.nan
    assert area_under_curve(cost, holed) == pytest.approx(0.45)
    assert area_under_curve(cost, line, until=5.0) == pytest.approx(0.2 + 0.05 * 2.5)
    assert area_under_curve(cost, line, until=4.0) == pytest.approx(0.2 + 0.05 * 2.0)


def test_an_area_that_the_points_cannot_give_is_not_a_number():
    assert math.isnan(area_under_curve([], []))
    assert math.isnan(area_under_curve([3.0], [0.5]))
    assert math.isnan(area_under_curve([3.0, 3.0], [0.5, 0.6]))
    assert math.isnan(area_under_curve([1.0, math.nan], [0.5, 0.6]))
    # A run that stopped early has no area up to a cost that it never came to.
    assert math.isnan(area_under_curve([1.0, 2.0], [0.5, 0.6], until=3.0))
    assert math.isnan(area_under_curve([1.0, 2.0], [0.5, 0.6], until=math.nan))


def test_the_crossing_of_a_line_is_where_it_meets_the_threshold_and_smoothing_only_delays_it():
    cost = np.array([0.0, 2.0, 3.0, 7.0, 8.0, 10.0])
    found = cost_of_reaching(cost, cost / 10, 0.45, window=1)
    assert found.reached
    assert found.cost == pytest.approx(4.5)
    even = np.arange(11.0)
    # The mean of three neighbours of a line is the line one step before.
    assert cost_of_reaching(even, even / 10, 0.45, window=3).cost == pytest.approx(5.5)
    assert cost_of_reaching(even, even / 10, 0.45, window=1).cost == pytest.approx(4.5)


def test_a_curve_that_never_gets_there_is_censored_at_its_end_and_one_lucky_point_is_no_crossing():
    values = [0.2, 0.2, 0.9, 0.2, 0.2, 0.2]
    found = cost_of_reaching(range(6), values, 0.5, window=3)
    assert (found.reached, found.cost) == (False, 5.0)
    assert cost_of_reaching(range(6), values, 0.5, window=1).reached
    short = cost_of_reaching([1.0, 2.0], [0.9, 0.9], 0.5, window=3)
    assert (short.reached, short.cost) == (False, 2.0)
    unknown = cost_of_reaching([math.nan] * 3, [0.9] * 3, 0.5, window=1)
    assert not unknown.reached
    assert math.isnan(unknown.cost)
    assert not cost_of_reaching(range(6), values, math.nan, window=1).reached


def test_a_curve_that_starts_above_crossed_at_its_first_smoothed_point_and_holes_are_crossed_straight():
    above = cost_of_reaching([1, 2, 3, 4], [0.5] * 4, 0.5, window=2)
    assert (above.reached, above.cost) == (True, 2.0)
    assert cost_of_reaching([0, 4, 5, 10], [0.0, 0.4, math.nan, 1.0], 0.7, window=1).cost == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("start", "asymptote", "midpoint", "exponent"),
    [(0.4, 0.9, 50e3, 2.0), (0.1, 0.61, 30e3, 1.92), (0.5, 0.8, 90e3, 4)],
)
def test_a_curve_without_noise_gives_its_parameters_back(start, asymptote, midpoint, exponent):
    found = fit_saturating(COST, saturating(COST, start, asymptote, midpoint, exponent))
    assert found.refusal == ""
    told = [found.start, found.asymptote, found.midpoint, found.exponent]
    assert told == pytest.approx([start, asymptote, midpoint, exponent], rel=1e-4)


def test_asymptotes_of_noisy_curves_are_found_and_their_intervals_cover():
    rng = np.random.default_rng(0)
    fits = [
        fit_saturating(COST, saturating(COST, 0.4, 0.9, 54e3, 2.0) + rng.normal(0, 0.03, POINTS)) for _ in range(100)
    ]
    assert not any(fit.refusal for fit in fits)
    assert abs(np.mean([fit.asymptote for fit in fits]) - 0.9) < ASYMPTOTE_TIE / 4
    covered = np.mean([fit.low <= 0.9 <= fit.high for fit in fits])
    assert 0.95 - 2 * math.sqrt(0.95 * 0.05 / 100) <= covered
    assert all(fit.high - fit.low <= 2 * MAX_HALF_WIDTH for fit in fits)


def test_the_fit_is_the_least_squares_of_scipy_and_the_interval_where_the_best_other_curve_gets_worse():
    rng = np.random.default_rng(3)
    values = saturating(COST, 0.4, 0.9, 54e3, 2.0) + rng.normal(0, 0.03, POINTS)
    found = fit_saturating(COST, values)
    best, _ = curve_fit(saturating, COST, values, p0=[0.3, 0.8, 40e3, 1.5])
    assert found.asymptote == pytest.approx(best[1], abs=1e-4)

    def residual(asymptote):
        def curve(cost, start, midpoint, exponent):
            return saturating(cost, start, asymptote, midpoint, exponent)

        told, _ = curve_fit(curve, COST, values, p0=[best[0], best[2], best[3]])
        return np.sum((curve(COST, *told) - values) ** 2)

    # An F test on one parameter at 5 %: F(1, 56) = 4.013.
    limit = residual(best[1]) * (1 + 4.013 / (POINTS - 4))
    assert [residual(found.low), residual(found.high)] == pytest.approx([limit, limit], rel=0.01)


def test_the_unit_of_cost_scales_the_midpoint_alone():
    values = saturating(COST, 0.4, 0.9, 54e3, 2.0) + np.random.default_rng(1).normal(0, 0.03, POINTS)
    one, other = fit_saturating(COST, values), fit_saturating(COST / 1e3, values)
    assert other.asymptote == pytest.approx(one.asymptote, abs=1e-6)
    assert other.midpoint == pytest.approx(one.midpoint / 1e3, rel=1e-4)


UNIDENTIFIED = {
    "straight line": (np.linspace(0.3, 0.7, POINTS), "still rising|not known|bound|above"),
    "short beginning": (saturating(COST, 0.3, 0.9, COST[-1], 2.0), "still rising|not known|bound|above"),
    "logarithm": (0.3 + 0.1 * np.log(np.arange(1, POINTS + 1)), "still rising|not known|bound|above"),
    "flat": (np.full(POINTS, 0.5), "no rise beyond the noise|falls"),
    "falling": (np.linspace(0.7, 0.4, POINTS), "falls"),
    "collapse": (saturating(COST, 0.4, 0.9, 54e3, 2.0) * np.where(np.arange(POINTS) < 35, 1.0, 0.3), "falls"),
}


@pytest.mark.parametrize("noise", [0.003, 0.03])
@pytest.mark.parametrize("name", UNIDENTIFIED)
def test_curves_that_do_not_identify_an_asymptote_are_refused_with_the_reason(name, noise):
    curve, reason = UNIDENTIFIED[name]
    rng = np.random.default_rng(5)
    fits = [fit_saturating(COST, curve + rng.normal(0, noise, POINTS)) for _ in range(20)]
    assert all(fit.refusal for fit in fits)
    assert all(math.isnan(fit.asymptote) and math.isnan(fit.low) for fit in fits)
    assert any(word in main_refusal(fits) for word in reason.split("|"))


def test_too_few_points_and_impossible_asymptotes_are_refused():
    assert fit_saturating(COST[:9], saturating(COST, 0.4, 0.9, 54e3, 2.0)[:9]).refusal == "9 points, 10 are needed"
    holed = np.where(np.arange(POINTS) < 52, math.nan, 0.5)
    assert fit_saturating(COST, holed).refusal == "8 points, 10 are needed"
    assert fit_saturating(COST, saturating(COST, 0.4, 1.2, 54e3, 2.0)).refusal == "A above 1"
    assert fit_saturating(COST, np.full(POINTS, 0.5)).refusal == "no rise beyond the noise"
    assert fit_saturating([], []).refusal == "0 points, 10 are needed"


def test_noise_that_hides_the_asymptote_refuses_most_curves():
    rng = np.random.default_rng(2)
    curve = saturating(COST, 0.4, 0.9, 90e3, 1.5)
    fits = [fit_saturating(COST, curve + rng.normal(0, 0.06, POINTS)) for _ in range(30)]
    assert sum(not fit.refusal for fit in fits) < 15
    assert main_refusal(fits) == "A not known to within 0.05"
    assert main_refusal([]) == ""
