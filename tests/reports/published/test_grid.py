import math
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from reports.published.grid import decimals, gap_interval, nearest, on_grid, rounded, share_interval, share_on_grid

TOTALS = st.integers(1, 400)
PLACES = st.integers(0, 2)


def all_printable(total, places):
    return {rounded(count, total, places) for count in range(total + 1)}


@given(st.integers(0, 4000), st.integers(1, 4000), PLACES)
def test_rounding_is_half_up(count, total, places):
    # 50 digits hold every tie exactly, as a tie is a short decimal.
    exact = Decimal(100 * count) / Decimal(total)
    assert rounded(count, total, places) == exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def test_a_tie_goes_up_and_zeros_are_kept():
    assert str(rounded(762, 960, 2)) == "79.38"  # 79.375
    assert str(rounded(216, 480, 2)) == "45.00"
    assert decimals(Decimal("45.00")) == 2
    assert decimals(Decimal("30")) == 0


@given(TOTALS, PLACES, st.data())
def test_a_value_is_on_the_grid_when_some_count_prints_it(total, places, data):
    printed = Decimal(data.draw(st.integers(-3, 100 * 10**places + 3))).scaleb(-places)
    assert on_grid(printed, total) == (printed in all_printable(total, places))


@given(st.integers(1, 60), PLACES, st.data())
def test_the_nearest_value_is_that_of_the_nearest_count(total, places, data):
    printed = Decimal(data.draw(st.integers(0, 100 * 10**places))).scaleb(-places)
    distances = {k: abs(Fraction(100 * k, total) - Fraction(printed)) for k in range(total + 1)}
    closest = {rounded(k, total, places) for k, gap in distances.items() if gap == min(distances.values())}
    assert nearest(printed, total) in closest


@given(TOTALS, PLACES)
def test_the_power_of_the_check_is_the_share_of_values_that_pass(total, places):
    assert share_on_grid(total, places) == len(all_printable(total, places)) / (100 * 10**places + 1)


@pytest.mark.parametrize(("right", "questions"), [(0, 30), (1, 30), (13, 30), (30, 30), (140, 279)])
def test_the_interval_of_a_cell_is_wilsons(right, questions):
    found = share_interval(100 * right / questions, questions)
    expected = binomtest(right, questions).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((100 * expected.low, 100 * expected.high), abs=1e-9)
    assert found.n == questions


@given(st.floats(0, 100), st.integers(1, 1000))
def test_the_interval_of_a_cell_holds_it_and_stays_within_percents(percent, questions):
    found = share_interval(percent, questions)
    assert 0 <= found.low <= percent + 1e-9
    assert percent - 1e-9 <= found.high <= 100


def test_an_effect_has_the_interval_of_two_unpaired_shares():
    effect = gap_interval(30.42, 40.83, 30)
    assert effect.value == pytest.approx(30.42 - 40.83)
    assert effect.high - effect.value == pytest.approx(effect.value - effect.low)
    assert effect.high - effect.value == pytest.approx(195.9964 * math.sqrt((0.3042 * 0.6958 + 0.4083 * 0.5917) / 30))
