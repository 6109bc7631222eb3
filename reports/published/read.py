"""Read a paper's YAML strictly: a missing or unknown key or a wrong type is one line that names its place.

A file has title, arxiv, seeds, settings (of all its tables), tables and maybe conflicts.  A table has caption, claim,
and as far as they apply

- grade: printed, or figure where values are only drawn and no number is given;
- columns, rows, benchmarks_in: as printed; benchmarks_in says whether rows or columns are benchmarks.  A cell is a
  number, null where none is printed, or {value, measured_by, off_grid, note};
- n, n_source, grid_check: benchmark -> "questions x samples" or questions alone; where the counts are from (printed, or
  grid: only they explain every cell); whether the printed decimals let them find a wrong cell;
- unit (percent unless said), settings, windows, averages, drawn, row_notes, text: see ``records.PublishedTable``.

A conflict names a cell [table, row, column], or what it is about, and what is said where.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from klear_core.errors import DataError
from reports.published.records import PERCENT, Cell, Conflict, Count, Paper, PublishedTable

GRADES = ("printed", "figure")
GRID_CHECKS = ("works", "no power", "no counts")
_SETTINGS = {
    *("model", "data", "stage", "max_tokens", "steps", "examples", "learning_rate"),
    *("temperature", "top_p"),  # of the evaluation
}
_PRINTED = {"benchmarks_in", "n", "n_source", "grid_check", "columns", "rows", "unit", "averages", "row_notes"}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_COUNT = re.compile(r"([1-9]\d*)(?: x ([1-9]\d*))?")


class _AsPrinted(yaml.SafeLoader):
    """Numbers become decimals, so that 45.00 keeps its zeros; a key given twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """The mapping; yaml's ConstructorError on a key that is there twice."""
        keys = [key.value for key, _ in node.value]
        twice = [str(key) for index, key in enumerate(keys) if key in keys[:index]]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal | str:
    # .nan, .inf and the other ways of YAML to write a number stay text, which is then refused.
    return Decimal(node.value) if _NUMBER.fullmatch(node.value) else str(node.value)


for _tag in ("int", "float"):
    _AsPrinted.add_constructor(f"tag:yaml.org,2002:{_tag}", _number)


def read_paper(path: Path) -> Paper:
    """The paper in a file; DataError, one line, when it has not the promised form."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_AsPrinted)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name}: {' '.join(str(error).split())}") from error
    place = path.name
    _keys(content, place, {"title", "arxiv", "seeds", "settings", "tables"}, {"conflicts"})
    text = {name: _text(content[name], f"{place}, {name}") for name in ("title", "arxiv", "seeds")}
    common = _settings(content["settings"], f"{place}, settings")
    conflicts = tuple(
        _conflict(found, f"{place}, conflicts[{index}]")
        for index, found in enumerate(_list(content.get("conflicts", []), f"{place}, conflicts"))
    )
    tables = {}
    for name, found in _mapping(content["tables"], f"{place}, tables").items():
        table = _table(found, f"{place}, {name}", name=name, key=path.stem, arxiv=text["arxiv"], seeds=text["seeds"])
        rest = {setting: value for setting, value in common.items() if setting not in table.settings}
        told = tuple(conflict for conflict in conflicts if conflict.table == name)
        tables[name] = replace(table, settings=dict(table.settings) | rest, conflicts=told)
    return Paper(key=path.stem, tables=tables, conflicts=conflicts, **text)


def _table(found: Any, place: str, *, name: str, key: str, arxiv: str, seeds: str) -> PublishedTable:
    _keys(found, place, {"caption", "claim"}, _PRINTED | {"grade", "settings", "windows", "drawn", "text"})
    grade = _choice(found.get("grade", "printed"), f"{place}, grade", GRADES)
    unit = _text(found.get("unit", PERCENT), f"{place}, unit")
    if grade == "figure":
        _keys(found, place, {"drawn"}, set(found) - _PRINTED)
    else:
        counted = {"benchmarks_in", "n", "n_source", "grid_check"} if unit == PERCENT else set()
        _keys(found, place, {"columns", "rows", *counted}, set(found))
    columns = _texts(found.get("columns", []), f"{place}, columns")
    rows = _mapping(found.get("rows", {}), f"{place}, rows")
    check = found.get("grid_check")
    return PublishedTable(
        paper=arxiv,
        key=key,
        name=name,
        caption=_text(found["caption"], f"{place}, caption"),
        claim=_text(found["claim"], f"{place}, claim"),
        grade=grade,
        seeds=seeds,
        unit=unit,
        benchmarks_in=_choice(found.get("benchmarks_in", "columns"), f"{place}, benchmarks_in", ("rows", "columns")),
        columns=columns,
        row_names=tuple(rows),
        cells=_cells(rows, columns, f"{place}, rows"),
        counts={
            benchmark: _count(count, f"{place}, n, {benchmark}")
            for benchmark, count in _mapping(found.get("n", {}), f"{place}, n").items()
        },
        counts_source=_text(found.get("n_source", "not known"), f"{place}, n_source"),
        grid_check="" if check is None else _choice(check, f"{place}, grid_check", GRID_CHECKS),
        settings=_settings(found.get("settings", {}), f"{place}, settings"),
        windows=_windows(found.get("windows", {}), f"{place}, windows"),
        averages=_text(found["averages"], f"{place}, averages") if "averages" in found else "",
        drawn=_texts(found.get("drawn", []), f"{place}, drawn"),
        row_notes=_text_mapping(found.get("row_notes", {}), f"{place}, row_notes"),
        text=_texts(found.get("text", []), f"{place}, text"),
        conflicts=(),
    )


def _cells(rows: Mapping[str, Any], columns: Sequence[str], place: str) -> dict[tuple[str, str], Cell]:
    cells = {}
    for row, found in rows.items():
        listed = _list(found, f"{place}, {row}")
        if len(listed) != len(columns):
            raise DataError(f"{place}, {row}: {len(listed)} cells; expected: {len(columns)}, one a column")
        for column, cell in zip(columns, listed, strict=True):
            cells[row, column] = _cell(cell, f"{place}, {row}, {column}")
    return cells


def _cell(found: Any, place: str) -> Cell:
    if not isinstance(found, dict):
        return Cell(printed=None if found is None else _decimal(found, place))
    _keys(found, place, {"value"}, {"measured_by", "off_grid", "note"})
    return Cell(
        printed=_decimal(found["value"], place),
        measured_by=_choice(found.get("measured_by", ""), f"{place}, measured_by", ("", "authors")),
        off_grid=_decimal(found["off_grid"], f"{place}, off_grid") if "off_grid" in found else None,
        note=_text(found["note"], f"{place}, note") if "note" in found else "",
    )


def _count(found: Any, place: str) -> Count:
    match = _COUNT.fullmatch(str(found)) if isinstance(found, str | Decimal) else None
    if match is None:
        raise DataError(f"{place}: {found!r}; expected: questions x samples such as 30 x 16, or questions alone")
    return Count(questions=int(match[1]), samples=int(match[2]) if match[2] else None)


def _conflict(found: Any, place: str) -> Conflict:
    about_cell = isinstance(found, dict) and "cell" in found
    _keys(found, place, {"says", "cell"} if about_cell else {"says", "about", "what"}, set())
    says = _text_mapping(found["says"], f"{place}, says")
    if not about_cell:
        about, what = (_text(found[name], f"{place}, {name}") for name in ("about", "what"))
        return Conflict(table=about, row="", column="", what=what, says=says)
    cell = _texts(found["cell"], f"{place}, cell")
    if len(cell) != 3:
        raise DataError(f"{place}, cell: {len(cell)} names; expected: 3, of table, row and column")
    return Conflict(table=cell[0], row=cell[1], column=cell[2], what=f"{cell[1]}, {cell[2]}", says=says)


def _windows(found: Any, place: str) -> dict[str, tuple[str, str]]:
    windows = {}
    for benchmark, days in _mapping(found, place).items():
        listed = _texts(days, f"{place}, {benchmark}")
        if len(listed) != 2:
            raise DataError(f"{place}, {benchmark}: {len(listed)} days; expected: 2, first and last")
        windows[benchmark] = (listed[0], listed[1])
    return windows


def _settings(found: Any, place: str) -> dict[str, str]:
    _keys(found, place, set(), _SETTINGS)
    return _text_mapping(found, place)


def _keys(found: Any, place: str, required: set[str], optional: set[str]) -> None:
    keys = set(_mapping(found, place))
    if missing := sorted(required - keys):
        raise DataError(f"{place}: {missing[0]} is missing")
    if unknown := sorted(keys - required - optional):
        allowed = ", ".join(sorted(required | optional))
        raise DataError(f"{place}: {unknown[0]} is not known here; allowed: {allowed}")


def _mapping(found: Any, place: str) -> dict[str, Any]:
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise DataError(f"{place}: {_shown(found)}; expected: keys that are text, each with its value")
    return found


def _text_mapping(found: Any, place: str) -> dict[str, str]:
    # Numbers too, as printed.
    return {
        key: str(value) if isinstance(value, Decimal) else _text(value, f"{place}, {key}")
        for key, value in _mapping(found, place).items()
    }


def _list(found: Any, place: str) -> list[Any]:
    if not isinstance(found, list):
        raise DataError(f"{place}: {_shown(found)}; expected: a list")
    return found


def _texts(found: Any, place: str) -> tuple[str, ...]:
    texts = tuple(_text(each, place) for each in _list(found, place))
    if len(set(texts)) < len(texts):
        raise DataError(f"{place}: a name is given twice; expected: each once")
    return texts


def _text(found: Any, place: str) -> str:
    if not isinstance(found, str) or not found.strip():
        raise DataError(f"{place}: {_shown(found)}; expected: a text that is not empty")
    return found


def _choice(found: Any, place: str, allowed: Sequence[str]) -> str:
    if found not in allowed:
        raise DataError(f"{place}: {_shown(found)}; expected: {', '.join(each for each in allowed if each)}")
    return str(found)


def _decimal(found: Any, place: str) -> Decimal:
    if not isinstance(found, Decimal):
        raise DataError(f"{place}: {_shown(found)}; expected: a number as printed")
    return found


def _shown(found: Any) -> str:
    return str(found) if isinstance(found, Decimal) else " ".join(repr(found).split())[:60]
