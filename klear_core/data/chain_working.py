"""Written arithmetic: the columns by which a step on numbers of several digits is worked out, the lowest digit first.

Numbers have D digits and results are taken modulo 10^D, so whatever stands left of the D columns is left out::

    47+86=33    7+6=13,4+8+1=13
    47-86=61    7-6=1,14-8=6                 a column that would fall below 0 borrows 10 from the next
    47*86=42    7*6=42,4*6+4=28,7*8=56,8+6=14    47*6 leaves 82; 47*8 leaves 6 one column to the left, which is added
"""

from collections.abc import Sequence


def working(left: int, operator: str, right: int, result: int, *, digits: int) -> str:
    """The columns of one step, separated by commas; each digit of ``result`` is the last one of some column.

    With a wrong result, the columns that decide its digits show those, and what follows goes on from there: mistakes
    stand in the columns and not behind them.  All numbers lie in [0, 10^digits).
    """
    one, other, aimed = (_digits(number, digits) for number in (left, right, result))
    if operator == "*":
        return ",".join(_product(one, other, aimed))
    if operator == "-":
        return ",".join(_difference(one, other, aimed))
    written, _ = _sum(one, other, aimed)
    return ",".join(written)


def longest_working(digits: int) -> int:
    """Characters that ``working`` has at most: D^2 columns of a product such as ``9*9+8=89``, with commas between."""
    return 9 * digits**2 - 1


def _digits(number: int, count: int) -> list[int]:
    """The lowest first."""
    return [number // 10**k % 10 for k in range(count)]


def _shown(value: int, digit: int | None) -> int:
    """What a column shows that is worth ``value`` and is to end in ``digit``; None leaves it as it is."""
    return value if digit is None else value - value % 10 + digit


def _sum(one: Sequence[int], other: Sequence[int], aimed: Sequence[int | None]) -> tuple[list[str], list[int]]:
    """The columns of a sum, and the digits that they show."""
    written, found, carry = [], [], 0
    for a, b, digit in zip(one, other, aimed, strict=True):
        shown = _shown(a + b + carry, digit)
        written.append(f"{a}+{b}{f'+{carry}' if carry else ''}={shown}")
        carry, last = divmod(shown, 10)
        found.append(last)
    return written, found


def _difference(one: Sequence[int], other: Sequence[int], aimed: Sequence[int]) -> list[str]:
    written, borrowed = [], 0
    for a, b, digit in zip(one, other, aimed, strict=True):
        lent = int(a < b + borrowed)
        written.append(f"{a + 10 * lent}-{b}{'-1' if borrowed else ''}={digit}")
        borrowed = lent
    return written


def _product(one: Sequence[int], other: Sequence[int], aimed: Sequence[int]) -> list[str]:
    """For each digit of ``other`` a row of products, and its sum with the rows before."""
    written: list[str] = []
    total: list[int] = []
    for place, factor in enumerate(other):
        row, carry = [], 0
        for k, a in enumerate(one[: len(one) - place]):
            # The first row is no sum, and decides the lowest digit itself.
            shown = _shown(a * factor + carry, aimed[0] if place == k == 0 else None)
            written.append(f"{a}*{factor}{f'+{carry}' if carry else ''}={shown}")
            carry, last = divmod(shown, 10)
            row.append(last)
        if place == 0:
            total = row
            continue
        # Later rows change all columns of the sum but its lowest.
        columns, found = _sum(total[1:], row, [aimed[place], *[None] * (len(row) - 1)])
        written += columns
        total = found
    return written
