"""Numbers that papers print, as data, with what their counts of questions can support."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from reports.stats import Estimate

_FOLDER = Path(__file__).resolve().parent
_Z975 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable:
    """One table of a paper, in percent as printed."""

    paper: str  # arXiv number
    name: str
    caption: str
    claim: str  # what the paper says that it shows
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]  # benchmark -> cells
    questions: Mapping[str, tuple[int, int]]  # benchmark -> questions, samples of each
    off_grid: Mapping[str, float]  # "benchmark, column" -> the nearest value that the counts allow

    def value(self, benchmark: str, column: str) -> float:
        """A printed cell."""
        return self.rows[benchmark][self.columns.index(column)]

    def effect(self, benchmark: str, column: str, baseline: str) -> Estimate:
        """Cell minus baseline in points, with the 95 % interval that the number of questions allows.

        The standard error is that of two unpaired shares of the questions, sqrt(p (1 - p) / Q + the same of the
        baseline): an upper bound, as a question's samples may agree fully, and paired questions would narrow it.  The
        variance over training runs is not in it: there is one run a cell.
        """
        ours, theirs = self.value(benchmark, column), self.value(benchmark, baseline)
        count = self.questions[benchmark][0]
        error = 100 * math.sqrt(sum(p / 100 * (1 - p / 100) / count for p in (ours, theirs)))
        gap = ours - theirs
        return Estimate(value=gap, low=gap - _Z975 * error, high=gap + _Z975 * error, n=1)


@cache
def published_table(name: str, paper: str = "klear_reasoner") -> PublishedTable:
    """A table of a paper by its name, such as ``table_4``; KeyError when there is none."""
    content = yaml.safe_load((_FOLDER / f"{paper}.yaml").read_text(encoding="utf-8"))
    found = content["tables"][name]
    return PublishedTable(
        paper=content["arxiv"],
        name=name,
        caption=found["caption"],
        claim=found["claim"],
        columns=tuple(found["columns"]),
        rows={benchmark: tuple(map(float, cells)) for benchmark, cells in found["rows"].items()},
        questions={benchmark: (int(q), int(s)) for benchmark, (q, s) in found["questions"].items()},
        off_grid=dict(found["off_grid"]),
    )
