"""Solvers of chains with a stated mean accuracy: the teacher's mistakes, scaled until the exact mean is right."""

from collections.abc import Mapping, Sequence

import numpy as np

from klear_core.data.chains import OPERATORS, parse
from klear_core.errors import DataError
from klear_core.records import Problem

_HALVINGS = 50  # of the interval in which the scale of the mistakes is looked for


def mean_accuracy(problems: Sequence[Problem], mistakes: Mapping[str, float], *, digits: int = 1) -> float:
    """Probability that a solution ends right, mean over ``problems``; exact.

    A mistake adds 1 to 10^digits - 1, each as likely, to the value. A later sum or difference keeps the error, a
    product multiplies it modulo 10^digits, so that it may vanish: with one digit times 5 an even one, times 0 any.
    """
    return _mean_accuracy(_tables(problems, digits), mistakes, 10**digits)


def _tables(problems: Sequence[Problem], digits: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Operators and numbers of all chains of one length, [B, steps] each; a table for every length."""
    by_length: dict[int, list[list[tuple[str, int]]]] = {}
    for problem in problems:
        _, steps = parse(problem.prompt, digits=digits)
        by_length.setdefault(len(steps), []).append(steps)
    return [
        (np.array([[o for o, _ in steps] for steps in chains]), np.array([[n for _, n in steps] for steps in chains]))
        for chains in by_length.values()
    ]


def _mean_accuracy(tables: Sequence[tuple[np.ndarray, np.ndarray]], mistakes: Mapping[str, float], size: int) -> float:
    """The same for ``_tables``, modulo ``size``."""
    total = 0.0
    for operators_BS, numbers_BS in tables:
        errors_BE = np.zeros((len(operators_BS), size))
        errors_BE[:, 0] = 1.0
        for operator_B, number_B in zip(operators_BS.T, numbers_BS.T, strict=True):
            errors_BE = _multiplied(errors_BE, np.where(operator_B == "*", number_B, 1))
            rate_B1 = np.select([operator_B == o for o in OPERATORS], [mistakes[o] for o in OPERATORS])[:, None]
            # A mistake moves the error to each of the others.
            errors_BE = (1 - rate_B1) * errors_BE + rate_B1 * (1 - errors_BE) / (size - 1)
        total += float(errors_BE[:, 0].sum())
    return total / sum(len(operators_BS) for operators_BS, _ in tables)


def _multiplied(errors_BE: np.ndarray, factor_B: np.ndarray) -> np.ndarray:
    """Distribution of (error times factor) modulo the number of errors, given that of the error."""
    rows, size = errors_BE.shape
    places_BE = np.arange(size)[None, :] * factor_B[:, None] % size + np.arange(rows)[:, None] * size
    sums = np.bincount(places_BE.ravel(), weights=errors_BE.ravel(), minlength=errors_BE.size)
    return sums.reshape(errors_BE.shape)


def mistakes_for_accuracy(
    target: float, *, mistakes: Mapping[str, float], problems: Sequence[Problem], digits: int = 1
) -> dict[str, float]:
    """``mistakes`` times the factor at which the mean accuracy over ``problems`` is ``target``.

    So a solver of a stated accuracy is better at easy problems than at hard ones.  DataError when no factor reaches
    it: the likeliest mistake can become certain at most.
    """

    def scaled(factor: float) -> dict[str, float]:
        return {operator: rate * factor for operator, rate in mistakes.items()}

    tables, size = _tables(problems, digits), 10**digits
    largest = max(mistakes.values())
    low, high = 0.0, 1 / largest if largest else 0.0
    # With one digit, beyond nine in ten a wrong one is likelier than chance, and the accuracy may rise again.
    high *= 0.9
    least = _mean_accuracy(tables, scaled(high), size)
    if not least <= target <= 1:
        raise DataError(f"an accuracy of {target} was asked for; allowed: {least:.3f} to 1")
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_above = _mean_accuracy(tables, scaled(middle), size) > target
        low, high = (middle, high) if is_above else (low, middle)
    return scaled(low)
