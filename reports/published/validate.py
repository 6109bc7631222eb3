"""Whether what is held of a paper can be right: every cell against what its count of answers can print as."""

import math
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from reports.published.grid import decimals, nearest, on_grid
from reports.published.records import PERCENT, Cell, Conflict, Paper, PublishedTable


def validate(paper: Paper) -> list[str]:
    """All that is wrong, one line each, in the order of the tables; empty when nothing is.

    Checked for percents: the range; every cell that has a count against the grid of that count, with its declared
    exceptions; whether the check has power, as declared; the decimals of a table; averages.  Checked everywhere: that
    counts, notes and conflicts are about what there is, and that conflicting values differ and stand where they say.
    """
    found = [problem for table in paper.tables.values() for problem in _table_problems(table)]
    return found + [f"conflict {conflict}: {text}" for conflict in paper.conflicts for text in _faults(paper, conflict)]


def power(table: PublishedTable) -> dict[str, float]:
    """Benchmark -> share of the printable values that lie on its grid, the smallest over its cells' decimals.

    At 1 the check of its cells cannot fail. Benchmarks whose answers are not counted are left out.
    """
    shares: dict[str, float] = {}
    for row, column in table.cells:
        share = table.share_on_grid(row, column)
        if not math.isnan(share):
            benchmark = table.benchmark(row, column)
            shares[benchmark] = min(share, shares.get(benchmark, 1.0))
    return shares


def _table_problems(table: PublishedTable) -> Iterator[str]:
    for where, text in (*_cell_problems(table), *_decimal_problems(table), *_average_problems(table)):
        yield f"{table.key}, {table.name}, {where}: {text}"
    known = {*table.benchmarks, *(name.split()[0] for name in table.drawn)}
    for kind, names in (("n", table.counts), ("windows", table.windows)):
        yield from (f"{table.key}, {table.name}, {kind}: no benchmark {name}" for name in names if name not in known)
    for row in table.row_notes:
        if row not in table.row_names:
            yield f"{table.key}, {table.name}, row_notes: no row {row}"
    if table.grid_check:
        shares = power(table).values()
        check = "no counts" if not shares else "works" if min(shares) < 1 else "no power"
        if check != table.grid_check:
            yield f"{table.key}, {table.name}, grid_check: declared {table.grid_check!r}, but it is {check!r}"


def _cell_problems(table: PublishedTable) -> Iterator[tuple[str, str]]:
    for (row, column), cell in table.cells.items():
        where, count = f"{row}, {column}", table.count(row, column)
        if cell.printed is None or table.unit != PERCENT:
            continue
        if not 0 <= cell.printed <= 100:
            yield where, f"{cell.printed} is no percentage"
        elif count is not None and count.total is not None:
            if text := _grid_problem(cell, cell.printed, count.total):
                yield where, text
        elif cell.off_grid is not None:
            yield where, "declared off the grid, but its answers are not counted"


def _grid_problem(cell: Cell, printed: Decimal, total: int) -> str:
    if on_grid(printed, total):
        return f"{printed} is declared off the grid of {total} answers and lies on it" if cell.off_grid else ""
    expected = nearest(printed, total)
    if cell.off_grid is None:
        return f"{printed} is off the grid of {total} answers, which is not declared; nearest: {expected}"
    if cell.off_grid != expected:
        return f"{cell.off_grid} is declared as the nearest value to {printed}; it is {expected}"
    return ""


def _decimal_problems(table: PublishedTable) -> Iterator[tuple[str, str]]:
    # A table prints one number of decimals, so 45.0 beside 40.22 is a zero lost in copying, unless it is noted.
    places = {key: decimals(cell.printed) for key, cell in table.cells.items() if cell.printed is not None}
    if table.unit == PERCENT and places:
        usual = Counter(places.values()).most_common(1)[0][0]
        for (row, column), found in places.items():
            if found != usual and not table.cells[row, column].note:
                yield f"{row}, {column}", f"{found} decimals without a note; its table has {usual}"


def _average_problems(table: PublishedTable) -> Iterator[tuple[str, str]]:
    if not table.averages:
        return
    if table.averages not in table.columns:
        yield "averages", f"no column {table.averages}"
        return
    for row in table.row_names:
        printed = {column: table.cells[row, column].printed for column in table.columns}
        average = printed.pop(table.averages)
        others = [value for value in printed.values() if value is not None]
        if average is None or len(others) < len(printed):
            continue
        # Every one is known to half a unit of its last decimal.
        halves = [Decimal(5).scaleb(-decimals(value) - 1) for value in (average, *others)]
        slack = halves[0] + sum(halves[1:], Decimal(0)) / len(others)
        mean = sum(others, Decimal(0)) / len(others)
        if abs(average - mean) > slack:
            yield f"{row}, {table.averages}", f"{average} is not the mean of the others, {mean:.2f}"


def _faults(paper: Paper, conflict: Conflict) -> Iterator[str]:
    table = paper.tables.get(conflict.table)
    if table is None:
        yield f"no table {conflict.table}"
        return
    if len(set(conflict.says.values())) < 2:
        yield "its values do not differ"
    if not conflict.row:
        return
    if (conflict.row, conflict.column) not in table.cells:
        yield f"{conflict.table} has no such cell"
        return
    benchmark = table.benchmark(conflict.row, conflict.column)
    if conflict.table not in conflict.says:
        yield f"it does not say what {conflict.table} prints"
    for place, value in conflict.says.items():
        if place == conflict.table:
            printed = {str(table.cells[conflict.row, conflict.column].printed)}
        elif place in paper.tables:
            other = paper.tables[place]
            printed = {str(cell.printed) for key, cell in other.cells.items() if other.benchmark(*key) == benchmark}
        else:
            continue  # prose, which is not held here
        if value not in printed:
            yield f"{place} does not print {value}"
