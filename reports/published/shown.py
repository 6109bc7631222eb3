"""A published table for readers: cells as printed with marks, and footnotes that say what the marks mean."""

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from reports.markdown import DASH, Table
from reports.published.records import PERCENT, PublishedTable
from reports.published.validate import power

_AUTHORS, _OFF_GRID, _CONFLICT = "†", "‡", "§"
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SETTINGS = {"temperature": "evaluation temperature", "top_p": "evaluation top_p"}
NOT_PRINTED = "Only drawn, no value printed"


def paper_table(table: PublishedTable, *, intervals: bool = False) -> Table:
    """A whole published table; ``raw`` has every cell with its interval, which the text shows when asked to.

    A figure that is only drawn has a row for each metric that it draws, with an em dash.
    """
    name = f"{table.key}-{table.name}"
    if not table.cells:
        raw = pd.DataFrame({"drawn": table.drawn, "value": math.nan})
        rows = [[metric, DASH] for metric in table.drawn]
        return Table(name=name, header=["drawn", "value"], rows=rows, raw=raw, notes=footnotes(table))
    raw = pd.DataFrame(cell_records(table))
    numbers = _numbered_notes(table)
    rows = []
    for row in table.row_names:
        mark = _superscript(numbers, table.row_notes.get(row, ""))
        rows.append([row + mark, *(_cell(table, row, column, numbers, intervals) for column in table.columns)])
    header = ["benchmark" if table.benchmarks_in == "rows" else "arm", *table.columns]
    return Table(name=name, header=header, rows=rows, raw=raw, notes=footnotes(table))


def _cell(table: PublishedTable, row: str, column: str, numbers: Mapping[str, int], intervals: bool) -> str:
    cell = table.cells[row, column]
    if cell.printed is None:
        return DASH
    marks = _AUTHORS if cell.measured_by else ""
    marks += _OFF_GRID if cell.off_grid is not None else ""
    marks += _CONFLICT if any((each.row, each.column) == (row, column) for each in table.conflicts) else ""
    bounds = table.interval(row, column)
    told = f" [{bounds.low:.1f}, {bounds.high:.1f}]" if intervals and not math.isnan(bounds.low) else ""
    return f"{cell.printed}{marks}{_superscript(numbers, cell.note)}{told}"


def _numbered_notes(table: PublishedTable) -> dict[str, int]:
    """Note -> its number, equal notes under one."""
    notes = [*table.row_notes.values(), *(cell.note for cell in table.cells.values())]
    return {note: number for number, note in enumerate(dict.fromkeys(filter(None, notes)), start=1)}


def _superscript(numbers: Mapping[str, int], note: str) -> str:
    return str(numbers[note]).translate(_SUPERSCRIPTS) if note else ""


def heading(table: PublishedTable) -> str:
    """Which table it is, what it shows and what the paper says that it shows."""
    told = f"{table.title} of arXiv {table.paper}: {table.caption}. The paper's claim: {table.claim}."
    return told[0].upper() + told[1:]


def footnotes(table: PublishedTable) -> list[str]:
    """What the marks mean, and what the numbers can support: counts, intervals, grid, settings."""
    notes = [f"{mark} {text}".lstrip() for mark, text in marked(table)]
    notes += [f"{_superscript({note: number}, note)} {note}." for note, number in _numbered_notes(table).items()]
    if not table.cells:
        notes.append(f"{NOT_PRINTED}.")
    elif table.unit == PERCENT:
        notes += [_counts(table), _bounds(table), *filter(None, [_check(table)])]
    notes.append(f"Grade: {table.grade}. Training runs (seeds): {table.seeds}.")
    if told := settings_told(table):
        notes.append(f"Settings there: {told}.")
    return notes + [f"{text[0].upper()}{text[1:]}." for text in table.text]


def marked(table: PublishedTable) -> Iterator[tuple[str, str]]:
    """Mark and meaning: cells that the authors measured, that are off the grid, that are printed otherwise elsewhere.

    A conflict that is about no single cell has no mark.
    """
    if any(cell.measured_by for cell in table.cells.values()):
        yield _AUTHORS, "Another group's model, measured by the authors; unmarked cells are as the developers report."
    off = [
        f"{cell.printed} at {row}, {column} (nearest {cell.off_grid})"
        for (row, column), cell in table.cells.items()
        if cell.off_grid is not None
    ]
    if off:
        yield _OFF_GRID, f"Printed cells that their count of answers cannot give: {'; '.join(off)}."
    for conflict in table.conflicts:
        yield _CONFLICT if conflict.row else "", f"The paper disagrees with itself on {conflict}."


def settings_told(table: PublishedTable) -> str:
    """The settings of the published comparison, as far as known, with avg@k where the samples are."""
    told = [f"{_SETTINGS.get(name, name.replace('_', ' '))} {value}" for name, value in table.settings.items()]
    metrics: dict[str, list[str]] = {}
    for benchmark, count in table.counts.items():
        if count.samples is not None:
            metrics.setdefault(f"avg@{count.samples}", []).append(benchmark)
    told += [f"{metric} on {', '.join(benchmarks)}" for metric, benchmarks in metrics.items()]
    return "; ".join(told)


def _counts(table: PublishedTable) -> str:
    source = {
        "grid": f"the smallest that explain all printed cells but those with {_OFF_GRID}",
        "printed": "as printed",
    }
    listed = ", ".join(f"{benchmark} {count}" for benchmark, count in table.counts.items()) or "not known"
    windows = "".join(f"; {name} from {first} to {last}" for name, (first, last) in table.windows.items())
    return f"Questions x samples: {listed} ({source.get(table.counts_source, table.counts_source)}){windows}."


def _bounds(table: PublishedTable) -> str:
    if not table.counts:
        return "No intervals, as the questions are not counted here."
    widest: dict[str, float] = {}
    without = dict.fromkeys(name for name in table.benchmarks if name not in table.counts)
    for (row, column), cell in table.cells.items():
        bounds = table.interval(row, column)
        if cell.printed is not None and not math.isnan(bounds.low):
            benchmark = table.benchmark(row, column)
            widest[benchmark] = max(bounds.high - bounds.low, widest.get(benchmark, 0.0))
    listed = ", ".join(f"{benchmark} {width:.1f}" for benchmark, width in widest.items())
    none = f" None for {', '.join(without)}, whose questions are not counted here." if without else ""
    return (
        "95 % intervals: Wilson over the questions, an upper bound of their chance, as a question's samples may agree "
        f"fully; training runs are not in it. Widest, in points: {listed}.{none}"
    )


def _check(table: PublishedTable) -> str:
    if table.grid_check == "no counts":
        return "Grid check: not possible, as the answers are not counted."
    if table.grid_check == "no power":
        return "Grid check: no power, as the printed decimals are coarser than the counts and any value would pass."
    shares = ", ".join(f"{benchmark} {100 * share:.1f} %" for benchmark, share in power(table).items())
    return f"Grid check: of all values with these decimals would pass {shares}."


def cell_records(table: PublishedTable) -> list[dict[str, object]]:
    """Every cell with what is known about it; None where something is not known."""
    records: list[dict[str, object]] = []
    for (row, column), cell in table.cells.items():
        count, bounds = table.count(row, column), table.interval(row, column)
        arm = column if table.benchmarks_in == "rows" else row
        records.append(
            {
                "arm": arm,
                "benchmark": table.benchmark(row, column),
                "printed": None if cell.printed is None else str(cell.printed),
                "value": _known(bounds.value),
                "low": _known(bounds.low),
                "high": _known(bounds.high),
                "questions": count and count.questions,
                "samples": count and count.samples,
                "measured_by": cell.measured_by or None,
                "nearest_on_grid": None if cell.off_grid is None else float(cell.off_grid),
                "conflict": next((str(c) for c in table.conflicts if (c.row, c.column) == (row, column)), None),
                "note": cell.note or table.row_notes.get(row),
            }
        )
    return records


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
