"""Rows of files and folders, one at a time: JSON lines, JSON arrays and parquet, also larger than memory."""

import json
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from klear_core.data.formats.arrays import array_items
from klear_core.data.formats.raw import RawRow, describe
from klear_core.errors import DataError

MAX_LINE = 64 * 2**20  # bytes of one row of JSON; what is longer is no list of rows
SUFFIXES = (".jsonl", ".json", ".parquet")
_BATCH = 64  # rows of parquet in memory at once: rows of reasoning traces take 10 kB to 1 MB
_BUFFER = 2**20  # bytes of a column of parquet in memory at once
_BOM = b"\xef\xbb\xbf"


def shards(path: Path) -> list[Path]:
    """The files that ``path`` names: itself, or the data files that lie directly in it, sorted by name.

    DataError when there are none.
    """
    if is_there(path) and path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path} ends in {path.suffix!r}; allowed: {', '.join(SUFFIXES)}, a folder of these")
        return [path]
    if not is_there(path) or not path.is_dir():
        raise DataError(f"{path} is no file and no folder")
    try:
        names = sorted(os.listdir(path))  # noqa: PTH208
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    # Hidden files are what tools keep beside data.
    found = [path / name for name in names if not name.startswith(".")]
    found = [each for each in found if each.suffix.lower() in SUFFIXES and is_there(each) and each.is_file()]
    if not found:
        raise DataError(f"{path} is a folder without data files; allowed: files {', '.join(SUFFIXES)} directly in it")
    return found


def is_there(path: Path) -> bool:
    """Whether something of this name exists; a name that cannot be one names nothing."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def read_shards(paths: Collection[Path], columns: Collection[str]) -> Iterator[RawRow]:
    """The rows of all files in order; of parquet only ``columns`` are read."""
    for path in paths:
        yield from _read_parquet(path, columns) if path.suffix.lower() == ".parquet" else _read_json(path)


def _read_json(path: Path) -> Iterator[RawRow]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    with file:
        if path.suffix.lower() == ".json" and _is_array(file):
            for number, item in enumerate(array_items(file, str(path), MAX_LINE), start=1):
                yield RawRow(file=str(path), unit="row", number=number, values=item)
        else:
            yield from _read_lines(file, str(path))


def _is_array(file: BinaryIO) -> bool:
    """Whether the first letter of a file is the bracket of an array; leaves the file at its beginning."""
    head = file.read(4096).removeprefix(_BOM).lstrip()
    file.seek(0)
    return head.startswith(b"[")


def _read_lines(file: BinaryIO, name: str) -> Iterator[RawRow]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise DataError(f"{name} line {number} has more than {MAX_LINE} bytes; allowed: one JSON object a line")
        if number == 1:
            line = line.removeprefix(_BOM)
        if line := line.strip():
            yield RawRow(file=name, unit="line", number=number, values=_parse(line, f"{name} line {number}"))


def _parse(line: bytes, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is not UTF-8 at byte {error.start + 1}; allowed: JSON in UTF-8") from None
    except RecursionError:
        raise DataError(f"{place} is nested too deeply; allowed: one JSON object a line") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{place} is no JSON at character {error.pos + 1}: {error.msg.removesuffix(' at')}") from None
    except ValueError:  # an integer of thousands of digits
        raise DataError(f"{place} has a number of too many digits; allowed: one JSON object a line") from None
    if not isinstance(value, dict):
        raise DataError(f"{place} is {describe(value)}; allowed: one JSON object a line")
    return value


def _read_parquet(path: Path, columns: Collection[str]) -> Iterator[RawRow]:
    # Imported here: JSON is read without it.
    import pyarrow.parquet as pq

    # Buffered, because a row group may be larger than memory.
    file = _tried(path, "", lambda: pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False))
    number = 0
    with file:
        names = _tried(path, "", lambda: file.schema_arrow.names)
        if twice := sorted({name for name in names if names.count(name) > 1 and name in columns}):
            raise DataError(f"{path} has two columns {twice[0]}; allowed: one of a name")
        wanted = [name for name in names if name in columns]
        others = tuple(name for name in names if name not in columns)
        batches = file.iter_batches(batch_size=_BATCH, columns=wanted)
        while (batch := _tried(path, f" after row {number}", lambda: next(batches, None))) is not None:
            for index in range(batch.num_rows):
                number += 1
                values = _values(path, number, batch, index)
                yield RawRow(file=str(path), unit="row", number=number, values=values, others=others)


def _tried(path: Path, where: str, read: Callable[[], Any]) -> Any:
    """What ``read`` gives; DataError when the bytes of the file are no parquet."""
    import pyarrow as pa

    try:
        return read()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())[:160]
        raise DataError(f"{path} is no whole parquet file{where}: {told}") from None


def _values(path: Path, number: int, batch: Any, index: int) -> dict[str, Any]:
    try:
        return {name: batch.column(name)[index].as_py() for name in batch.schema.names}
    except UnicodeDecodeError:
        raise DataError(f"{path} row {number} is not UTF-8; allowed: texts in UTF-8") from None
    except (ValueError, OverflowError) as error:  # a date, for example, that Python does not have
        told = " ".join(str(error).split())[:160]
        raise DataError(f"{path} row {number} cannot be read: {told}") from None
