"""What a paper claims, held against what was measured, by one rule for all claims."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from reports.analysis import Analysis
from reports.comparisons import spec_for
from reports.load import SweepData
from reports.markdown import DASH, Table, interval
from reports.operating_points import chosen_points
from reports.paper_items import Claim, Item
from reports.published import published_table
from reports.published.records import PublishedTable
from reports.stats import Estimate

RULE = (
    "Rule: the verdict is that of the sweep's own report (paired t over seeds, Holm over the sweep's comparisons). "
    "`as claimed`: better or worse, in the claimed direction; `against the claim`: in the other; `not resolved`: these "
    "seeds do not tell, which is no evidence of equality."
)
NOT_RUN = "not run"
_RESOLVED = {"better": 1, "worse": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A claim at one operating point of a sweep."""

    claim: Claim
    source: str  # table or figure of the paper
    sweep: str
    where: str  # the operating point in words
    published: str  # the paper's effects, benchmark by benchmark
    measured: Estimate
    verdict: str  # of the sweep's report
    outcome: str


def outcome(sign: int, verdict: str) -> str:
    """What a verdict means for a claimed sign."""
    if verdict not in _RESOLVED:
        return verdict
    if sign == 0:
        return f"{verdict}, where no direction is claimed"
    return "as claimed" if _RESOLVED[verdict] == sign else "against the claim"


def held_claims(item: Item, sweep: str, data: SweepData, analysis: Analysis) -> list[Held]:
    """Every claim of an item at every operating point of a sweep that has its arm."""
    if spec_for(sweep).choose_point:
        return _at_best(item, sweep, data, analysis)
    found = []
    for claim in item.claims:
        for point in claim.points or data.plan.points:
            row = _row(claim, point, analysis)
            if row is not None:
                printed = published_effects(item, claim, point) if sweep == item.sweep else DASH
                found.append(_held(item, claim, sweep, data.told(point), printed, *row))
    return found


def _at_best(item: Item, sweep: str, data: SweepData, analysis: Analysis) -> list[Held]:
    """The claims about the baseline where each arm has its own best settings."""
    chosen = {one.treatment: one for one in chosen_points(data, analysis)}
    told = "each arm at its own best settings"
    return [
        _held(
            item,
            claim,
            sweep,
            told,
            _drawn(item),
            chosen[claim.treatment].comparison.difference,
            chosen[claim.treatment].verdict,
        )
        for claim in item.claims
        if claim.treatment in chosen and not claim.against
    ]


def _row(claim: Claim, point: str, analysis: Analysis) -> tuple[Estimate, str] | None:
    if claim.against:
        for contrast in analysis.contrasts:
            if (contrast.point, contrast.treatment, contrast.against) == (point, claim.treatment, claim.against):
                return contrast.comparison.difference, contrast.verdict
        return None
    for versus in analysis.versus:
        if (versus.point, versus.treatment) == (point, claim.treatment):
            return versus.comparison.difference, versus.verdict
    return None


def _held(item: Item, claim: Claim, sweep: str, where: str, published: str, measured: Estimate, verdict: str) -> Held:
    return Held(
        claim=claim,
        source=_source(item),
        sweep=sweep,
        where=where,
        published=published,
        measured=measured,
        verdict=verdict,
        outcome=outcome(claim.sign, verdict),
    )


def published_effects(item: Item, claim: Claim, point: str) -> str:
    """The paper's effects of a claim in points, benchmark by benchmark; where it prints none, that."""
    table = published_table(item.name)
    for beside in spec_for(item.sweep).beside:
        ours = beside.columns.get((point, claim.treatment))
        theirs = beside.columns.get((point, claim.against or item.baseline))
        if beside.table == item.name and ours and theirs:
            effects = {name: table.effect(name, ours, theirs) for name in table.benchmarks}
            return ", ".join(f"{name} {effect.value:+.1f}" for name, effect in effects.items())
    return _drawn(item)


def _drawn(item: Item) -> str:
    table: PublishedTable = published_table(item.name)
    return "only drawn" if not table.cells else DASH


def not_run(item: Item) -> list[Held]:
    """The claims of an item whose sweep was not run."""
    unknown = Estimate(value=math.nan, low=math.nan, high=math.nan, n=0)
    return [
        _held(
            item, claim, item.sweep, "", published_effects(item, claim, next(iter(claim.points), "")), unknown, NOT_RUN
        )
        for claim in item.claims
    ]


def claim_table(held: list[Held]) -> Table:
    """One row a claim and operating point; claims whose sweep was not run have a dash and the command."""
    rows: list[list[str]] = []
    raw: list[Mapping[str, object]] = []
    for one in held:
        found = one.measured
        points = Estimate(value=100 * found.value, low=100 * found.low, high=100 * found.high, n=found.n)
        command = f"{DASH} (python -m ablations.run +sweep={one.sweep})"
        measured = command if one.verdict == NOT_RUN else interval(points, "+.1f")
        rows.append([one.source, one.claim.text, _asked_by(one), one.published, measured, f"**{one.outcome}**"])
        raw.append(
            {"source": one.source, "claim": one.claim.text, "sweep": one.sweep, "at": one.where}
            | {"published": one.published, "difference": found.value, "low": found.low, "high": found.high}
            | {"verdict": one.verdict, "outcome": one.outcome}
        )
    header = [
        "where",
        "the paper's claim",
        "asked here by",
        "published, points",
        "measured here, points [95 % t]",
        "outcome",
    ]
    return Table(name="claims", header=header, rows=rows, raw=pd.DataFrame(raw), notes=[RULE])


def _source(item: Item) -> str:
    return published_table(item.name).title.capitalize()


def _asked_by(one: Held) -> str:
    """The sweep with its operating point, where it has several."""
    return one.sweep if one.where in ("", "the only operating point") else f"{one.sweep}, {one.where}"
