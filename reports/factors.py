"""Arms that are the combinations of a few settings: what each setting does, averaged over the others."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from klear_core.runs import schema
from reports.analysis import Analysis
from reports.comparisons import spec_for
from reports.heat import HeatCell, draw_heat
from reports.load import SweepData
from reports.markdown import Table, interval, number
from reports.operating_points import below_floor
from reports.settings import stored_setting
from reports.stats import compare, holm, verdict
from reports.tables import file_name


def levels_of(data: SweepData) -> dict[str, tuple[str, ...]]:
    """Treatment -> its level of each declared factor, out of the settings stored with its runs.

    Arms without a stored config are left out.
    """
    factors = spec_for(data.plan.sweep).factors
    found: dict[str, tuple[str, ...]] = {}
    for run in data.runs:
        folder = data.folder / run.planned.folder
        if run.planned.treatment not in found and (folder / schema.CONFIG_FILE).is_file():
            found[run.planned.treatment] = tuple(_told(stored_setting(folder, key)) for _, key in factors)
    return found


def _told(value: object) -> str:
    if value is None:
        return "off"
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def factor_table(data: SweepData, analysis: Analysis, point: str) -> Table:
    """Each level of a factor against the level that the baseline has, averaged over the levels of the others.

    The difference of a seed is the mean over the pairs of arms that differ in this factor alone; t over seeds, Holm
    over the rows.
    """
    factors = spec_for(data.plan.sweep).factors
    levels = levels_of(data)
    base = levels.get(data.plan.baseline or "")
    effects = []
    if base is not None:
        arms = {place: arm for arm, place in levels.items()}
        for k, (name, _) in enumerate(factors):
            for level in dict.fromkeys(place[k] for place in levels.values()):
                if level != base[k]:
                    pairs = _pairs(arms, k, level, base[k])
                    gaps = _mean_gaps(analysis, point, pairs)
                    lost = [_lost(data, analysis, point, [pair[side] for pair in pairs]) for side in (0, 1)]
                    runs = sum(analysis.cells[point, pair[0]].planned for pair in pairs)
                    effects.append((name, level, base[k], len(pairs), compare(gaps), lost, runs))
    adjusted = holm([effect[4].p for effect in effects])
    rows, raw = [], []
    for (name, level, against, count, gap, lost, runs), p in zip(effects, adjusted, strict=True):
        told = verdict(gap.difference.value, p)
        cells = [f"{name} {level} - {against}", interval(gap.difference, "+.3f"), number(gap.p), number(p), told]
        rows.append([*cells, f"{lost[0]} against {lost[1]} of {runs}", str(count), str(gap.difference.n)])
        raw.append(
            {"factor": name, "level": level, "against": against, "difference": gap.difference.value}
            | {"low": gap.difference.low, "high": gap.difference.high, "p": gap.p, "p_holm": p, "verdict": told}
            | {"below_floor": lost[0], "below_floor_against": lost[1], "runs": runs, "pairs": count}
        )
    header = [
        "effect",
        "difference [95 % t interval]",
        "p",
        "p (Holm)",
        "verdict",
        "runs below the floor",
        "pairs",
        "seeds",
    ]
    notes = [
        "Main effects of the combinations: a seed's difference is the mean over the pairs of arms that differ in this "
        "setting alone. Holm over the rows of this table."
    ]
    return Table(name=file_name("factors", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def _lost(data: SweepData, analysis: Analysis, point: str, arms: list[str]) -> int:
    return sum(below_floor(data, analysis.cells[point, arm]) for arm in arms)


def _pairs(arms: Mapping[tuple[str, ...], str], k: int, level: str, against: str) -> list[tuple[str, str]]:
    found = []
    for place, arm in arms.items():
        other = arms.get((*place[:k], against, *place[k + 1 :]))
        if place[k] == level and other is not None:
            found.append((arm, other))
    return found


def _mean_gaps(analysis: Analysis, point: str, pairs: list[tuple[str, str]]) -> list[float]:
    """Mean over the pairs of each seed that all of their arms finished."""
    scores = [(analysis.cells[point, ours].per_seed, analysis.cells[point, theirs].per_seed) for ours, theirs in pairs]
    if not scores:
        return []
    shared = sorted(set.intersection(*[set(side) for pair in scores for side in pair]))
    return [float(np.mean([ours[seed] - theirs[seed] for ours, theirs in scores])) for seed in shared]


def factor_figure(data: SweepData, analysis: Analysis) -> Figure | None:
    """Mean score, and runs below the floor, of every combination of two factors."""
    factors, levels = spec_for(data.plan.sweep).factors, levels_of(data)
    if len(factors) != 2 or not levels or not any(cell.per_seed for cell in analysis.cells.values()):
        return None
    rows, columns = (list(dict.fromkeys(place[k] for place in levels.values())) for k in (0, 1))
    arms = {place: arm for arm, place in levels.items()}
    points = list(data.plan.points)
    size = (max(5.0, (1.5 * len(columns) + 1.8) * len(points)), 0.8 * len(rows) + 1.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(points), squeeze=False)[0]
    known = [cell.score.value for cell in analysis.cells.values() if not math.isnan(cell.score.value)]
    for axis, point in zip(panels, points, strict=True):
        cells = {}
        for (row, column), arm in arms.items():
            cell = analysis.cells[point, arm]
            told = f"{number(cell.score.value, '.2f')}\n{below_floor(data, cell)} of {cell.planned} lost"
            cells[row, column] = HeatCell(value=cell.score.value, told=told)
        image = draw_heat(axis, cells, rows, columns, low=min(known), high=max(known))
        axis.set(xlabel=factors[1][0], ylabel=factors[0][0], title=data.told(point) if len(points) > 1 else "")
    figure.colorbar(image, ax=list(panels), label=f"test {analysis.ask.metric}")
    return figure
