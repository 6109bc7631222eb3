"""Tables of outcomes: verdicts, scores, and the same comparison under every decoding."""

import math
from collections.abc import Sequence

import pandas as pd

from reports.analysis import NO_VERDICT, Analysis, Cell, Versus
from reports.load import SweepData
from reports.markdown import DASH, Table, interval, number
from reports.stats import ALL_EQUAL, ALPHA, compare, holm


def arm_name(treatment: str, point: str) -> str:
    """An arm as its run folder is called."""
    return f"{treatment}-{point}" if point else treatment


def verdict_table(analysis: Analysis, point: str) -> Table:
    """Every arm against the baseline at one operating point."""
    rows, raw, notes = [], [], []
    for versus in _at(analysis.versus, point):
        comparison = versus.comparison
        told = versus.verdict
        if told == NO_VERDICT:
            told += ": no training-variance estimate" if versus.seeds else ": no seed has both arms"
        notes += _verdict_notes(versus, comparisons=sum(not math.isnan(v.comparison.p) for v in analysis.versus))
        rows.append(
            [
                versus.treatment,
                told,
                interval(comparison.difference, "+.3f"),
                number(comparison.p),
                number(versus.adjusted_p),
                interval(versus.two_way, "+.3f"),
                f"{number(comparison.sign_flip_p)} (floor {number(comparison.sign_flip_floor, '.4g')})",
                number(comparison.mde),
                f"{len(versus.seeds)} of {versus.planned}",
            ]
        )
        raw.append(_versus_row(versus) | {"verdict": told})
    header = [
        "arm",
        "verdict",
        "difference [95 % t interval]",
        "p",
        "p (Holm)",
        "two-way interval",
        "sign-flip p",
        "MDE",
        "seeds",
    ]
    return Table(name=file_name("verdicts", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def _verdict_notes(versus: Versus, *, comparisons: int) -> list[str]:
    """What a reader of the raw interval alone would get wrong."""
    found, name = versus.comparison.difference, arm_name(versus.treatment, versus.point)
    notes = []
    if versus.verdict == "not resolved" and (found.low > 0 or found.high < 0):
        notes.append(
            f"{name}: its 95 % interval excludes 0, but not after Holm over the {comparisons} comparisons of this "
            f"sweep (adjusted p {number(versus.adjusted_p)}), so it is not resolved."
        )
    if versus.comparison.is_constant:
        notes.append(f"{name}: {ALL_EQUAL}.")
    if len(versus.seeds) < versus.planned:
        notes.append(
            f"{name}: compared on {len(versus.seeds)} of {versus.planned} seeds, those that both arms finished; if "
            "what stopped the others depends on the arm, the difference is biased."
        )
    return notes


def _versus_row(versus: Versus) -> dict[str, object]:
    comparison = versus.comparison
    return {
        "point": versus.point,
        "treatment": versus.treatment,
        "difference": comparison.difference.value,
        "low": comparison.difference.low,
        "high": comparison.difference.high,
        "p": comparison.p,
        "p_holm": versus.adjusted_p,
        "two_way_low": versus.two_way.low,
        "two_way_high": versus.two_way.high,
        "sign_flip_p": comparison.sign_flip_p,
        "sign_flip_floor": comparison.sign_flip_floor,
        "mde": comparison.mde,
        "seeds": len(versus.seeds),
    }


def result_table(data: SweepData, analysis: Analysis, point: str) -> Table:
    """Scores of every arm at one operating point, best first marked by evidence only."""
    cells = [analysis.cells[point, treatment] for treatment in data.plan.treatments]
    marks = leaders(cells) if point not in analysis.unranked else {}
    with_rl = data.plan.stage == "rl"
    rows, raw, notes = [], [], []
    for cell in cells:
        if cell.planned == 0:
            continue
        mark = marks.get(cell.treatment, "")
        score = interval(cell.score)
        if cell.missing:
            notes.append(f"{arm_name(cell.treatment, point)}: {'; '.join(cell.missing)}.")
        if with_rl and cell.score.n and math.isnan(cell.gain.value):
            notes.append(f"{arm_name(cell.treatment, point)}: no gain, as no supervised start of it was evaluated.")
        rows.append(
            [
                f"**{cell.treatment}**" if mark == "best" else cell.treatment + (" (tied)" if mark == "tied" else ""),
                f"**{score}**" if mark == "best" else score,
                interval(cell.companion),
                *([interval(cell.gain, "+.3f"), f"{cell.collapsed} of {cell.planned}"] if with_rl else []),
                f"{cell.diverged} of {cell.planned}",
                f"{cell.score.n} of {cell.planned}",
                str(len(analysis.ask.questions)) if cell.score.n else DASH,
                str(cell.samples) if cell.score.n else DASH,
            ]
        )
        raw.append(_cell_row(cell))
    header = [
        "arm",
        f"{analysis.ask.metric} [95 % t interval]",
        analysis.ask.companion.metric,
        *(["gain over SFT", "collapsed"] if with_rl else []),
        "diverged",
        "seeds",
        "questions",
        "samples",
    ]
    if "best" in marks.values():
        notes.append("Bold: better than every other arm here by paired t tests at 5 %, Holm over the other arms.")
    if "tied" in marks.values():
        notes.append(
            "(tied): not told apart from the highest mean by a paired t test at 5 %, Holm over the other arms."
        )
    if analysis.unranked.get(point):
        notes.append(f"Not ranked: {analysis.unranked[point]}.")
    return Table(name=file_name("results", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def _cell_row(cell: Cell) -> dict[str, object]:
    return {
        "point": cell.point,
        "treatment": cell.treatment,
        "score": cell.score.value,
        "low": cell.score.low,
        "high": cell.score.high,
        "companion": cell.companion.value,
        "gain": cell.gain.value,
        "gain_low": cell.gain.low,
        "gain_high": cell.gain.high,
        "collapsed": cell.collapsed,
        "diverged": cell.diverged,
        "seeds": cell.score.n,
        "samples": cell.samples,
        "planned": cell.planned,
    } | {f"seed{seed}": score for seed, score in sorted(cell.per_seed.items())}


def leaders(cells: Sequence[Cell]) -> dict[str, str]:
    """``best`` for an arm that beats every other by a paired t test at 5 % (Holm over the others), else ``tied`` for
    the highest mean and for all that are not told apart from it. Nothing is marked with fewer than two seeds.
    """
    known = [cell for cell in cells if cell.score.n >= 2]
    if len(known) < 2:
        return {}
    top = max(known, key=lambda cell: cell.score.value)
    others = [cell for cell in known if cell is not top]
    p_values = []
    for other in others:
        seeds = sorted(top.per_seed.keys() & other.per_seed.keys())
        p_values.append(compare([top.per_seed[seed] - other.per_seed[seed] for seed in seeds]).p)
    tied = [
        other.treatment
        for other, p in zip(others, holm(p_values), strict=True)
        if not p < ALPHA  # NaN: not told apart
    ]
    return dict.fromkeys([top.treatment, *tied], "tied") if tied else {top.treatment: "best"}


def decoding_table(analysis: Analysis, point: str) -> Table:
    """The same comparison under every evaluation temperature."""
    names = list(analysis.by_decoding)
    rows, raw = [], []
    for treatment in [versus.treatment for versus in _at(analysis.versus, point)]:
        row = [treatment]
        for name in names:
            (versus,) = [v for v in _at(analysis.by_decoding[name], point) if v.treatment == treatment]
            row.append(f"{interval(versus.comparison.difference, '+.3f')} {versus.verdict}")
            raw.append({"decoding": name} | _versus_row(versus) | {"verdict": versus.verdict})
        rows.append(row)
    labels = [name if (m := analysis.metrics[name]) == analysis.ask.metric else f"{name} ({m})" for name in names]
    return Table(name=file_name("decodings", point), header=["arm", *labels], rows=rows, raw=pd.DataFrame(raw))


def _at(rows: Sequence[Versus], point: str) -> list[Versus]:
    return [row for row in rows if row.point == point]


def file_name(name: str, point: str) -> str:
    """Name of a table's CSV file, one an operating point."""
    return f"{name}-{point}" if point else name
