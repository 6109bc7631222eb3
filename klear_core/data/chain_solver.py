"""Solvers of chains with a stated mean accuracy: the teacher's mistakes, scaled until the exact mean is right."""

from collections.abc import Mapping, Sequence

import numpy as np

from klear_core.data.chains import OPERATORS
from klear_core.errors import DataError
from klear_core.records import Problem

_HALVINGS = 50  # of the interval in which the scale of the mistakes is looked for


def mean_accuracy(problems: Sequence[Problem], mistakes: Mapping[str, float]) -> float:
    """Probability that a solution ends right, mean over ``problems``; exact.

    A mistake adds 1 to 9, each as likely, to the value. A later sum or difference keeps the error, a product
    multiplies it modulo 10, so that it may vanish: times 5 an even one, times 0 any.
    """
    total = 0.0
    by_length: dict[int, list[str]] = {}
    for problem in problems:
        by_length.setdefault(len(problem.prompt), []).append(problem.prompt)
    for prompts in by_length.values():
        letters_BL = np.array([list(prompt) for prompt in prompts])
        errors_BE = np.zeros((len(prompts), 10))
        errors_BE[:, 0] = 1.0
        for place in range(1, letters_BL.shape[1] - 1, 2):
            operator_B, digit_B = letters_BL[:, place], letters_BL[:, place + 1].astype(int)
            errors_BE = _multiplied(errors_BE, np.where(operator_B == "*", digit_B, 1))
            rate_B1 = np.select([operator_B == o for o in OPERATORS], [mistakes[o] for o in OPERATORS])[:, None]
            # A mistake moves the error to each of the nine others.
            errors_BE = (1 - rate_B1) * errors_BE + rate_B1 * (1 - errors_BE) / 9
        total += float(errors_BE[:, 0].sum())
    return total / len(problems)


def _multiplied(errors_BE: np.ndarray, factor_B: np.ndarray) -> np.ndarray:
    """Distribution of (error times factor) modulo 10, given that of the error."""
    result_BE = np.zeros_like(errors_BE)
    rows = np.arange(len(errors_BE))
    for error in range(10):
        np.add.at(result_BE, (rows, error * factor_B % 10), errors_BE[:, error])
    return result_BE


def mistakes_for_accuracy(
    target: float, *, mistakes: Mapping[str, float], problems: Sequence[Problem]
) -> dict[str, float]:
    """``mistakes`` times the factor at which the mean accuracy over ``problems`` is ``target``.

    So a solver of a stated accuracy is better at easy problems than at hard ones.  DataError when no factor reaches
    it: the likeliest mistake can become certain at most.
    """

    def scaled(factor: float) -> dict[str, float]:
        return {operator: rate * factor for operator, rate in mistakes.items()}

    largest = max(mistakes.values())
    low, high = 0.0, 1 / largest if largest else 0.0
    # Beyond nine in ten a wrong digit is likelier than chance, and the accuracy may rise again.
    high *= 0.9
    least = mean_accuracy(problems, scaled(high))
    if not least <= target <= 1:
        raise DataError(f"an accuracy of {target} was asked for; allowed: {least:.3f} to 1")
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_accuracy(problems, scaled(middle)) > target else (low, middle)
    return scaled(low)
