"""Small pure functions over arrays of runs: intervals, paired comparisons, corrections, collapse.

Units: training seeds and questions are crossed, as every arm and seed answers the same questions; samples lie within
(seed, question) and are averaged first.  Arms are compared by paired differences.  Values that are not finite are left
out everywhere and lower n; a statistic that n cannot support is NaN.  Sources: Miller, arXiv 2411.00640; Agarwal et
al., 2108.13264; Chen et al., 2107.03374.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

ALPHA = 0.05
# Statistics with fewer runs than this decide nothing.
MIN_SEEDS = 2
MAX_EXACT_SEEDS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its interval; ``low`` and ``high`` are NaN when ``n`` is too small for one."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Paired differences of one arm against another, over seeds."""

    difference: Estimate  # deciding t interval, df = seeds - 1, scope: these questions
    p: float  # two-sided paired t test; NaN with fewer than two seeds
    sign_flip_p: float  # exact, two-sided
    sign_flip_floor: float  # the smallest value that p can take: 2^-(n-1)
    mde: float  # minimum detectable effect at 80 % power


def mean_interval(values: ArrayLike, level: float = 1 - ALPHA) -> Estimate:
    """Mean of independent values with a Student t interval, df = n - 1; values that are not finite are left out.

    Equal values give an interval of width zero, one value gives no interval.
    """
    finite = _finite(values)
    n = len(finite)
    mean = float(finite.mean()) if n else math.nan
    if n < MIN_SEEDS:
        return Estimate(value=mean, low=math.nan, high=math.nan, n=n)
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * standard_error(finite)
    return Estimate(value=mean, low=mean - half, high=mean + half, n=n)


def standard_error(values: ArrayLike) -> float:
    """Standard error of the mean, NaN for fewer than two values and exactly 0 for equal ones."""
    array = _finite(values)
    if len(array) < MIN_SEEDS:
        return math.nan
    # The rounded mean of equal values may differ from them, and leave a deviation of 1e-17 that looks like evidence.
    return 0.0 if np.ptp(array) == 0 else float(array.std(ddof=1) / math.sqrt(len(array)))


def compare(differences_R: ArrayLike) -> Comparison:
    """The deciding comparison from per-seed paired differences (arm minus baseline, the same seed).

    p is that of the t test on the differences, df = n - 1 (Miller, section 4); where all differences are equal it is 1
    when they are 0 and 0 otherwise, as the interval has width zero.
    """
    differences = _finite(differences_R)
    n = len(differences)
    error = standard_error(differences)
    if math.isnan(error):
        p = math.nan
    elif error == 0:
        p = float(differences[0] == 0)
    else:
        p = float(2 * stdtr(n - 1, -abs(differences.mean()) / error))
    return Comparison(
        difference=mean_interval(differences),
        p=p,
        sign_flip_p=sign_flip_p(differences),
        sign_flip_floor=2.0 ** -(n - 1) if n else math.nan,
        mde=minimum_detectable_effect(differences),
    )


def minimum_detectable_effect(differences_R: ArrayLike, power: float = 0.8) -> float:
    """(t_{.975} + t_{power}) x standard error of the paired difference, df = seeds - 1: 3.72 SE with 5 seeds."""
    differences = _finite(differences_R)
    df = len(differences) - 1
    if df < 1:
        return math.nan
    return float(stdtrit(df, 1 - ALPHA / 2) + stdtrit(df, power)) * standard_error(differences)


def sign_flip_p(differences_R: ArrayLike) -> float:
    """Exact two-sided p of the mean under independent sign flips of the seeds; NaN without seeds or above 16."""
    differences = _finite(differences_R)
    n = len(differences)
    if not 1 <= n <= MAX_EXACT_SEEDS:
        return math.nan
    means = np.abs(_signs(n) @ differences) / n
    observed = abs(differences.mean())
    return float((means >= observed - 1e-12 * max(1.0, observed)).mean())


@cache
def _signs(n: int) -> np.ndarray:
    return np.array(list(itertools.product((1.0, -1.0), repeat=n)))


def two_way_interval(
    differences_RQ: ArrayLike, *, rng: np.random.Generator, resamples: int = 2000, level: float = 1 - ALPHA
) -> Estimate:
    """Percentile interval that resamples seeds and questions independently, scope: questions like these.

    ``differences_RQ`` holds the paired difference of every seed and question; one draw of questions serves all seeds.
    With fewer than 10 seeds it is too narrow to decide anything and stands beside the deciding interval only.
    """
    differences = np.asarray(differences_RQ, dtype=float)
    R, Q = differences.shape
    if R < MIN_SEEDS or Q < MIN_SEEDS:
        value = float(differences.mean()) if differences.size else math.nan
        return Estimate(value=value, low=math.nan, high=math.nan, n=R)
    seeds = rng.multinomial(R, np.full(R, 1 / R), size=resamples) / R
    questions = rng.multinomial(Q, np.full(Q, 1 / Q), size=resamples) / Q
    means = np.einsum("br,rq,bq->b", seeds, differences, questions, optimize=True)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Estimate(value=float(differences.mean()), low=float(low), high=float(high), n=R)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p values in the given order; NaN stays NaN and does not count as a comparison."""
    order = sorted((p, k) for k, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, k) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[k] = largest
    return adjusted


def verdict(difference: float, adjusted_p: float) -> str:
    """``better``, ``worse`` or ``not resolved`` at the 5 % level after correction; without a p, ``no verdict``."""
    if math.isnan(adjusted_p):
        return "no verdict"
    if adjusted_p >= ALPHA:
        return "not resolved"
    return "better" if difference > 0 else "worse"


def pass_at_k(samples: ArrayLike, correct: ArrayLike, k: int) -> np.ndarray:
    """Unbiased pass@k = 1 - C(n - c, k) / C(n, k) (Chen et al., Eq. 1) for c correct of n samples; NaN when n < k.

    ``samples`` is one count for all questions, or one a question.
    """
    n, c = np.broadcast_arrays(np.asarray(samples, dtype=float), np.asarray(correct, dtype=float))
    n = np.where(n >= k, n, math.nan)
    # As a product, since the binomials overflow from about a thousand samples on; n - c < k meets a factor of 0.
    misses = np.ones(n.shape)
    for i in range(k):
        misses *= (n - c - i) / (n - i)
    return np.asarray(1 - misses)


def _finite(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    finite: np.ndarray = array[np.isfinite(array)]
    return finite


def collapsed(
    zero_variance_groups: Sequence[float],
    response_tokens: Sequence[float],
    sft_tokens: float,
    *,
    window: int = 10,
    last: int = 5,
) -> str:
    """Why a run counts as collapsed, "" when it does not.

    At least 95 % of the groups without variance for ``window`` steps in a row, or a mean length over the ``last``
    steps below 25 % or above 200 % of the supervised start's.
    """
    run = 0
    for share in zero_variance_groups:
        run = run + 1 if share >= 0.95 else 0
        if run >= window:
            return f"no variance within groups for {window} steps"
    if len(response_tokens) and sft_tokens > 0:
        share = float(np.mean(list(response_tokens)[-last:])) / sft_tokens
        if share < 0.25 or share > 2.0:
            return f"mean length {share:.0%} of the supervised start's"
    return ""
