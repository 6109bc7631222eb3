"""Whether what a program gave is what was expected: on text and JSON values, never on the program's own objects."""

import json
import re
from decimal import Decimal
from typing import Any

# Plain decimals of a bounded size, so that no token can make the comparison expensive; ``007`` is a text, not a number.
_DECIMAL = re.compile(r"[+-]?((0|[1-9]\d{0,399})(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,3})?", re.ASCII)
_WORD = re.compile(r"[^ \t]+")  # other characters that are blank to Python belong to the answer
_LONG_INTEGER = "\u0000int"  # how a guest writes integers too long for decimal digits


def same_text(output: bytes, expected: str) -> bool:
    """Printed text: line by line, without trailing blanks and trailing empty lines, and numbers by their value.

    ``1.50`` is ``1.5``, exactly: no tolerance is given that the expected output does not state. Bytes that are no
    UTF-8 equal nothing.
    """
    try:
        got_lines = _lines(output.decode("utf-8"))
    except UnicodeDecodeError:
        return False
    wanted_lines = _lines(expected)
    if got_lines == wanted_lines:
        return True
    if len(got_lines) != len(wanted_lines):
        return False
    return all(_same_line(got, wanted) for got, wanted in zip(got_lines, wanted_lines, strict=True))


def same_value(output: bytes, expected: str) -> bool:
    """Returned value as JSON text against the expected JSON: numbers by value, a tuple as a list, NaN equals nothing.

    A boolean is not a number here. Text that is no JSON equals nothing; neither does an ``expected`` that is none.
    """
    got, wanted = parse_value(output.decode("utf-8", "replace")), parse_value(expected)
    return got is not _NOTHING and wanted is not _NOTHING and _same(got, wanted)


_NOTHING = object()


def parse_value(text: str) -> Any:
    """The value of a JSON text, a private object when it is none."""
    try:
        return json.loads(text, object_hook=_long_integer)
    except (ValueError, RecursionError):
        return _NOTHING


def _long_integer(value: dict[str, Any]) -> Any:
    text = value.get(_LONG_INTEGER)
    return int(text, 16) if len(value) == 1 and isinstance(text, str) else value


def _same(got: Any, wanted: Any) -> bool:
    if isinstance(got, bool) or isinstance(wanted, bool) or got is None or wanted is None:
        return got is wanted
    if isinstance(wanted, int | float):
        return isinstance(got, int | float) and got == wanted
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(_same, got, wanted))
    if isinstance(wanted, dict):
        return isinstance(got, dict) and got.keys() == wanted.keys() and all(_same(got[k], wanted[k]) for k in wanted)
    return bool(got == wanted)


def _lines(text: str) -> list[str]:
    lines = [line.rstrip(" \t\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_line(got: str, wanted: str) -> bool:
    if got == wanted:
        return True
    got_words, wanted_words = _WORD.findall(got), _WORD.findall(wanted)
    return len(got_words) == len(wanted_words) and all(map(_same_word, got_words, wanted_words))


def _same_word(got: str, wanted: str) -> bool:
    if got == wanted:
        return True
    if not (_DECIMAL.fullmatch(got) and _DECIMAL.fullmatch(wanted)):
        return False
    return Decimal(got) == Decimal(wanted)
