"""Tables as markdown and CSV that cannot be broken, or turned into code, by what a cell holds."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from reports.stats import Estimate

DASH = "—"
# C0 and C1 controls, the marks that end a line or reorder text on the screen, and halves of characters.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_ENTITY = re.compile(r"&(?=#?\w+;)")
# A leading number, as in "+0.004 [-0.006, +0.014]", "12 of 20", "44,769" and "1.97 %"; page.js has the same one.
_LEADING_NUMBER = re.compile(r"[<>~≤≥]?\s*[+\-−]?\d")

_INDENT = re.compile(r"^[ \t]+")
_BLOCK = re.compile(
    r"^(?P<before> ?(?:[0-9]{1,9}(?=[.)](?:[ \t]|$)))?)"
    r"(?P<sign>(?<=[0-9])[.)]|#(?=#{0,5}(?:[ \t]|$))|[-+*](?=[ \t]|$)|[-*_=](?=[-*_= \t]*$)"
    r"|`(?=``)|~(?=~~)|\[(?=.*\]:))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as text for people and as raw values for programs; ``notes`` explain its dashes and marks."""

    name: str  # of its files
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    raw: pd.DataFrame
    notes: Sequence[str] = field(default_factory=tuple)

    def markdown(self) -> str:
        """A pipe table with its notes; every cell is escaped, except for emphasis that the report itself sets."""
        # A code span would show the escapes inside it.
        rows = [[escape(cell).replace("`", "\\`") for cell in row] for row in self.rows]
        frame = pd.DataFrame(rows, columns=[escape(name) for name in self.header])
        text = frame.to_markdown(index=False, disable_numparse=True)
        notes = "".join(f"\n\n{escape(note)}" for note in self.notes)
        return f"{text}{notes}\n"

    def write_csv(self, folder: Path) -> None:
        """Write the raw values; text that a spreadsheet would run as a formula is prefixed with an apostrophe."""
        safe = self.raw.map(lambda cell: _defuse(cell) if isinstance(cell, str) else cell)
        safe.to_csv(folder / f"{self.name}.csv", index=False, lineterminator="\n")


def _defuse(cell: str) -> str:
    cell = CONTROL.sub("", cell)
    return f"'{cell}" if cell[:1] == "\t" or cell.lstrip()[:1] in ("=", "+", "-", "@") else cell


def escape(text: str) -> str:
    """Text as one table cell: no pipe, line break, tag, link, image, formula or control character of its own."""
    # Backslashes first: one in front of a pipe would undo the pipe's escape.
    flat = _ENTITY.sub("&amp;", plain(text)).replace("\\", "\\\\").replace("|", "\\|").replace("$", "&#36;")
    inline = flat.replace("<", "&lt;").replace(">", "&gt;").replace("](", "]\\(")
    # At the beginning of a line or an item some signs, and many spaces, are a block: heading, list, rule, code, and the
    # address of a link.
    return _BLOCK.sub(lambda found: f"{found['before']}\\{found['sign']}", _INDENT.sub(" ", inline))


def plain(text: str) -> str:
    """Text on one line without control characters, fit for a terminal."""
    return CONTROL.sub("", " ".join(text.split("\n")))


def numeric(cells: Sequence[str]) -> bool:
    """Whether a column holds numbers, each perhaps with an interval or a unit behind it; dashes do not count."""
    known = [cell.strip("* ") for cell in cells if not cell.strip("* ").startswith(DASH) and cell.strip()]
    return bool(known) and all(_LEADING_NUMBER.match(cell) for cell in known)


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
