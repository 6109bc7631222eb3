"""Statistics of one training curve against what it cost: area, cost of a threshold, saturating fit.

``cost_T`` is any quantity that grows along a run (samples, tokens, updates, seconds), on a grid that may be uneven;
``values_T`` are shares such as training accuracy.  A point whose cost or value is not finite is a hole: it is left out,
and the curve goes straight across it.  Source of the fit: ScaleRL, arXiv 2510.13786, Eq. 1.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import trapezoid
from scipy.optimize import least_squares
from scipy.special import expit, fdtr, fdtri

from reports.stats import ALPHA

# Two asymptotes that are no further apart are a tie: the spread that the source reports over three runs.
ASYMPTOTE_TIE = 0.02
# Of an asymptote's 95 % interval; more is no answer, as the tie is 0.02.
MAX_HALF_WIDTH = 0.05
# The share of the way from the start to the asymptote that a curve must have gone: the rest is extrapolation.
MIN_GONE = 0.75
MIN_POINTS = 10
_PARAMETERS = 4
_RISE_ALPHA = 0.001  # strict, as the fit chooses the form that tells noise and rise apart best
_FALL_ERRORS = 3.0
_BLOCKS = 5
_EXPONENTS = (0.2, 20.0)
_GRID = 40
_HOPELESS = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """When a curve came to a threshold, or that it had not by its end (a censored time, not a missing one)."""

    reached: bool
    cost: float  # at the crossing; else the cost at which the curve ends, which the true one exceeds; NaN without one


@dataclass(frozen=True, slots=True, kw_only=True)
class SaturatingFit:
    """R(C) = R0 + (A - R0) / (1 + (C_mid / C)^B); all numbers are NaN where ``refusal`` says why."""

    asymptote: float  # A
    low: float  # of the 95 % profile-likelihood interval of A
    high: float
    start: float  # R0
    midpoint: float  # C_mid, in units of the cost
    exponent: float  # B
    refusal: str  # "" where the curve identifies A


def area_under_curve(cost_T: ArrayLike, values_T: ArrayLike, *, until: float | None = None) -> float:
    """Area by the trapezoid over the span of the cost, divided by the span: the mean height of the curve.

    With ``until`` the curve is cut there, between two points on the straight line; NaN when it ends earlier, and for
    fewer than two different costs.
    """
    cost, values = _known(cost_T, values_T)
    if until is not None and len(cost):
        if cost[-1] < until:
            return math.nan
        inside = cost < until
        cost, values = np.append(cost[inside], until), np.append(values[inside], np.interp(until, cost, values))
    if len(cost) < 2 or cost[-1] == cost[0]:
        return math.nan
    return float(trapezoid(values, cost) / (cost[-1] - cost[0]))


def cost_of_reaching(cost_T: ArrayLike, values_T: ArrayLike, threshold: float, *, window: int) -> Crossing:
    """The cost at which the mean of the last ``window`` known values first is at or above the threshold.

    On the straight line between the smoothed point below and the one above; the smoothed curve begins at the
    ``window``-th point, and where that is above already, its cost is the answer.
    """
    cost, values = _known(cost_T, values_T)
    if not len(cost) or math.isnan(threshold):
        return Crossing(reached=False, cost=math.nan)
    ends = cost[window - 1 :]
    smooth = np.convolve(values, np.full(window, 1 / window), mode="valid") if len(ends) else ends
    # Rounding of the mean must not turn a curve that stays on the threshold into one below it.
    above = np.flatnonzero(smooth >= threshold - 1e-12)
    if not len(above):
        return Crossing(reached=False, cost=float(cost[-1]))
    k = int(above[0])
    if k == 0:
        return Crossing(reached=True, cost=float(ends[0]))
    share = (threshold - smooth[k - 1]) / (smooth[k] - smooth[k - 1])
    return Crossing(reached=True, cost=float(ends[k - 1] + min(share, 1.0) * (ends[k] - ends[k - 1])))


def fit_saturating(cost_T: ArrayLike, values_T: ArrayLike) -> SaturatingFit:
    """Least squares of the saturating curve, or the reason why the curve does not identify its asymptote.

    All points as they were measured: smoothing before would tie their errors together and narrow the interval.  Values
    are shares; an asymptote above 1 by more than a tie is refused.
    """
    cost, values = _known(cost_T, values_T)
    positive = cost > 0
    cost, values = cost[positive], values[positive]
    n = len(cost)
    if n < MIN_POINTS:
        return _refused(f"{n} points, {MIN_POINTS} are needed")
    if _falls(values):
        return _refused("falls towards its end")
    log_cost = np.log(cost / cost[-1])
    middles = np.linspace(log_cost[0] - 1, math.log(10.0), _GRID)
    exponents = np.linspace(math.log(_EXPONENTS[0]), math.log(_EXPONENTS[1]), _GRID)
    grid = _Grid(log_cost, values, middles, exponents)
    if not _rises(values, float(grid.rss.min())):
        return _refused("no rise beyond the noise")
    start, asymptote, middle, exponent, rss = _best(log_cost, values, grid)
    gone = float(expit(-np.exp(exponent) * middle))
    low = high = math.nan
    refusal = ""
    if asymptote < start:
        refusal = "falls"
    elif gone < MIN_GONE:
        refusal = f"still rising at its end, after {gone:.0%} of the way (at least {MIN_GONE:.0%} is needed)"
    elif not middles[0] + 1e-3 < middle < middles[-1] - 1e-3:
        refusal = "C_mid at its bound"
    elif not exponents[0] + 1e-3 < exponent < exponents[-1] - 1e-3:
        refusal = "B at its bound"
    elif asymptote > 1 + ASYMPTOTE_TIE:
        refusal = "A above 1"
    else:
        low, high = _profile_interval(log_cost, values, grid, asymptote, rss)
        if high - low > 2 * MAX_HALF_WIDTH:
            refusal = f"A not known to within {MAX_HALF_WIDTH:g}"
    if refusal:
        return _refused(refusal)
    return SaturatingFit(
        asymptote=asymptote,
        low=low,
        high=high,
        start=start,
        midpoint=float(np.exp(middle) * cost[-1]),
        exponent=float(np.exp(exponent)),
        refusal="",
    )


def main_refusal(fits: Sequence[SaturatingFit]) -> str:
    """The reason that most of the refused fits share, numbers in it aside; "" when none was refused."""
    reasons = [fit.refusal for fit in fits if fit.refusal]
    if not reasons:
        return ""
    kinds = Counter(reason.split(",")[0] for reason in reasons)
    kind = kinds.most_common(1)[0][0]
    return next(reason for reason in reasons if reason.split(",")[0] == kind)


class _Grid:
    """Least squares in R0 and A, which enter linearly, for every pair of middle and exponent, all at once.

    For each pair the residual sum is a parabola in A, ``rss`` at its lowest, there at ``asymptote``.
    """

    def __init__(self, log_cost: np.ndarray, values: np.ndarray, middles: np.ndarray, exponents: np.ndarray) -> None:
        self.middles, self.exponents = middles, exponents
        rates = np.exp(exponents)[None, :, None]
        gone_MBT = expit(rates * (log_cost - middles[:, None, None]))
        mean, centred = gone_MBT.mean(axis=-1), values - values.mean()
        square = ((gone_MBT - mean[..., None]) ** 2).sum(axis=-1)
        bends = square > 1e-9
        square = np.where(bends, square, 1.0)
        slope = np.where(bends, gone_MBT @ centred / square, 0.0)
        self.rss = np.maximum(centred @ centred - slope**2 * square, 0.0)
        self.start = values.mean() - slope * mean
        self.asymptote = self.start + slope
        # Variance of A in units of the noise's; a form without a bend over the data says nothing on A.
        self.variance = np.where(bends, 1 / len(values) + (1 - mean) ** 2 / square, math.inf)


def _best(log_cost: np.ndarray, values: np.ndarray, grid: _Grid) -> tuple[float, float, float, float, float]:
    """R0, A, log C_mid, log B (cost in units of the last) and the residual sum, best of three starts.

    The starts are the best pairs of the grid with a small, a middling and a large exponent, those left out that fit
    far worse than the best.
    """

    def residuals(x: np.ndarray) -> np.ndarray:
        return np.asarray(x[0] + (x[1] - x[0]) * expit(np.exp(x[3]) * (log_cost - x[2])) - values)

    def jacobian(x: np.ndarray) -> np.ndarray:
        rate = np.exp(x[3])
        gone = expit(rate * (log_cost - x[2]))
        bend = (x[1] - x[0]) * gone * (1 - gone) * rate
        return np.stack([1 - gone, gone, -bend, bend * (log_cost - x[2])], axis=1)

    low = [-math.inf, -math.inf, grid.middles[0], grid.exponents[0]]
    high = [math.inf, math.inf, grid.middles[-1], grid.exponents[-1]]
    fits = []
    for part in np.array_split(np.arange(len(grid.exponents)), 3):
        m, b = np.unravel_index(int(np.argmin(grid.rss[:, part])), (len(grid.middles), len(part)))
        b = part[b]
        if grid.rss[m, b] > _HOPELESS * grid.rss.min():
            continue
        first = [grid.start[m, b], grid.asymptote[m, b], grid.middles[m], grid.exponents[b]]
        fits.append(least_squares(residuals, np.clip(first, low, high), jac=jacobian, bounds=(low, high)))
    best = min(fits, key=lambda fit: float(fit.cost))
    start, asymptote, middle, exponent = (float(x) for x in best.x)
    return start, asymptote, middle, exponent, 2 * float(best.cost)


def _profile_interval(
    log_cost: np.ndarray, values: np.ndarray, grid: _Grid, asymptote: float, rss: float
) -> tuple[float, float]:
    """All A whose best curve has a residual sum that an F test does not tell from the least one."""
    free = len(values) - _PARAMETERS
    ratio = 1 + float(fdtri(1, free, 1 - ALPHA)) / free
    # A finer grid over the pairs that could matter: the first is too coarse where there is little noise.
    m, b = np.nonzero(grid.rss <= max(rss, float(grid.rss.min())) * ratio)

    def finer(axis: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return np.linspace(axis[max(chosen.min() - 1, 0)], axis[min(chosen.max() + 1, len(axis) - 1)], _GRID)

    fine = _Grid(log_cost, values, finer(grid.middles, m), finer(grid.exponents, b))
    slack = rss * ratio - fine.rss
    inside = slack >= 0
    if not inside.any():
        return asymptote, asymptote
    half = np.sqrt(slack[inside] * fine.variance[inside])
    lows, highs = fine.asymptote[inside] - half, fine.asymptote[inside] + half
    return min(asymptote, float(lows.min())), max(asymptote, float(highs.max()))


def _rises(values: np.ndarray, rss: float) -> bool:
    """Whether the curve tells more than a constant does, by the F test."""
    spread, free = float(np.sum((values - values.mean()) ** 2)), len(values) - _PARAMETERS
    if rss <= 1e-12 * spread:
        return spread > 0
    ratio = (spread / rss - 1) * free / (_PARAMETERS - 1)
    return bool(1 - fdtr(_PARAMETERS - 1, free, ratio) < _RISE_ALPHA)


def _falls(values: np.ndarray) -> bool:
    """Whether the last fifth lies below an earlier one by more than the noise, read from neighbouring points."""
    noise = float(np.mean(np.diff(values) ** 2) / 2)
    blocks = np.array_split(values, _BLOCKS)
    last = blocks[-1]
    return any(
        block.mean() - last.mean() > _FALL_ERRORS * math.sqrt(noise * (1 / len(block) + 1 / len(last)))
        for block in blocks[:-1]
    )


def _known(cost_T: ArrayLike, values_T: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The points without holes, by cost."""
    cost, values = np.asarray(cost_T, dtype=float), np.asarray(values_T, dtype=float)
    known = np.isfinite(cost) & np.isfinite(values)
    cost, values = cost[known], values[known]
    order = np.argsort(cost, kind="stable")
    return cost[order], values[order]


def _refused(reason: str) -> SaturatingFit:
    nan = math.nan
    return SaturatingFit(asymptote=nan, low=nan, high=nan, start=nan, midpoint=nan, exponent=nan, refusal=reason)
