"""Text on a terminal: whatever a model, a server or a file wrote shows as text and does nothing else."""

import json
import math
import sys
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any

# Wide enough for any row: what a pipe gets is one line a row.
_PIPE_WIDTH = 100_000


def clean(text: object) -> str:
    """Text on one line without control characters, marks that reorder it, or halves of characters."""
    spaced = (" " if letter.isspace() else letter for letter in str(text).strip())
    return "".join(letter for letter in spaced if not unicodedata.category(letter).startswith("C"))


def say(line: str, *, indent: int = 0) -> None:
    """One line on standard output."""
    sys.stdout.write(" " * indent + clean(line) + "\n")


def say_table(
    header: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", right: Collection[str] = ()
) -> None:
    """A table, as wide as the terminal; one line a row when the output is no terminal. ``right`` names columns."""
    # Imported here: `ablations run` and every --help do without.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(clean(title)) if title else None, title_justify="left", box=box.SIMPLE_HEAD)
    for name in header:
        table.add_column(Text(clean(name)), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        # As Text, not as str: Rich would read markup and emoji codes in it.
        table.add_row(*[Text(clean(cell)) for cell in row])
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    sys.stdout.write("\n".join(line for line in lines if line) + "\n")


def say_json(value: Any) -> None:
    """JSON on standard output, strict: null where a number is not finite."""
    # Escaped by json, control characters and letters of any alphabet alike.
    sys.stdout.write(json.dumps(_finite(value), indent=2, default=str) + "\n")


def _finite(value: Any) -> Any:
    """The value with null for NaN and infinities, which JSON has not."""
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
