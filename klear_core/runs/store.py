"""Writing and reading run folders: atomic JSON files and parquet tables. Records are in ``klear_core.runs.log``."""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from klear_core.errors import RunStoreError
from klear_core.runs import schema
from klear_core.runs.folders import make_folder
from klear_core.runs.log import read_log


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` (a dataclass or plain JSON data) so that a reader sees the old file or the new one, never half."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically and synced, in a folder that is made when it is missing.

    RunStoreError when the disk refuses; the old file is whole then, and nothing half-written stays.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunStoreError(f"{path} cannot be written: {error.strerror}") from error


def read_json(path: Path) -> Any:
    """Read a JSON file; RunStoreError when it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunStoreError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise RunStoreError(f"{path} cannot be read: {error}") from None


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> None:
    """Write rows as a parquet table with exactly ``columns``, atomically."""
    names = list(columns)
    table = pa.table({name: [row[name] for row in rows] for name in names})
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunStoreError(f"{path} cannot be written: {error.strerror or error}") from error


def write_tables(run_folder: Path) -> None:
    """Make the tables of a run from its records."""
    for log, table, columns in schema.TABLES:
        if (run_folder / log).is_file():
            write_table(run_folder / table, list(read_log(run_folder / log)), columns)


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


def read_status(run_folder: Path) -> schema.Status | None:
    """Where a run stands; None when it never started, RunStoreError when the file is of another version."""
    path = run_folder / schema.STATUS_FILE
    try:
        present = path.is_file()
    except OSError as error:  # a folder that this user may not look into
        raise RunStoreError(f"{path} cannot be read: {error.strerror}") from None
    if not present:
        return None
    raw = read_json(path)
    try:
        raw["owner"] = schema.Owner(**raw["owner"])
        status = schema.Status(**raw)
    except (KeyError, TypeError) as error:
        raise RunStoreError(f"{path} is not a status of this version: {error}") from None
    if status.state not in schema.STATES:
        raise RunStoreError(f"{path}: state is {status.state!r}; allowed: {', '.join(schema.STATES)}")
    return status


def read_evaluations(run_folder: Path) -> pa.Table:
    """Evaluation rows of a run: the table of a done run, else its records so far; no rows when there is neither."""
    if (run_folder / schema.EVAL_FILE).is_file():
        return read_table(run_folder / schema.EVAL_FILE)
    path = run_folder / schema.EVAL_LOG
    rows = list(read_log(path)) if path.is_file() else []
    return pa.table({name: [row[name] for row in rows] for name in schema.EVAL_COLUMNS})


def nan_mean(values: Iterable[float]) -> float:
    """Arithmetic mean, NaN for no values."""
    numbers = list(values)
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
