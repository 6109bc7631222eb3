"""Records as files of this project's own format, which ``load_rows`` reads back."""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from klear_core.data.formats.format import Record
from klear_core.errors import DataError

_GROUP = 256  # rows of a row group of parquet, which are in memory at once
_SUFFIXES = (".jsonl", ".parquet")


def write_rows(path: Path, records: Iterable[Record]) -> int:
    """Write records, all demonstrations or all problems, as JSON lines or parquet by the ending of ``path``.

    Returns their number.  The file appears when it is whole and replaces an earlier one.  DataError for another
    ending, when there are no records, which could not be read back, and when the folder cannot be written to.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise DataError(f"{path} ends in {path.suffix!r}; allowed: {' or '.join(_SUFFIXES)}")
    stream = iter(records)
    first = next(stream, None)
    if first is None:
        raise DataError(f"there are no rows to write to {path}; allowed: at least one")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    write = _write_parquet if suffix == ".parquet" else _write_lines
    try:
        count = write(part, _same_kind(chain([first], stream), type(first)), type(first))
        part.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return count


def _same_kind(records: Iterable[Record], kind: type[Record]) -> Iterator[dict[str, Any]]:
    for record in records:
        if type(record) is not kind:
            raise TypeError(f"a {type(record).__name__} among records of {kind.__name__}")
        yield dataclasses.asdict(record)


def _write_lines(path: Path, rows: Iterator[dict[str, Any]], kind: type[Record]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for count, row in enumerate(rows, start=1):  # noqa: B007
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return count


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]], kind: type[Record]) -> int:
    # Imported here: JSON is written without it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, texts = pa.string(), pa.list_(pa.string())
    types = {"is_correct": pa.bool_(), "flawed": pa.bool_(), "difficulty": pa.float64()}
    types["tests"] = pa.struct({"kind": text, "entry": text, "inputs": texts, "outputs": texts})
    schema = pa.schema([(each.name, types.get(each.name, text)) for each in dataclasses.fields(kind)])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := [*islice(rows, _GROUP)]:
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count
