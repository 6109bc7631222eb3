"""One row as a file holds it, and its cells read strictly: a cell that does not fit is an error that names it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from klear_core.errors import DataError

MAX_FIELD = 4 * 2**20  # characters of one text; the longest traces and tests of public sets stay below
_SHOWN = 60  # characters of a value in a message
_HALF = re.compile("[\ud800-\udfff]")
_WORDS = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a text", bytes: "bytes"}
_WORDS |= {list: "a list", dict: "an object"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """A row with the place that messages name. A dotted column such as ``meta.problem`` is a field of an object."""

    file: str
    unit: str  # what ``number`` counts, from 1: "line" or "row"
    number: int
    values: Mapping[str, Any]
    others: tuple[str, ...] = ()  # columns that were not read

    @property
    def place(self) -> str:
        """File with line or row."""
        return f"{self.file} {self.unit} {self.number}"

    def refuse(self, column: str, found: str, allowed: str) -> DataError:
        """The error of a cell, to be raised."""
        return DataError(f"{self.place}: column {column} {found}; allowed: {allowed}")

    def has(self, column: str) -> bool:
        """Whether the row has the column, be it null."""
        return has_column(self.values, column)

    def value(self, column: str) -> Any:
        """What a column holds, None where it is absent."""
        value: Any = self.values
        for name in column.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def text(self, column: str) -> str:
        """A text that must be there; DataError also when it is too long or no valid Unicode."""
        return self.check_text(column, self.value(column))

    def maybe_text(self, column: str) -> str:
        """A text, "" where the column is absent or null."""
        value = self.value(column)
        return "" if value is None else self.check_text(column, value)

    def check_text(self, column: str, value: Any) -> str:
        """``value`` as the text that a cell ``column`` holds."""
        if not isinstance(value, str):
            raise self.refuse(column, f"is {describe(value)}", "a text")
        if len(value) > MAX_FIELD:
            raise self.refuse(column, f"has {len(value)} characters", f"at most {MAX_FIELD}")
        if "\0" in value:
            raise self.refuse(column, f"has a NUL as character {value.index(chr(0)) + 1}", "text without NUL")
        # Half a character can be written to no file.
        if not value.isascii() and (half := _HALF.search(value)):
            raise self.refuse(column, f"has half a surrogate pair as character {half.start() + 1}", "valid Unicode")
        return value

    def texts(self, column: str) -> list[str]:
        """A list of texts that must be there."""
        return [self.check_text(f"{column}[{index}]", item) for index, item in enumerate(self.items(column))]

    def items(self, column: str) -> list[Any]:
        """A list that must be there."""
        value = self.value(column)
        if not isinstance(value, list):
            raise self.refuse(column, f"is {describe(value)}", "a list")
        return value

    def maybe_number(self, column: str) -> float | None:
        """A finite number, None where the column is absent or null."""
        value = self.value(column)
        if value is None:
            return None
        # An integer beyond the floats is no number here either.
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300 or math.isnan(value):
            raise self.refuse(column, f"is {describe(value)}", "a finite number or null")
        return float(value)

    def maybe_flag(self, column: str) -> bool | None:
        """True or false, None where the column is absent or null."""
        return self.check_flag(column, self.value(column))

    def check_flag(self, column: str, value: Any) -> bool | None:
        """``value`` as the truth value, or the null, that a cell ``column`` holds."""
        if value is not None and not isinstance(value, bool):
            raise self.refuse(column, f"is {describe(value)}", "true, false or null")
        return value


def has_column(values: Mapping[str, Any], column: str) -> bool:
    """Whether a row has a column, be it null; a dotted one lies in an object."""
    inner: Any = values
    for name in column.split("."):
        if not isinstance(inner, Mapping) or name not in inner:
            return False
        inner = inner[name]
    return True


def describe(value: Any) -> str:
    """A value in a message: what kind of thing it is, and how it begins."""
    word = _WORDS.get(type(value), f"a {type(value).__name__}")
    if value is None:
        return word
    if isinstance(value, list | dict):
        return f"{word} of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return f"{word} of more than {_SHOWN} digits"
    shown = repr(value[:_SHOWN] if isinstance(value, str | bytes) else value)
    return f"{word} ({shown[:_SHOWN]})"
