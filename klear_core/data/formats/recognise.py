"""Which format a row has, by its columns alone: what a file is called says nothing."""

from klear_core.data.formats.format import Format
from klear_core.data.formats.own import OWN
from klear_core.data.formats.public import PUBLIC
from klear_core.data.formats.raw import RawRow
from klear_core.errors import DataError

# The first that fits is taken, so a format stands before those whose columns it has too.
FORMATS: tuple[Format, ...] = (*PUBLIC, *OWN)
KNOWN_COLUMNS = frozenset[str]().union(*(each.columns for each in FORMATS))
_NEAREST = 3
_SHOWN = 12
_LETTERS = 40


def recognise(row: RawRow, columns: tuple[str, ...]) -> Format:
    """The format of a row of a file with these ``columns``; DataError says what the nearest formats need."""
    for each in FORMATS:
        is_whole = not each.is_exact or each.columns.issuperset(columns)
        if is_whole and not missing(row, each):
            return each
    told = ", ".join(map(_name, columns[:_SHOWN])) + (", ..." if len(columns) > _SHOWN else "")
    raise DataError(f"{row.place}: no format has the columns {told or '(none)'}; nearest: {_nearest(row, columns)}")


def missing(row: RawRow, form: Format) -> list[str]:
    """The columns that a format needs and the row has not."""
    return [column for column in form.needs if not row.has(column)]


def _nearest(row: RawRow, columns: tuple[str, ...]) -> str:
    """The formats that lack least and have most of what they need, with what they lack."""
    told: dict[str, str] = {}
    for each in sorted(FORMATS, key=lambda each: _distance(row, each)):
        lacks = ", ".join(missing(row, each))
        strange = sorted(set(columns) - each.columns)
        told.setdefault(each.name, f"lacks {lacks}" if lacks else f"has no {', '.join(map(_name, strange[:_NEAREST]))}")
    return "; ".join(f"{name} ({what})" for name, what in [*told.items()][:_NEAREST])


def _distance(row: RawRow, form: Format) -> tuple[int, int]:
    lacks = len(missing(row, form))
    # A format that lacks nothing was not taken because of a column too many.
    return max(lacks, 1), lacks - len(form.needs)


def _name(column: str) -> str:
    """A column in a message of one line: names of broken files hold anything."""
    return column if column.isprintable() and len(column) <= _LETTERS else f"{column[:_LETTERS]!r}"
