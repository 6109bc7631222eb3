r"""A second, simple opinion on an answer: equal text, or equal exact fractions. It shares no code with the first.

It decides little, but what it decides can be checked by reading this page, so a disagreement points at a mistake of one
of the two.
"""

import re
from fractions import Fraction

_DROPPED = re.compile(r"\\(?:left|right|displaystyle|[,;:! ])|(?<!\d)\s|\s(?!\d)|\$|\\\$")
_INTEGER = r"\d+|\d{1,3}(?:,\d{3})+"
_DECIMAL = re.compile(rf"({_INTEGER})?(?:\.(\d*))?(\\?%)?")
_RATIO = re.compile(r"(\d*)\\frac(?:\{(-?\d+)\}|(\d))(?:\{(\d+)\}|(\d))|(-?\d+)/(\d+)")
_MAX_CHARS = 60  # a longer number is no case for a simple opinion


def simple_verdict(gold: str, answer: str) -> bool | None:
    """True for one text or one number, False for two numbers, None when either is no plain number."""
    gold, answer = _plain(gold), _plain(answer)
    if gold == answer and gold:
        return True
    left, right = _number(gold), _number(answer)
    if left is None or right is None:
        return None
    if gold.endswith("%") == answer.endswith("%"):
        return left == right
    return left == right or (left * 100 == right if answer.endswith("%") else left == right * 100)


def _plain(text: str) -> str:
    text = text.replace("\u2212", "-").replace("{,}", ",").replace(r",\!", ",")
    text = re.sub(r"\\[dtc]frac(?![a-zA-Z])", r"\\frac", text)
    text = re.sub(r"(?<=\d)\\[,; ](?=\d{3})", "", text)
    return _DROPPED.sub("", text).rstrip(".")


def _number(text: str) -> Fraction | None:
    """The number that ``text`` writes, a percent sign left aside."""
    if len(text) > _MAX_CHARS or not text.isascii():
        return None
    sign = -1 if text.startswith("-") else 1
    text = text.removeprefix("-")
    if match := _DECIMAL.fullmatch(text):
        whole, digits = (match[1] or "").replace(",", ""), match[2] or ""
        return sign * Fraction(int(whole + digits), 10 ** len(digits)) if whole + digits else None
    if match := _RATIO.fullmatch(text):
        above, below = int(match[2] or match[3] or match[6]), int(match[4] or match[5] or match[7])
        return sign * (int(match[1] or 0) + Fraction(above, below)) if below else None
    return None
