"""A paper's table beside the effects that were measured here."""

import math

import pandas as pd

from reports.analysis import Analysis
from reports.load import SweepData
from reports.markdown import DASH, Table, escape, interval
from reports.published import PublishedTable, published_table
from reports.spec import Beside

_POINTS = 100  # a paper prints percent


def beside_table(data: SweepData, analysis: Analysis, beside: Beside) -> Table:
    """Effects against the baseline: measured here, and as a paper's cells give them, benchmark by benchmark.

    Columns of the paper that were not run here have an em dash.
    """
    paper = published_table(beside.table)
    rows, raw = [], []
    for column in paper.columns:
        found = [(point, arm) for (point, arm), name in beside.columns.items() if name == column]
        base = _baseline_column(beside, data, found, column)
        if column == base or base is None:
            continue
        measured, told = _measured(analysis, found)
        effects = {name: paper.effect(name, column, base) for name in paper.rows}
        rows.append([f"{column} - {base}", told, *(interval(effect, "+.1f") for effect in effects.values())])
        raw.append(
            {"column": column, "baseline": base, "measured": measured}
            | {f"{name}_{part}": getattr(e, part) for name, e in effects.items() for part in ("value", "low", "high")}
        )
    header = ["effect, in points", "measured here", *(f"published, {name}" for name in paper.rows)]
    return Table(name=f"published-{paper.name}", header=header, rows=rows, raw=pd.DataFrame(raw), notes=_notes(paper))


def _baseline_column(beside: Beside, data: SweepData, found: list[tuple[str, str]], column: str) -> str | None:
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
    counts = ", ".join(f"{name} {q} x {s}" for name, (q, s) in paper.questions.items())
    notes = [
        f"Published: arXiv {paper.paper}, {paper.name.replace('_', ' ')}, {paper.caption}; its claim: {paper.claim}. "
        f"Questions x samples: {counts}. One training run a cell, so its interval holds the questions' chance alone: "
        "an upper bound (a question's samples may agree fully, and pairing by question, which is not published, would "
        "narrow it).",
        "Effects are compared, never levels. Mechanism check, not a reproduction: another model, other data, other "
        "questions, fewer updates, another decoding.",
    ]
    if paper.off_grid:
        listed = "; ".join(f"{cell} (nearest {value:.2f})" for cell, value in paper.off_grid.items())
        notes.append(f"Printed cells that their count of questions cannot give: {escape(listed)}.")
    return notes


def claim_sentence(data: SweepData, analysis: Analysis, beside: Beside) -> str:
    """The measured effect with its verdict, and the signs of the published ones, column by column."""
    paper = published_table(beside.table)
    told = []
    for column in paper.columns:
        found = [(point, arm) for (point, arm), name in beside.columns.items() if name == column]
        base = _baseline_column(beside, data, found, column)
        measured, text = _measured(analysis, found)
        if base is None or column == base or math.isnan(measured):
            continue
        effects = [paper.effect(name, column, base) for name in paper.rows]
        beyond = sum(effect.low > 0 or effect.high < 0 for effect in effects)
        lower, higher = sum(effect.value < 0 for effect in effects), sum(effect.value > 0 for effect in effects)
        printed = f"published {lower} lower, {higher} higher, {beyond} of them beyond the chance of their questions"
        told.append(f"{column} - {base}: {text} here; {printed}")
    if not told:
        return ""
    return f"Beside {paper.name.replace('_', ' ')} of arXiv {paper.paper} ({paper.claim}): {'. '.join(told)}."
