"""Evaluation rows of many runs as one table; a run whose rows cannot be read is named, and costs the others nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from klear_core.errors import RunStoreError
from klear_core.runs import schema, store

_FORMAT = ds.ParquetFileFormat()
_FILE = "__filename"  # as Arrow names the file of a row
_TEXTS = ("split", "decoding", "verdict", "problem_id")  # few values in many rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluations:
    """``rows`` has the columns asked for, texts as dictionaries, and ``run``: the place of the row's folder."""

    rows: pa.Table
    unreadable: dict[int, str]  # place of a folder -> why its rows cannot be read; it has no rows then


def evaluation_schema(columns: Sequence[str]) -> pa.Schema:
    """Columns of eval.parquet with the types that ``klear_core.runs.schema`` declares."""
    return pa.schema([(name, pa.type_for_alias(schema.EVAL_TYPES[name])) for name in columns])


def read_all(folders: Sequence[Path], columns: Sequence[str]) -> Evaluations:
    """The rows of all run folders, in their order within a run; a folder without any has none."""
    declared = evaluation_schema(columns)
    whole: dict[int, ds.Fragment] = {}
    others: dict[int, pa.Table] = {}
    unreadable: dict[int, str] = {}
    for place, folder in enumerate(folders):
        try:
            fragment = _fragment(folder / schema.EVAL_FILE, declared)
            if fragment is not None:
                whole[place] = fragment
            else:
                others[place] = _read_alone(folder, declared)
        except (RunStoreError, OSError, pa.ArrowException) as error:
            unreadable[place] = _told(error, folder)
    tables = [_read_whole(whole, folders, declared, others, unreadable)]
    for place, table in others.items():
        tables.append(table.append_column("run", pa.array([place] * table.num_rows, pa.int64())))
    joined = pa.concat_tables(tables)
    if store.empty_cells(joined):
        for place in pc.unique(joined["run"]).to_pylist():
            if why := store.empty_cells(joined.filter(pc.equal(joined["run"], place))):
                unreadable[place] = f"{folders[place] / schema.EVAL_FILE}: {why}; move {folders[place]} away"
    if unreadable:
        joined = joined.filter(pc.invert(pc.is_in(joined["run"], pa.array(list(unreadable), pa.int64()))))
    return Evaluations(rows=_encoded(joined), unreadable=unreadable)


def _fragment(path: Path, declared: pa.Schema) -> ds.Fragment | None:
    """A table whose columns are of the declared types; None for any other, and for what is no table."""
    if not path.is_file():
        return None
    fragment = _FORMAT.make_fragment(str(path), LocalFileSystem())
    try:
        found = fragment.physical_schema
    except (OSError, pa.ArrowException):  # read alone, it says why
        return None
    fits = all(f.name in found.names and found.field(f.name).type == f.type for f in declared)
    return fragment if fits else None


def _read_alone(folder: Path, declared: pa.Schema) -> pa.Table:
    """Rows of one run in the declared types; RunStoreError when they are not what a run writes."""
    table = store.read_evaluations(folder)
    if not table.num_rows:
        return declared.empty_table()
    if absent := [name for name in declared.names if name not in table.column_names]:
        raise RunStoreError(
            f"{folder / schema.EVAL_FILE} lacks the columns {', '.join(absent)}; move {folder} away"
        )
    return pa.table({field.name: _cast(table[field.name], field) for field in declared}, schema=declared)


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """A column in its declared type; numbers that the run did not know may stand as texts or as nothing."""
    if pa.types.is_floating(field.type) and not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return pa.chunked_array([pa.array([float("nan")] * len(column), field.type)])
    return column.cast(field.type)


def _read_whole(
    fragments: dict[int, ds.Fragment],
    folders: Sequence[Path],
    declared: pa.Schema,
    others: dict[int, pa.Table],
    unreadable: dict[int, str],
) -> pa.Table:
    """All files at once; where one of them is damaged inside, each alone."""
    with_run = declared.append(pa.field("run", pa.int64()))
    if not fragments:
        return with_run.empty_table()
    place_of = {str(folders[place] / schema.EVAL_FILE): place for place in fragments}
    dataset = ds.FileSystemDataset(list(fragments.values()), declared, _FORMAT, LocalFileSystem())
    try:
        table = dataset.to_table(columns=[*declared.names, _FILE])
    except (OSError, pa.ArrowException):
        for place in fragments:
            try:
                others[place] = _read_alone(folders[place], declared)
            except (RunStoreError, OSError, pa.ArrowException) as error:
                unreadable[place] = _told(error, folders[place])
        return with_run.empty_table()
    files = table[_FILE].combine_chunks().dictionary_encode()
    places = pa.array([place_of[path] for path in files.dictionary.to_pylist()], pa.int64())
    return table.drop_columns([_FILE]).append_column("run", places.take(files.indices))


def _encoded(table: pa.Table) -> pa.Table:
    for name in _TEXTS:
        if name in table.column_names:
            column = table[name].combine_chunks().dictionary_encode()
            table = table.set_column(table.column_names.index(name), name, column)
    return table


def _told(error: Exception, folder: Path) -> str:
    if isinstance(error, RunStoreError):
        return str(error)
    return f"{folder / schema.EVAL_FILE} cannot be read: {error}; move {folder} away"
