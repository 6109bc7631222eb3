"""Writing and reading run folders: atomic JSON files and parquet tables. Records are in ``klear_core.runs.log``."""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from klear_core.errors import RunStoreError
from klear_core.runs import schema
from klear_core.runs.folders import make_folder
from klear_core.runs.log import read_log
from klear_core.runs.parse import parse

_T = TypeVar("_T")
# Columns of evaluation rows that are computed with: what they hold is checked on reading.
COMPUTED = ("step", "split", "decoding", "question", "sample", "verdict", "correct", "response_tokens")
# Arrow type as declared -> the words for it, and which types a file may hold in its place.
_KINDS: dict[str, tuple[str, Callable[[pa.DataType], bool]]] = {
    "int64": ("whole numbers", pa.types.is_integer),
    "string": ("texts", lambda kind: bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))),
    "bool": ("true and false", pa.types.is_boolean),
}


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


def read_json(path: Path, *, advice: str = "move it away") -> Any:
    """Read a JSON file; RunStoreError, with the advice, when it is missing or broken."""
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
        if "\\u" in text:
            # An escape can name half of a character, which no file that is written from it could hold.
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except FileNotFoundError:
        raise RunStoreError(f"{path} does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunStoreError(f"{path} cannot be read: {error}; {advice}") from None


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
    return _read_record(schema.Plan, "plan", sweep_folder / schema.PLAN_FILE)


def read_weights(sweep_folder: Path) -> schema.GradientWeights:
    """The gradient weights of a sweep's treatments; RunStoreError when the file is missing or of another form."""
    path = sweep_folder / schema.WEIGHTS_FILE
    found = _read_record(schema.GradientWeights, "set of gradient weights", path)
    for name, curves in found.weights.items():
        if not len(curves.positive) == len(curves.negative) == len(found.ratios):
            raise RunStoreError(f"{path}: the curves of {name} differ in length from ratios; move it away")
    return found


def read_identities(sweep_folder: Path) -> schema.Identities | None:
    """The identities of a sweep of controls; None where there are none, RunStoreError for a file of another form."""
    path = sweep_folder / schema.IDENTITIES_FILE
    if not path.is_file():
        return None
    found = _read_record(schema.Identities, "set of identities", path)
    for check in found.checks:
        if check.state not in schema.IDENTITY_STATES:
            known = ", ".join(schema.IDENTITY_STATES)
            raise RunStoreError(f"{path}: state is {check.state!r}; allowed: {known}; move it away")
    return found


def read_manifest(run_folder: Path) -> schema.Manifest:
    """The manifest of a run folder; RunStoreError when the run has not begun or the file is of another version."""
    return _read_record(schema.Manifest, "manifest", run_folder / schema.MANIFEST_FILE)


def read_status(run_folder: Path) -> schema.Status | None:
    """Where a run stands; None when it never started, RunStoreError when the file is of another version."""
    path = run_folder / schema.STATUS_FILE
    try:
        present = path.is_file()
    except OSError as error:  # a folder that this user may not look into
        raise RunStoreError(f"{path} cannot be read: {error.strerror}; move {run_folder} away") from None
    if not present:
        return None
    status = _read_record(schema.Status, "status", path)
    if status.state not in schema.STATES:
        known = ", ".join(schema.STATES)
        raise RunStoreError(f"{path}: state is {status.state!r}; allowed: {known}; move {run_folder} away")
    return status


def read_filter(folder: Path) -> list[dict[str, Any]]:
    """Training problems kept and dropped, by difficulty and planted flaw; [] where the run has not come to that.

    RunStoreError when the file is not what a run writes.
    """
    path = folder / schema.FILTER_FILE
    if not path.is_file():
        return []
    # Rows that were read may say any number, or nothing.
    kinds = {"difficulty": (int, float, type(None)), "flawed": (bool,), "kept": (int,), "dropped": (int,)}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunStoreError(f"{path} cannot be read: {error}; move {folder} away") from None
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and set(row) == set(kinds) and all(type(row[name]) in kinds[name] for name in kinds)
        for row in rows
    ):
        raise RunStoreError(f"{path} does not list problems kept and dropped; move {folder} away")
    return rows


def read_mix(folder: Path) -> dict[str, Any]:
    """What supervised training imitated; {} where the run has not come to that.

    RunStoreError when the file is not what a run writes.
    """
    path = folder / schema.MIX_FILE
    if not path.is_file():
        return {}
    try:
        mix: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunStoreError(f"{path} cannot be read: {error}; move {folder} away") from None
    whole = isinstance(mix, dict) and (set(mix) == {"name"} or set(mix) == set(schema.MIX_FIELDS))
    if not whole or any(not isinstance(mix[name], kind) for name, kind in schema.MIX_FIELDS.items() if name in mix):
        raise RunStoreError(f"{path} does not describe a mix; move {folder} away")
    return dict(mix)


def read_evaluations(run_folder: Path) -> pa.Table:
    """Evaluation rows of a run: the table of a done run, else its records so far; no rows when there is neither.

    RunStoreError when they cannot be read, or when a column that is computed with does not hold what it should.
    """
    path = run_folder / schema.EVAL_FILE
    if path.is_file():
        table = read_table(path)
    else:
        path = run_folder / schema.EVAL_LOG
        table = _recorded_evaluations(path)
    if table.num_rows and (why := unfit(table.schema) or empty_cells(table)):
        raise RunStoreError(f"{path}: {why}; move {run_folder} away")
    return table


def _recorded_evaluations(path: Path) -> pa.Table:
    rows = list(read_log(path)) if path.is_file() else []
    try:
        return pa.table({name: [row[name] for row in rows] for name in schema.EVAL_COLUMNS})
    except (KeyError, pa.ArrowException) as error:
        raise RunStoreError(f"{path} holds rows of another version: {error}; move {path.parent} away") from None


def unfit(found: pa.Schema) -> str:
    """Which column of evaluation rows is of a type that cannot be computed with, "" when none is."""
    for name in sorted(set(COMPUTED) & set(found.names)):
        allowed, fits = _KINDS[schema.EVAL_TYPES[name]]
        if not fits(found.field(name).type):
            return f"the column {name} is of type {found.field(name).type}; allowed: {allowed}"
    return ""


def empty_cells(table: pa.Table) -> str:
    """Which column of evaluation rows has empty cells where none may be, "" when none has."""
    for name in sorted(set(COMPUTED) & set(table.column_names)):
        if table[name].null_count:
            return f"the column {name} has empty cells; allowed: {_KINDS[schema.EVAL_TYPES[name]][0]}"
    return ""


def _read_record(kind: type[_T], name: str, path: Path) -> _T:
    of_sweep = kind in (schema.Plan, schema.GradientWeights, schema.Identities)
    advice = "run the sweep's command again, which writes it anew" if of_sweep else f"move {path.parent} away"
    raw = read_json(path, advice=advice)
    try:
        return parse(kind, raw)
    except ValueError as error:
        raise RunStoreError(f"{path} is not a {name} of this version: {error}; {advice}") from None


def nan_mean(values: Iterable[float]) -> float:
    """Arithmetic mean, NaN for no values."""
    numbers = list(values)
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
