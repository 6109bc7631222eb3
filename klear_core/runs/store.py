"""Writing and reading run folders: JSON lines that are flushed row by row, parquet tables, atomic JSON files."""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from klear_core.errors import RunStoreError
from klear_core.runs import schema


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` (a dataclass or plain JSON data) so that a reader sees the old file or the new one, never half."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in a folder that is made when it is missing."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """Read a JSON file; RunStoreError when it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunStoreError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise RunStoreError(f"{path} cannot be read: {error}") from None


def make_folder(path: Path) -> Path:
    """Create ``path`` and its parents; RunStoreError when a file stands in the way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        blocker = next((p for p in (path, *path.parents) if p.exists() and not p.is_dir()), path)
        raise RunStoreError(f"{blocker} is a file, and a run folder is needed there") from None
    except OSError as error:
        raise RunStoreError(f"{path} cannot be created: {error.strerror}") from None
    return path


class JsonLines:
    """Appends rows to a JSON-lines file, flushing each; the file must be absent, so nothing is ever overwritten."""

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        try:
            self._file = path.open("x", encoding="utf-8")
        except FileExistsError:
            raise RunStoreError(f"{path} exists already; a run never overwrites another") from None

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row; floats keep all their digits, non-finite ones are written NaN, Infinity, -Infinity."""
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSON-lines file; a last line that a kill has torn is left out, any other broken line is an error."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunStoreError(f"{path} cannot be read: {error.strerror}") from None
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            yield json.loads(line)
        except ValueError:
            if number == len(lines):
                return
            raise RunStoreError(f"{path} line {number} is not JSON") from None


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> None:
    """Write rows as a parquet table with exactly ``columns``, atomically."""
    names = list(columns)
    table = pa.table({name: [row[name] for row in rows] for name in names})
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, temporary, compression="zstd")
    temporary.replace(path)


def read_table(path: Path) -> pa.Table:
    """Read a parquet table; RunStoreError when it is missing or damaged."""
    try:
        return pq.read_table(path)
    except FileNotFoundError:
        raise RunStoreError(f"{path} does not exist") from None
    except (OSError, pa.ArrowException) as error:
        raise RunStoreError(f"{path} cannot be read: {error}") from None


def read_plan(sweep_folder: Path) -> schema.Plan:
    """The plan of a sweep folder; RunStoreError when the folder holds none."""
    raw = read_json(sweep_folder / schema.PLAN_FILE)
    try:
        raw["runs"] = [schema.PlannedRun(**run) for run in raw["runs"]]
        raw["primary"] = schema.PrimaryMetric(**raw["primary"])
        return schema.Plan(**raw)
    except (KeyError, TypeError) as error:
        raise RunStoreError(f"{sweep_folder / schema.PLAN_FILE} is not a plan of this version: {error}") from None


def read_manifest(run_folder: Path) -> schema.Manifest:
    """The manifest of a run folder; RunStoreError when the run has not begun or the file is of another version."""
    raw = read_json(run_folder / schema.MANIFEST_FILE)
    try:
        raw["provenance"] = schema.Provenance(**raw["provenance"])
        return schema.Manifest(**raw)
    except (KeyError, TypeError) as error:
        raise RunStoreError(f"{run_folder / schema.MANIFEST_FILE} is not a manifest of this version: {error}") from None


def nan_mean(values: Iterable[float]) -> float:
    """Arithmetic mean, NaN for no values."""
    numbers = list(values)
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
