"""Sentences that say what the numbers of a report show, and no more than they show; escaped for markdown."""

import math

from reports.analysis import NO_VERDICT, NOT_RANKED, Analysis, Versus
from reports.load import SweepData
from reports.markdown import escape, interval, number
from reports.stats import MIN_SEEDS
from reports.tables import arm_name
from reports.training_tables import step_means


def answers(data: SweepData, analysis: Analysis) -> list[str]:
    """The answer at every operating point, one sentence or two each."""
    return [escape(_answer(data, analysis, point)) for point in data.plan.points]


def _answer(data: SweepData, analysis: Analysis, point: str) -> str:
    where = f"At {data.told(point)}"
    if point in analysis.unranked:
        return f"{where} the objectives are not ranked: {analysis.unranked[point]}."
    versus = [row for row in analysis.versus if row.point == point]
    told = [f"{row.treatment} is {row.verdict} than {data.plan.baseline} by {_gap(row)}" for row in _decided(versus)]
    open_ = [f"{row.treatment} {_gap(row)}{_before_holm(row)}" for row in versus if row.verdict == "not resolved"]
    few = [row for row in versus if row.verdict == NO_VERDICT]
    if not versus:
        text = f"{where} nothing is compared: {_why_nothing(data, point)}"
    elif len(few) == len(versus):
        one = any(row.seeds for row in few)
        text = f"{where} there is no verdict: " + (
            "one seed gives no training-variance estimate" if one else "no seed has a score for both arms"
        )
    else:
        if open_:
            told.append(f"not resolved against {data.plan.baseline}: {', '.join(open_)}")
        if few:
            told.append(f"no verdict, fewer than two paired seeds: {', '.join(row.treatment for row in few)}")
        text = f"{where} {'; '.join(told)}"
    return f"{text}.{_collapse(data, analysis, point)}{_best_gain(data, analysis, point)}"


def _why_nothing(data: SweepData, point: str) -> str:
    if data.plan.baseline is None:
        return "no baseline is declared"
    if data.at(point, data.plan.baseline):
        return f"{data.plan.baseline} is the only arm"
    return f"the baseline {data.plan.baseline} has no run here"


def _decided(versus: list[Versus]) -> list[Versus]:
    return [row for row in versus if row.verdict in ("better", "worse")]


def _gap(row: Versus) -> str:
    return interval(row.comparison.difference, "+.3f")


def _before_holm(row: Versus) -> str:
    found = row.comparison.difference
    return f" (Holm p {number(row.adjusted_p)})" if found.low > 0 or found.high < 0 else ""


def _collapse(data: SweepData, analysis: Analysis, point: str) -> str:
    cells = [analysis.cells[point, treatment] for treatment in data.plan.treatments]
    told = ""
    for outcome in ("collapsed", "diverged"):
        counts = [(cell, int(getattr(cell, outcome))) for cell in cells]
        named = ", ".join(f"{cell.treatment} {count} of {cell.planned}" for cell, count in counts if count)
        told += f" {outcome.capitalize()} runs: {named}." if named else ""
    return told


def _best_gain(data: SweepData, analysis: Analysis, point: str) -> str:
    cells = [
        analysis.cells[point, t] for t in data.plan.treatments if not math.isnan(analysis.cells[point, t].gain.value)
    ]
    if not cells:
        return ""
    # One seed may lie anywhere, so it leads only where no arm has more.
    cells = [cell for cell in cells if cell.gain.n > 1] or cells
    best = max(cells, key=lambda cell: cell.gain.value)
    return f" The highest mean, {best.treatment}, gains {interval(best.gain, '+.3f')} over the supervised start."


def detectable(analysis: Analysis, point: str) -> str:
    """The minimum detectable effect above a table."""
    asked = [(row.treatment, row.comparison) for row in analysis.versus if row.point == point]
    known = [(name, comparison.mde) for name, comparison in asked if not math.isnan(comparison.mde)]
    if not known:
        alone = all(comparison.difference.n < MIN_SEEDS for _, comparison in asked)
        why = "one seed gives no training-variance estimate" if alone else "no differences of several seeds vary"
        return f"Minimum detectable effect: unknown, as {why}."
    listed = ", ".join(f"{name} {number(value)}" for name, value in known)
    return escape(f"Minimum detectable effect at 80 % power, 5 % level and this many seeds, before Holm: {listed}.")


def temperature(data: SweepData, analysis: Analysis) -> str:
    """Whether a verdict, or the sign of a resolved difference, changes with the decoding."""
    primary = data.plan.primary.decoding
    if len(analysis.by_decoding) < 2:
        return f"Only {primary} was evaluated, so whether the conclusion depends on the temperature is not known."
    silent = (NO_VERDICT, NOT_RANKED)
    changed, compared = [], False
    for row in analysis.versus:
        for decoding, others in analysis.by_decoding.items():
            (other,) = [o for o in others if (o.point, o.treatment) == (row.point, row.treatment)]
            if decoding == primary or row.verdict in silent or other.verdict in silent:
                continue
            compared = True
            if other.verdict != row.verdict:
                name = arm_name(row.treatment, row.point)
                changed.append(f"{name} is {row.verdict} under {primary} and {other.verdict} under {decoding}")
    if all(row.verdict == NOT_RANKED for row in analysis.versus):
        return "There is no verdict that could change: no operating point is ranked."
    if not compared:
        return "There is no verdict that could change: one seed gives no training-variance estimate."
    if not changed:
        return "No verdict changes with the decoding."
    return f"**The conclusion changes with the decoding**: {escape('; '.join(changed))}."


def entropy_of_clipped(data: SweepData) -> str:
    """Whether tokens outside the band have a higher sampling entropy than those inside, as the paper says."""
    pairs = []
    for point in data.plan.points:
        for treatment in data.plan.treatments:
            means = step_means(data.at(point, treatment))
            if means and not math.isnan(means["entropy_outside"]):
                pairs.append((arm_name(treatment, point), means["entropy_inside"], means["entropy_outside"]))
    if not pairs:
        return "No token left the band, so whether clipped tokens have high entropy cannot be seen."
    higher = sum(outside > inside for _, inside, outside in pairs)
    low = min(outside / inside for _, inside, outside in pairs)
    high = max(outside / inside for _, inside, outside in pairs)
    return (
        f"The paper holds that clipped tokens are high-entropy ones (arXiv 2508.07629). Here tokens outside the band "
        f"have a higher mean sampling entropy than those inside in {higher} of {len(pairs)} arms: {low:.1f} to "
        f"{high:.1f} times as high."
    )


def failures(data: SweepData, analysis: Analysis) -> list[str]:
    """Every run that is not done or has no score, and why."""
    stages = (("supervised start", data.sft.values()), ("", data.runs))
    told = [
        f"{stage or run.planned.arm}, seed {run.planned.seed}: {run.problem}"
        for stage, runs in stages
        for run in runs
        if run.problem
    ]
    told += [
        f"{run.planned.arm}, seed {run.planned.seed}: done, but without a score: {why}"
        for run, why in analysis.unscored
    ]
    return [escape(each) for each in told] or [f"Nothing: all {len(data.runs)} runs are done."]
