"""Markdown and CSV that cannot be broken, or turned into code, by what a cell holds."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from reports.stats import Estimate

DASH = "—"
# C0 and C1 controls, and the marks that reorder text on the screen.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as text for people and as raw values for programs; ``notes`` explain its dashes and marks."""

    name: str  # of the CSV file
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    raw: pd.DataFrame
    notes: Sequence[str] = field(default_factory=tuple)

    def markdown(self) -> str:
        """A pipe table with its notes; every cell is escaped, except for emphasis that the report itself sets."""
        frame = pd.DataFrame([[escape(cell) for cell in row] for row in self.rows], columns=list(self.header))
        text = frame.to_markdown(index=False, disable_numparse=True)
        notes = "".join(f"\n\n{escape(note)}" for note in self.notes)
        return f"{text}{notes}\n"

    def write_csv(self, folder: Path) -> None:
        """Write the raw values; text that a spreadsheet would run as a formula is prefixed with an apostrophe."""
        safe = self.raw.map(lambda cell: _defuse(cell) if isinstance(cell, str) else cell)
        safe.to_csv(folder / f"{self.name}.csv", index=False, lineterminator="\n")


def _defuse(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("\t", "\r") or cell.lstrip()[:1] in ("=", "+", "-", "@") else cell


def escape(text: str) -> str:
    """Text as one table cell: no pipe, line break, tag, link, image or control character of its own."""
    # Backslashes first: one in front of a pipe would undo the pipe's escape.
    flat = plain(text).replace("\\", "\\\\").replace("|", "\\|")
    return flat.replace("<", "&lt;").replace(">", "&gt;").replace("](", "]\\(")


def plain(text: str) -> str:
    """Text on one line without control characters, fit for a terminal."""
    return _CONTROL.sub("", " ".join(text.split("\n")))


def number(value: float, form: str = ".3f") -> str:
    """A formatted number, an em dash for NaN."""
    return DASH if value is None or math.isnan(value) else format(value, form)


def interval(estimate: Estimate, form: str = ".3f") -> str:
    """``value [low, high]``, the value alone without an interval, an em dash without either."""
    if math.isnan(estimate.value):
        return DASH
    if math.isnan(estimate.low):
        return number(estimate.value, form)
    return f"{number(estimate.value, form)} [{number(estimate.low, form)}, {number(estimate.high, form)}]"
