"""Each arm at its own best operating point: chosen on the validation questions, then read on the test questions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.figure import Figure

from reports.analysis import Analysis, Cell
from reports.comparisons import spec_for
from reports.heat import HeatCell, draw_heat
from reports.load import SweepData
from reports.markdown import DASH, Table, escape, interval, number
from reports.scores import asked_questions, score
from reports.sft_figures import grid_place
from reports.stats import Comparison, Estimate, compare, holm, mean_interval, verdict

_CHOSEN_ON = "validation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """An arm at the operating point that it does best at on the validation questions."""

    treatment: str
    point: str  # "" with a reason
    reason: str  # why none was chosen
    validation: Estimate  # there, over seeds
    test: Estimate
    per_seed: Mapping[int, float]  # test
    comparison: Comparison  # with the baseline at its own best point, paired by seed
    adjusted_p: float  # Holm over the arms
    verdict: str
    collapsed: int  # runs over all operating points
    below_floor: int  # runs over all operating points
    planned: int


def validation_scores(data: SweepData, analysis: Analysis) -> dict[tuple[str, str], Estimate]:
    """Mean accuracy on the validation questions at the last step, by (point, treatment); NaN where a seed has none."""
    ask = replace(analysis.ask, split=_CHOSEN_ON, kind="avg", k=1, questions=asked_questions(data, _CHOSEN_ON))
    found = {}
    for point in data.plan.points:
        for treatment in data.plan.treatments:
            scores = [score(run, ask) for run in data.at(point, treatment)]
            whole = bool(scores) and all(not one.reason for one in scores)
            found[point, treatment] = mean_interval([one.value for one in scores] if whole else [])
    return found


def chosen_points(data: SweepData, analysis: Analysis) -> list[Chosen]:
    """One row an arm that has runs; the baseline is held against nothing.

    A point counts when all of its seeds have a score: one that some seeds did not survive would be chosen for luck.
    """
    validation = validation_scores(data, analysis)
    best = {treatment: _best(validation, treatment) for treatment in data.plan.treatments}
    baseline = data.plan.baseline
    theirs = _test_by_seed(analysis, best.get(baseline or "", ""), baseline or "")
    gaps = {}
    for treatment, point in best.items():
        ours = _test_by_seed(analysis, point, treatment)
        shared = sorted(ours.keys() & theirs.keys()) if treatment != baseline else []
        gaps[treatment] = compare([ours[seed] - theirs[seed] for seed in shared])
    adjusted = dict(zip(gaps, holm([gap.p for gap in gaps.values()]), strict=True))
    return [
        _chosen(data, analysis, treatment, point, validation, gaps[treatment], adjusted[treatment])
        for treatment, point in best.items()
    ]


def _best(validation: Mapping[tuple[str, str], Estimate], treatment: str) -> str:
    known = {
        point: one.value for (point, arm), one in validation.items() if arm == treatment and not math.isnan(one.value)
    }
    return max(known, key=lambda point: known[point]) if known else ""


def _test_by_seed(analysis: Analysis, point: str, treatment: str) -> Mapping[int, float]:
    cell = analysis.cells.get((point, treatment))
    return cell.per_seed if cell is not None else {}


def _chosen(
    data: SweepData,
    analysis: Analysis,
    treatment: str,
    point: str,
    validation: Mapping[tuple[str, str], Estimate],
    gap: Comparison,
    adjusted_p: float,
) -> Chosen:
    cells = [cell for (_, arm), cell in analysis.cells.items() if arm == treatment]
    per_seed = _test_by_seed(analysis, point, treatment)
    return Chosen(
        treatment=treatment,
        point=point,
        reason="" if point else "at no operating point have all seeds a validation score",
        validation=validation.get((point, treatment), mean_interval([])),
        test=mean_interval(list(per_seed.values())),
        per_seed=per_seed,
        comparison=gap,
        adjusted_p=adjusted_p,
        verdict="baseline" if treatment == data.plan.baseline else verdict(gap.difference.value, adjusted_p),
        collapsed=sum(cell.collapsed for cell in cells),
        below_floor=sum(below_floor(data, cell) for cell in cells),
        planned=sum(cell.planned for cell in cells),
    )


def chosen_table(data: SweepData, analysis: Analysis) -> Table:
    """Every arm at its own best point, against the baseline at the baseline's own best point."""
    rows, raw = [], []
    found = chosen_points(data, analysis)
    for one in found:
        gap = one.comparison
        is_base = one.treatment == data.plan.baseline
        rows.append(
            [
                one.treatment,
                data.told(one.point) if one.point else f"{DASH} ({one.reason})",
                number(one.validation.value),
                interval(one.test),
                "baseline" if is_base else interval(gap.difference, "+.3f"),
                number(gap.p),
                number(one.adjusted_p),
                one.verdict,
                number(gap.mde),
                f"{one.collapsed} / {one.below_floor} of {one.planned}",
            ]
        )
        raw.append(
            {"treatment": one.treatment, "point": one.point, "validation": one.validation.value}
            | {"test": one.test.value, "test_low": one.test.low, "test_high": one.test.high, "seeds": one.test.n}
            | {"difference": gap.difference.value, "low": gap.difference.low, "high": gap.difference.high}
            | {"p": gap.p, "p_holm": one.adjusted_p, "verdict": one.verdict, "mde": gap.mde}
            | {"collapsed": one.collapsed, "below_floor": one.below_floor, "planned": one.planned}
        )
    metric = analysis.ask.metric
    header = [
        "arm",
        "its best settings",
        "validation",
        f"test {metric} [95 % t interval]",
        f"difference to {data.plan.baseline or DASH} at its best",
        "p",
        "p (Holm)",
        "verdict",
        "MDE",
        "collapsed / below floor, all settings",
    ]
    notes = [
        "Chosen by the mean accuracy on the validation questions at the last step, one choice an arm for all seeds; "
        "the test questions had no part in it. Each arm had as many settings to choose from. Paired by seed; "
        "Holm over the arms of this table. The t interval does not hold the chance in the choice itself."
    ]
    return Table(name="chosen", header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def chosen_sentence(data: SweepData, analysis: Analysis) -> str:
    """The fair comparison in words."""
    found = [one for one in chosen_points(data, analysis) if one.point]
    if not found:
        return ""
    told = "; ".join(f"{one.treatment} {number(one.test.value)} at {data.told(one.point)}" for one in found)
    decided = [one for one in found if one.verdict in ("better", "worse")]
    result = (
        "; ".join(f"{one.treatment} is {one.verdict} than {data.plan.baseline}" for one in decided)
        or f"none is told apart from {data.plan.baseline}"
    )
    losses = ", ".join(f"{one.treatment} {one.below_floor} of {one.planned}" for one in found if one.below_floor)
    collapse = f" Runs below the floor of a constant answer, over all settings: {losses}." if losses else ""
    return escape(f"Each arm at its own best settings, chosen on validation: {told}; {result}.{collapse}")


def below_floor(data: SweepData, cell: Cell) -> int:
    """Runs that know less than a constant answer: lost, whether or not they count as collapsed."""
    floor = data.plan.floors.get(cell.point)
    return 0 if floor is None else sum(value < floor.accuracy for value in cell.per_seed.values())


def heat_figure(data: SweepData, analysis: Analysis) -> Figure | None:
    """Mean test score of each arm over its two settings, a panel an arm; the chosen point is framed."""
    spec = spec_for(data.plan.sweep)
    if spec.grid is None or not spec.choose_point or not any(cell.per_seed for cell in analysis.cells.values()):
        return None
    places = {point: grid_place(data.told(point), spec.grid) for point in data.plan.points}
    columns, rows = (list(dict.fromkeys(place[k] for place in places.values())) for k in (0, 1))
    arms = list(data.plan.treatments)
    figure = Figure(figsize=(max(5.0, 2.5 * len(arms) + 1.2), 1.0 * len(rows) + 1.9), layout="constrained")
    panels = figure.subplots(1, len(arms), sharey=True, squeeze=False)[0]
    picked = {one.treatment: one.point for one in chosen_points(data, analysis)}
    known = [cell.score.value for cell in analysis.cells.values() if not math.isnan(cell.score.value)]
    for axis, arm in zip(panels, arms, strict=True):
        cells = {}
        for point, (column, row) in places.items():
            cell = analysis.cells[point, arm]
            count = below_floor(data, cell)
            lost = f"\n{count} of {cell.planned} lost" if count else ""
            told = f"{number(cell.score.value, '.2f')}{lost}"
            cells[row, column] = HeatCell(value=cell.score.value, told=told, framed=picked.get(arm) == point)
        image = draw_heat(axis, cells, rows, columns, low=min(known), high=max(known))
        axis.set(xlabel=spec.grid[0][0], title=arm)
    panels[0].set_ylabel(spec.grid[1][0])
    figure.colorbar(image, ax=list(panels), label=f"test {analysis.ask.metric}")
    return figure
