"""Rows of any known format from a file, a folder of files or the Hub, as a stream of records."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from klear_core.data.formats.files import is_there, read_shards, shards
from klear_core.data.formats.format import Format, Kind, Record
from klear_core.data.formats.hub import FORM, PREFIX, HubName, looks_like_hub_name, parse_hub_name, read_hub
from klear_core.data.formats.raw import RawRow
from klear_core.data.formats.recognise import KNOWN_COLUMNS, missing, recognise
from klear_core.errors import DataError
from klear_core.records import Problem, SFTExample

_MAX_IDS = 100_000  # of a file; formats with ids are those of benchmarks, which are far smaller

Source = Callable[[frozenset[str]], Iterator[RawRow]]  # the columns that must be read -> the rows
HubReader = Callable[[HubName], Iterable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Records that are read anew, from the first one on, each time they are iterated over.

    Iterating raises DataError at the first row that does not have the promised form; the rows before it come first.
    """

    where: str
    format: str
    kind: Kind
    ignored: tuple[str, ...]  # columns of the first row that are not read
    _form: Format = field(repr=False)
    _source: Source = field(repr=False)

    def __iter__(self) -> Iterator[Record]:
        form = self._form
        seen, file = _Identities(form.identity), ""
        for row in self._source(form.columns):
            if lacks := missing(row, form):
                needed = ", ".join(form.needs)
                raise row.refuse(lacks[0], "is missing", f"what row 1 has, the format {form.name}: {needed}")
            records = form.convert(row)
            if form.identity:
                if row.file != file:
                    seen, file = _Identities(form.identity), row.file
                (record,) = records
                seen.add(row, record)
                yield record
            else:
                yield from records

    def demonstrations(self) -> Iterator[SFTExample]:
        """The rows as demonstrations; DataError when they are problems."""
        self._check(Kind.DEMONSTRATIONS)
        return (record for record in self if isinstance(record, SFTExample))

    def problems(self) -> Iterator[Problem]:
        """The rows as problems; DataError when they are demonstrations."""
        self._check(Kind.PROBLEMS)
        return (record for record in self if isinstance(record, Problem))

    def _check(self, kind: Kind) -> None:
        if self.kind is not kind:
            raise DataError(f"{self.where} holds {self.kind} ({self.format}); allowed: {kind}")


def load_rows(where: str, *, hub: HubReader = read_hub) -> Rows:
    """The rows of a file, of a folder of files in the order of their names, or of ``hub:org/name``.

    The format is that of the first row, recognised by its columns.  ``hub`` reads a data set of the Hub and is used
    only where the name begins with ``hub:``.  DataError when there are no rows or none of a known format.
    """
    source = _source_of(where, hub)
    first = next(source(KNOWN_COLUMNS), None)
    if first is None:
        raise DataError(f"{where} holds no rows; allowed: at least one")
    columns = (*map(str, first.values), *first.others)
    form = recognise(first, columns)
    ignored = tuple(name for name in columns if name not in form.columns)
    return Rows(where=where, format=form.name, kind=form.kind, ignored=ignored, _form=form, _source=source)


def _source_of(where: str, hub: HubReader) -> Source:
    if where.startswith(PREFIX):
        name = parse_hub_name(where)
        return lambda columns: (
            RawRow(file=where, unit="row", number=number, values=values)
            for number, values in enumerate(hub(name), start=1)
        )
    path = Path(where)
    if looks_like_hub_name(where) and not is_there(path):
        raise DataError(f"{where} is no file and no folder; allowed: a path, or {PREFIX}{where} for the Hub ({FORM})")
    files = shards(path)
    return lambda columns: read_shards(files, columns)


class _Identities:
    """The ids of a file so far, each with what it stands for."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._seen: dict[str | int, tuple[int, int]] = {}

    def add(self, row: RawRow, record: Record) -> None:
        """Note a row; DataError when its id has stood for something else. The same row twice is no contradiction."""
        content = hash(record)
        number, known = self._seen.get(row.value(self._column), (row.number, content))
        if known != content:
            found = f"is {row.value(self._column)!r}, as in {row.unit} {number} with another content"
            raise row.refuse(self._column, found, "an id for each problem")
        if len(self._seen) < _MAX_IDS:
            self._seen[row.value(self._column)] = (number, known)
