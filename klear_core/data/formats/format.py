"""What a format is: the columns by which it is recognised, and how a row becomes records."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from klear_core.data.formats.raw import RawRow
from klear_core.records import Problem, SFTExample

Record = SFTExample | Problem


class Kind(StrEnum):
    """What the rows of a format are."""

    DEMONSTRATIONS = "demonstrations"
    PROBLEMS = "problems"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A form of rows.  Dotted columns are fields of objects."""

    name: str
    kind: Kind
    needs: tuple[str, ...]  # columns that every row has
    reads: tuple[str, ...] = ()  # columns that are read where they are there
    is_exact: bool = False  # rows with any other column are of another format
    identity: str = ""  # column that differs between different rows of a file, "" for none
    convert: Callable[[RawRow], Iterator[Record]]

    @property
    def columns(self) -> frozenset[str]:
        """Columns of a file that the format reads."""
        return frozenset(column.split(".")[0] for column in (*self.needs, *self.reads))
