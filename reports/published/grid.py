"""What a count of right answers can print as, and what a printed share of questions can support."""

import math
from decimal import Decimal
from fractions import Fraction

from scipy.special import ndtri

from reports.stats import ALPHA, Estimate

_Z = float(ndtri(1 - ALPHA / 2))


def decimals(printed: Decimal) -> int:
    """Digits after the point as printed: 2 for 45.00."""
    return max(0, -int(printed.as_tuple().exponent))


def rounded(count: int, total: int, places: int) -> Decimal:
    """count of total in percent, rounded half up to ``places`` decimals."""
    scaled = math.floor(Fraction(100 * count, total) * 10**places + Fraction(1, 2))
    return Decimal(scaled).scaleb(-places)


def on_grid(printed: Decimal, total: int) -> bool:
    """Whether some count of ``total`` answers prints as this percentage, rounding half up at its own decimals."""
    # Counts print as c exactly when 100 k / total lies in [c - h, c + h), h half a unit of the last decimal.
    half = Fraction(1, 2 * 10 ** decimals(printed))
    count = max(0, math.ceil((Fraction(printed) - half) * total / 100))
    return count <= total and Fraction(100 * count, total) < Fraction(printed) + half


def nearest(printed: Decimal, total: int) -> Decimal:
    """What the count whose share is nearest to the printed one prints as."""
    count = math.floor(Fraction(printed) * total / 100 + Fraction(1, 2))
    return rounded(min(max(count, 0), total), total, decimals(printed))


def share_on_grid(total: int, places: int) -> float:
    """Share of the values from 0 to 100 with ``places`` decimals that lie on the grid of ``total`` answers.

    At 1 every value can be printed, so the check of a cell cannot fail; the smaller, the more a cell on the grid says.
    """
    printable = int(100 * 10**places) + 1
    # A step below the last decimal leaves out no value; a longer one gives every count a value of its own.
    return min(total + 1, printable) / printable


def share_interval(percent: float, questions: int) -> Estimate:
    """Wilson's 95 % interval of a share of the questions, in percent; ``n`` is the number of questions.

    Every question counts as one trial, however many samples it has: an upper bound of the questions' chance, as a
    question's samples may agree fully.  The variance over training runs is not in it.
    """
    p, z2 = percent / 100, _Z**2
    middle = (p + z2 / (2 * questions)) / (1 + z2 / questions)
    half = _Z / (1 + z2 / questions) * math.sqrt(p * (1 - p) / questions + z2 / (4 * questions**2))
    # Rounding may leave 0 and 1 themselves just outside.
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Estimate(value=percent, low=100 * low, high=100 * high, n=questions)


def gap_interval(percent: float, baseline: float, questions: int) -> Estimate:
    """Percent minus baseline in points, with the 95 % interval that the number of questions allows.

    The standard error is that of two unpaired shares of the questions, sqrt(p (1 - p) / Q + the same of the
    baseline): an upper bound, as a question's samples may agree fully, and paired questions would narrow it.  The
    variance over training runs is not in it: there is one run a cell.
    """
    error = 100 * math.sqrt(sum(p / 100 * (1 - p / 100) / questions for p in (percent, baseline)))
    gap = percent - baseline
    return Estimate(value=gap, low=gap - _Z * error, high=gap + _Z * error, n=questions)
