"""Statistics across tasks: interquartile mean and probability of improvement, with stratified bootstrap intervals.

Source: Agarwal et al., arXiv 2108.13264.  Tasks are strata: runs are resampled within a task and never moved between
tasks.  Several operating points of one task are not tasks, and are never put together here.  Scores come as one array
of runs a task, as tasks may differ in how many runs were finished; scores that are not finite are left out.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import trim_mean

from reports.stats import ALPHA, MIN_SEEDS, Estimate

Scores = Sequence[ArrayLike]


def interquartile_mean(scores: Scores, *, rng: np.random.Generator, resamples: int = 2000) -> Estimate:
    """Mean of the middle half of all runs of all tasks, a quarter of them (rounded down) cut off at either end.

    The interval is the 95 % percentile interval of the stratified bootstrap, NaN where a task has fewer than two runs.
    """
    return _bootstrap([_known(scores)], _middle_mean, rng, resamples)


def improvement_probability(
    scores: Scores, baseline: Scores, *, rng: np.random.Generator, resamples: int = 2000
) -> Estimate:
    """Probability that a run scores higher than one of the baseline on a task drawn at random; a tie counts half.

    The mean over tasks of U / (n m), U of Mann and Whitney.  Runs of both sides are resampled on their own, as in the
    source, so pairing by seed does not narrow the interval.  ValueError when the two differ in their number of tasks.
    """
    if len(scores) != len(baseline):
        raise ValueError(f"{len(scores)} tasks cannot be compared with {len(baseline)}")
    return _bootstrap([_known(scores), _known(baseline)], _superiority, rng, resamples)


def _known(scores: Scores) -> list[np.ndarray]:
    arrays = [np.asarray(values, dtype=float) for values in scores]
    return [values[np.isfinite(values)] for values in arrays]


def _bootstrap(
    sides: Sequence[list[np.ndarray]],
    statistic: Callable[..., np.ndarray],
    rng: np.random.Generator,
    resamples: int,
) -> Estimate:
    """``statistic`` takes, for each side, a list with one array [B, runs] a task, and gives [B]."""
    counts = [len(values) for side in sides for values in side]
    n = sum(len(values) for values in sides[0])
    if not counts or min(counts) == 0:
        return Estimate(value=math.nan, low=math.nan, high=math.nan, n=n)
    value = float(statistic(*[[values[None] for values in side] for side in sides])[0])
    if min(counts) < MIN_SEEDS:
        return Estimate(value=value, low=math.nan, high=math.nan, n=n)
    drawn = [[rng.choice(values, (resamples, len(values))) for values in side] for side in sides]
    low, high = np.quantile(statistic(*drawn), [ALPHA / 2, 1 - ALPHA / 2])
    return Estimate(value=value, low=float(low), high=float(high), n=n)


def _middle_mean(tasks_BR: list[np.ndarray]) -> np.ndarray:
    return np.asarray(trim_mean(np.concatenate(tasks_BR, axis=1), 0.25, axis=1))


def _superiority(ours_BR: list[np.ndarray], theirs_BR: list[np.ndarray]) -> np.ndarray:
    by_task = []
    for ours, theirs in zip(ours_BR, theirs_BR, strict=True):
        gap = ours[:, :, None] - theirs[:, None, :]
        by_task.append(((gap > 0) + 0.5 * (gap == 0)).mean(axis=(1, 2)))
    return np.asarray(np.mean(by_task, axis=0))
