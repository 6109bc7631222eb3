"""Two folders of one report, file by file and number by number; pictures are left out."""

import csv
import difflib
import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reports.recount import Difference

TEXTS = (".md", ".csv", ".tex", ".json")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
# Of full-precision numbers in CSV and JSON: another build of numpy may add in another order.
_RELATIVE = 1e-12
_LONG = 200


def compare_folders(stored: Path, made: Path) -> tuple[int, int, list[Difference]]:
    """Numbers and files of the recomputed report, and where the stored one differs from it."""
    names = {folder: {path.name for path in folder.iterdir() if path.suffix in TEXTS} for folder in (stored, made)}
    found, numbers = [], 0
    for name in sorted(names[stored] | names[made]):
        if name not in names[stored]:
            found.append(Difference(file=name, place="the file", stored="missing", recomputed="there"))
        elif name not in names[made]:
            found.append(Difference(file=name, place="the file", stored="there", recomputed="not part of the report"))
        else:
            old, new = ((folder / name).read_text(encoding="utf-8", errors="replace") for folder in (stored, made))
            numbers += count_numbers(name, new)
            if old != new:
                found += [
                    Difference(file=name, place=place, stored=before[:_LONG], recomputed=after[:_LONG])
                    for place, before, after in _differences(Path(name).suffix, old, new)
                ]
    return numbers, len(names[made]), found


def count_numbers(name: str, text: str) -> int:
    """Numbers in a file of a report."""
    if name.endswith(".csv"):
        return sum(_value(cell) is not None for row in csv.reader(io.StringIO(text)) for cell in row)
    if name.endswith(".json"):
        return sum(_value(value) is not None for _, value in _leaves(json.loads(text), ""))
    return len(_NUMBER.findall(text))


def _differences(suffix: str, old: str, new: str) -> Iterator[tuple[str, str, str]]:
    """Place, stored text and recomputed text of whatever differs."""
    if suffix == ".csv":
        yield from _of_tables(list(csv.reader(io.StringIO(old))), list(csv.reader(io.StringIO(new))))
    elif suffix == ".json":
        try:
            before = dict(_leaves(json.loads(old), ""))
        except ValueError as error:
            yield "the file", f"no JSON: {error}", "JSON"
            return
        after = dict(_leaves(json.loads(new), ""))
        for key in [*after, *(key for key in before if key not in after)]:
            pair = before.get(key, "nothing"), after.get(key, "nothing")
            if not _equal(*pair):
                yield key, str(pair[0]), str(pair[1])
    else:
        yield from _of_lines(old.splitlines(), new.splitlines())


def _of_tables(old: list[list[str]], new: list[list[str]]) -> Iterator[tuple[str, str, str]]:
    """Cell by cell where the tables have one shape."""
    if len(old) != len(new) or (old and new and old[0] != new[0]):
        yield "the table", _shape(old), _shape(new)
        return
    header = new[0] if new else []
    for number, (before, after) in enumerate(zip(old, new, strict=True), start=1):
        if len(before) != len(after):
            yield f"row {number}", f"{len(before)} cells", f"{len(after)} cells"
            continue
        for column, left, right in zip(header, before, after, strict=True):
            if not _equal(left, right):
                yield f"row {number} ({', '.join(after[:2])}), {column}", left, right


def _shape(table: list[list[str]]) -> str:
    return f"{len(table)} rows of {', '.join(table[0]) if table else 'nothing'}"


def _of_lines(old: list[str], new: list[str]) -> Iterator[tuple[str, str, str]]:
    """Line by line; cells of a table, or the numbers that changed, where the lines are otherwise alike."""
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for k in range(max(b - a, d - c)):
            before = old[a + k] if a + k < b else None
            after = new[c + k] if c + k < d else None
            place = f"line {a + k + 1}"
            if before is None or after is None:
                yield place, before or "no such line", after or "no such line"
                continue
            cells = before.split(" | "), after.split(" | ")
            if before.startswith("|") and len(cells[0]) == len(cells[1]):
                label = cells[1][0].strip("| ")
                for column, (left, right) in enumerate(zip(*cells, strict=True), start=1):
                    if left.strip("| ") != right.strip("| "):
                        yield f"{place} ({label}), column {column}", left.strip("| "), right.strip("| ")
            else:
                yield place, before, after


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value of a JSON document with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    else:
        yield path, value


def _value(cell: Any) -> float | None:
    """A cell as a number, None for what is none."""
    if isinstance(cell, bool) or cell is None:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _equal(left: Any, right: Any) -> bool:
    if left == right:
        return True
    before, after = _value(left), _value(right)
    if before is None or after is None:
        return False
    return math.isclose(before, after, rel_tol=_RELATIVE, abs_tol=0.0) or (math.isnan(before) and math.isnan(after))
