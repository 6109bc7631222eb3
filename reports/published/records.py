"""Records of what papers print."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from reports.published.grid import decimals, gap_interval, share_interval, share_on_grid
from reports.stats import Estimate

PERCENT = "percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One printed number and what is known about it."""

    printed: Decimal | None  # as printed, with its zeros; None where the paper prints none
    measured_by: str = ""  # "authors": the paper's own evaluation of another group's model
    off_grid: Decimal | None = None  # no count of the answers gives the cell: the nearest value that one gives
    note: str = ""

    @property
    def value(self) -> float:
        """The number, NaN where none is printed."""
        return math.nan if self.printed is None else float(self.printed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Answers behind a cell."""

    questions: int
    samples: int | None  # of each question; None where not known

    @property
    def total(self) -> int | None:
        """Answers in all, None where not known."""
        return None if self.samples is None else self.questions * self.samples

    def __str__(self) -> str:
        return f"{self.questions} x {'?' if self.samples is None else self.samples}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Values of one thing that differ between places of the paper."""

    table: str  # where a reader is told
    row: str  # as printed; "" where it is about no single cell
    column: str
    what: str
    says: Mapping[str, str]  # place -> value

    def __str__(self) -> str:
        told = ", ".join(f"{place.replace('_', ' ')} {value}" for place, value in self.says.items())
        return f"{self.what}: {told}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable:
    """One table or figure of a paper, as printed; a figure that is only drawn has no cells."""

    paper: str  # arXiv number
    key: str  # name of the paper's file
    name: str
    caption: str
    claim: str  # what the paper says that it shows
    grade: str  # "printed", or "figure": only drawn, so there is no number
    seeds: str
    unit: str
    benchmarks_in: str  # "rows" or "columns"; the arms are in the other
    columns: tuple[str, ...]
    row_names: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]  # (row, column)
    counts: Mapping[str, Count]  # benchmark ->
    counts_source: str
    grid_check: str  # whether the counts can find a wrong cell: "works", "no power", "no counts"; "" without percents
    settings: Mapping[str, str]  # of the published comparison, as far as known
    windows: Mapping[str, tuple[str, str]]  # benchmark -> first and last day of its questions
    averages: str  # the column that holds the mean of the others, "" where none
    drawn: tuple[str, ...]  # metrics that a figure draws
    row_notes: Mapping[str, str]
    text: tuple[str, ...]  # what is known beside the cells
    conflicts: tuple[Conflict, ...]

    @property
    def title(self) -> str:
        """``table 4`` for ``table_4``."""
        return self.name.replace("_", " ")

    @property
    def arms(self) -> tuple[str, ...]:
        """What is compared, in the order printed."""
        return self.columns if self.benchmarks_in == "rows" else self.row_names

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """What the arms are compared on, in the order printed, an average included."""
        return self.row_names if self.benchmarks_in == "rows" else self.columns

    def benchmark(self, row: str, column: str) -> str:
        """The benchmark of a cell."""
        return row if self.benchmarks_in == "rows" else column

    def count(self, row: str, column: str) -> Count | None:
        """The answers behind a cell, None where not known."""
        return self.counts.get(self.benchmark(row, column))

    def share_on_grid(self, row: str, column: str) -> float:
        """``grid.share_on_grid`` of a cell: at 1 its check cannot fail; NaN where its answers are not counted."""
        printed, count = self.cells[row, column].printed, self.count(row, column)
        if printed is None or count is None or count.total is None:
            return math.nan
        return share_on_grid(count.total, decimals(printed))

    def value(self, benchmark: str, arm: str) -> float:
        """A printed number, NaN where none is printed; KeyError for one that the table has no cell for."""
        cell = (benchmark, arm) if self.benchmarks_in == "rows" else (arm, benchmark)
        return self.cells[cell].value

    def interval(self, row: str, column: str) -> Estimate:
        """A cell with ``grid.share_interval`` over its questions; no bounds where their number is not known."""
        value, count = self.cells[row, column].value, self.count(row, column)
        if count is None or self.unit != PERCENT or math.isnan(value):
            return Estimate(value=value, low=math.nan, high=math.nan, n=0)
        return share_interval(value, count.questions)

    def effect(self, benchmark: str, arm: str, baseline: str) -> Estimate:
        """An arm minus the baseline with ``grid.gap_interval``; no bounds where the questions are not known."""
        ours, theirs = self.value(benchmark, arm), self.value(benchmark, baseline)
        if benchmark not in self.counts or self.unit != PERCENT:
            return Estimate(value=ours - theirs, low=math.nan, high=math.nan, n=0)
        return gap_interval(ours, theirs, self.counts[benchmark].questions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is held of one paper."""

    key: str  # name of its file
    title: str
    arxiv: str
    seeds: str  # training runs behind a cell, in the paper's words or "not reported"
    tables: Mapping[str, PublishedTable]  # figures included
    conflicts: tuple[Conflict, ...]
