"""A paper's table beside the effects that were measured here."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from reports.analysis import Analysis
from reports.load import SweepData
from reports.markdown import DASH, Table, interval
from reports.published import PublishedTable, published_table
from reports.published.shown import marked, settings_told
from reports.spec import Beside
from reports.stats import Estimate

_POINTS = 100  # a paper prints percent


def beside_table(data: SweepData, analysis: Analysis, beside: Beside) -> Table:
    """Effects against the baseline: measured here, and as a paper's cells give them, benchmark by benchmark.

    Columns of the paper that were not run here have an em dash.
    """
    paper = published_table(beside.table, beside.paper)
    rows, raw = [], []
    for each in _effects(data, analysis, beside, paper):
        rows.append([each.name, each.told, *(interval(effect, "+.1f") for effect in each.published.values())])
        parts = [(name, part) for name in each.published for part in ("value", "low", "high")]
        raw.append(
            {"column": each.column, "baseline": each.baseline, "measured": each.measured}
            | {f"{name}_{part}": getattr(each.published[name], part) for name, part in parts}
        )
    frame = pd.DataFrame(raw) if raw else pd.DataFrame(columns=["column", "baseline", "measured"])
    header = ["effect, in points", "measured here", *(f"published, {name}" for name in paper.benchmarks)]
    return Table(name=f"published-{paper.name}", header=header, rows=rows, raw=frame, notes=_notes(paper))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Effect:
    """An arm of the paper against its baseline, in points."""

    column: str
    baseline: str
    measured: float  # NaN where it was not run
    told: str  # the measured one with its interval and verdict
    published: dict[str, Estimate]  # benchmark -> effect

    @property
    def name(self) -> str:
        return f"{self.column} - {self.baseline}"


def _effects(data: SweepData, analysis: Analysis, beside: Beside, paper: PublishedTable) -> Iterator[_Effect]:
    """Every arm that has a baseline other than itself, in the paper's order."""
    for column in paper.arms:
        found = [(point, arm) for (point, arm), name in beside.columns.items() if name == column]
        base = _baseline_column(beside, data, found)
        if base is None or column == base:
            continue
        measured, told = _measured(analysis, found)
        published = {name: paper.effect(name, column, base) for name in paper.benchmarks}
        yield _Effect(column=column, baseline=base, measured=measured, told=told, published=published)


def _baseline_column(beside: Beside, data: SweepData, found: list[tuple[str, str]]) -> str | None:
    """The paper's column that a column is held against: that of the baseline at the same operating point."""
    for point, _ in found:
        return beside.columns.get((point, data.plan.baseline or ""))
    # Not run here: held against the one baseline that the table has, where it has one.
    bases = {name for (_, arm), name in beside.columns.items() if arm == data.plan.baseline}
    return bases.pop() if len(bases) == 1 else None


def _measured(analysis: Analysis, found: list[tuple[str, str]]) -> tuple[float, str]:
    for point, arm in found:
        for versus in analysis.versus:
            if (versus.point, versus.treatment) == (point, arm):
                gap = versus.comparison.difference
                scaled = {name: _POINTS * getattr(gap, name) for name in ("value", "low", "high")}
                told = f"{scaled['value']:+.1f}"
                if not math.isnan(gap.low):
                    told += f" [{scaled['low']:+.1f}, {scaled['high']:+.1f}]"
                return scaled["value"], f"{told}, {versus.verdict}" if not math.isnan(gap.value) else DASH
    return math.nan, f"{DASH} (not run here)"


def _notes(paper: PublishedTable) -> list[str]:
    counts = ", ".join(f"{name} {count}" for name, count in paper.counts.items()) or "not known"
    notes = [
        f"Published: arXiv {paper.paper}, {paper.title}, {paper.caption}; its claim: {paper.claim}. "
        f"Questions x samples: {counts}. One training run a cell, so its interval holds the questions' chance alone: "
        "an upper bound (a question's samples may agree fully, and pairing by question, which is not published, would "
        "narrow it).",
        "Effects are compared, never levels. Mechanism check, not a reproduction: another model, other data, other "
        "questions, fewer updates, another decoding.",
    ]
    if told := settings_told(paper):
        notes.append(f"Published settings: {told}.")
    return notes + [text for _, text in marked(paper)]


def claim_sentence(data: SweepData, analysis: Analysis, beside: Beside) -> str:
    """The measured effect with its verdict, and the signs of the published ones, column by column."""
    paper = published_table(beside.table, beside.paper)
    source = f"{paper.title} of arXiv {paper.paper}"
    if not paper.cells:
        return f"{source[0].upper()}{source[1:]} draws this and prints no value; its claim: {paper.claim}."
    told = []
    for each in _effects(data, analysis, beside, paper):
        if math.isnan(each.measured):
            continue
        effects = each.published.values()
        beyond = sum(effect.low > 0 or effect.high < 0 for effect in effects)
        lower, higher = sum(effect.value < 0 for effect in effects), sum(effect.value > 0 for effect in effects)
        printed = f"published {lower} lower, {higher} higher, {beyond} of them beyond the chance of their questions"
        told.append(f"{each.name}: {each.told} here; {printed}")
    if not told:
        return ""
    return f"Beside {source} ({paper.claim}): {'. '.join(told)}."
