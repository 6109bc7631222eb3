"""Controls of the harness itself: what must not differ, what must, and whether it came out so."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from klear_core.runs import schema, store
from reports.analysis import NO_VERDICT, Analysis, Versus, analyse
from reports.comparisons import spec_for
from reports.load import SweepData, load_sweep
from reports.markdown import DASH, Table, escape, interval, number
from reports.stats import ALPHA, paired_p

CONTROLS = "controls"  # the sweep
MIN_PAIRS = 20
_DRAWS = 2000
_MAX_RATE = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / _DRAWS)  # 6.0 %: the level and two Monte-Carlo standard errors
_MAX_RANDOM_GAIN = 0.03
_SEED = 20250808
_STREAM = re.compile(r"stream_\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One control: what was asked, what came out, and whether that is what must come out."""

    name: str
    kind: str  # negative or positive
    rule: str  # what passes
    found: str
    passed: bool | None  # None where it could not be asked
    raw: dict[str, float]  # the numbers in ``found``

    @property
    def told(self) -> str:
        """pass, fail or not run."""
        return "not run" if self.passed is None else "pass" if self.passed else "fail"


def control_checks(data: SweepData, analysis: Analysis) -> list[Check]:
    """Every statistical control of a sweep of controls, in the order of the report."""
    return [
        _false_positives(data, analysis),
        _verdicts_on_streams(data, analysis),
        _random_reward(data, analysis),
        _positive(data, analysis),
        *_identities(data),
    ]


def false_positive_rate(scores_SR: np.ndarray, *, rng: np.random.Generator, draws: int = _DRAWS) -> float:
    """Share of comparisons of equal arms that a paired t test at 5 % calls different.

    ``scores_SR`` holds the score of S exchangeable runs of each of R seeds.  Each draw takes two different runs of
    every seed as the two arms, at random, as any such choice is a comparison of an arm with itself.  NaN with fewer
    than two runs or two seeds.
    """
    S, R = scores_SR.shape
    if S < 2 or R < 2:
        return math.nan
    order_DRS = rng.random((draws, R, S)).argsort(axis=2)
    seeds_R = np.arange(R)
    differences_DR = scores_SR[order_DRS[..., 0], seeds_R] - scores_SR[order_DRS[..., 1], seeds_R]
    return float((paired_p(differences_DR) < ALPHA).mean())


def stream_scores(data: SweepData, analysis: Analysis) -> np.ndarray:
    """Scores [S, R] of the exchangeable arms, over the seeds that all of them finished."""
    arms = _exchangeable(data)
    cells = [analysis.cells[point, arm] for point in data.plan.points for arm in arms]
    shared = sorted(set.intersection(*[set(cell.per_seed) for cell in cells])) if cells else []
    return np.array([[cell.per_seed[seed] for seed in shared] for cell in cells]).reshape(len(cells), len(shared))


def _exchangeable(data: SweepData) -> list[str]:
    return [arm for arm in data.plan.treatments if arm == data.plan.baseline or _STREAM.fullmatch(arm)]


def _false_positives(data: SweepData, analysis: Analysis) -> Check:
    scores_SR = stream_scores(data, analysis)
    S, R = scores_SR.shape
    pairs = S // 2 * R
    rate = false_positive_rate(scores_SR, rng=np.random.default_rng(_SEED))
    spread = float(scores_SR.std(axis=0, ddof=1).mean()) if S > 1 and R else math.nan
    told = (
        f"{rate:.1%} of {_DRAWS:,} comparisons over {R} seeds, out of {pairs} disjoint pairs; runs of a seed that "
        f"differ in their random numbers alone have a standard deviation of {spread:.3f}"
        if not math.isnan(rate)
        else f"{S} exchangeable runs of {R} seeds"
    )
    enough = not math.isnan(rate) and pairs >= MIN_PAIRS
    return Check(
        name="A/A: the same arm with other random numbers",
        kind="negative",
        rule=(
            f"called different in at most {_MAX_RATE:.1%} of comparisons, from at least {MIN_PAIRS} pairs (equal arms "
            "exceed that in one sweep out of nine, as so few runs are drawn from)"
        ),
        found=told,
        passed=rate <= _MAX_RATE if enough else None,
        raw={"rate": rate, "pairs": pairs, "seeds": R, "streams": S, "deviation": spread},
    )


def _verdicts_on_streams(data: SweepData, analysis: Analysis) -> Check:
    rows = [row for row in analysis.versus if _STREAM.fullmatch(row.treatment)]
    known = [row for row in rows if row.verdict != NO_VERDICT]
    called = [row for row in known if row.verdict in ("better", "worse")]
    named = f": {', '.join(row.treatment for row in called)}" if called else ""
    return Check(
        name="A/A: the verdicts of this report on those arms",
        kind="negative",
        rule="none is called better or worse; all together may fail once in 20 times by chance",
        found=f"{len(called)} of {len(known)}{named}",
        passed=not called if known else None,
        raw={"called": len(called), "compared": len(known)},
    )


def _random_reward(data: SweepData, analysis: Analysis) -> Check:
    cells = [cell for (_, arm), cell in analysis.cells.items() if arm == "random_reward"]
    gain = cells[0].gain if cells else None
    known = gain is not None and not math.isnan(gain.high)
    return Check(
        name="random reward: a fair coin teaches nothing",
        kind="negative",
        rule=f"the upper end of the accuracy's gain over the supervised start is at most +{_MAX_RANDOM_GAIN:.2f}",
        found=interval(gain, "+.3f") if gain is not None else DASH,
        passed=gain.high <= _MAX_RANDOM_GAIN if gain is not None and known else None,
        raw={"gain": gain.value, "low": gain.low, "high": gain.high} if gain is not None else {},
    )


def _positive(data: SweepData, analysis: Analysis) -> Check:
    rows: Sequence[Versus] = [row for row in analysis.versus if row.treatment == "lr_x10"]
    known = [row for row in rows if row.verdict != NO_VERDICT]
    found = known[0].comparison.difference if known else None
    told = f"{interval(found, '+.3f')}, {known[0].verdict}, Holm p {number(known[0].adjusted_p)}" if found else DASH
    return Check(
        name="ten times the learning rate",
        kind="positive",
        rule="called better or worse",
        found=told,
        passed=known[0].verdict in ("better", "worse") if known else None,
        raw={"difference": found.value, "p_holm": known[0].adjusted_p} if found else {},
    )


def _identities(data: SweepData) -> list[Check]:
    """The algebraic identities on one stored batch, one control a check and precision, over all objectives."""
    stored = store.read_identities(data.folder)
    name = "identities on one stored batch"
    if stored is None or stored.problem:
        why = stored.problem if stored is not None else f"no {schema.IDENTITIES_FILE}, which the sweep's command writes"
        rule = "two ways to compute one gradient agree"
        return [Check(name=name, kind="negative", rule=rule, found=f"{DASH} ({why})", passed=None, raw={})]
    groups: dict[tuple[str, str], list[schema.IdentityCheck]] = {}
    for check in stored.checks:
        groups.setdefault((check.name, check.dtype), []).append(check)
    ours = source_hashes(data)
    other = "; checked by other code than that of the runs" if ours and stored.source not in ours else ""
    return [_identity(name, dtype, checks, other) for (name, dtype), checks in groups.items()]


def _identity(name: str, dtype: str, checks: Sequence[schema.IdentityCheck], other: str) -> Check:
    asked = [check for check in checks if check.state != "not exercised"]
    failed = [check.objective or check.compared for check in asked if check.state == "failed"]
    differences = [check.difference for check in asked]
    largest = max(differences) if differences else math.nan
    told = f"{len(asked) - len(failed)} of {len(checks)} hold, the largest difference is {number(largest, '.1e')}"
    told += f"; not: {', '.join(failed)}" if failed else ""
    not_asked = [check.objective or check.compared for check in checks if check.state == "not exercised"]
    told += f"; not exercised by this batch: {', '.join(not_asked)}" if not_asked else ""
    return Check(
        name=f"{name}, {dtype}",
        kind="negative",
        rule=f"differs by at most {max(check.tolerance for check in checks):.0e}",
        found=told + other,
        passed=not failed if asked else None,
        raw={"largest": largest, "failed": len(failed), "asked": len(asked)},
    )


def control_table(checks: Sequence[Check]) -> Table:
    """One row a control."""
    rows = [[check.name, check.kind, check.rule, check.found, f"**{check.told}**"] for check in checks]
    raw = pd.DataFrame(
        [{"control": check.name, "kind": check.kind, "result": check.told} | check.raw for check in checks]
    )
    return Table(name="controls", header=["control", "kind", "passes when", "found", "result"], rows=rows, raw=raw)


def control_sentence(checks: Sequence[Check]) -> str:
    """How many passed, and which did not."""
    asked = [check for check in checks if check.passed is not None]
    failed = [check.name for check in asked if not check.passed]
    not_run = len(checks) - len(asked)
    told = f"{len(asked) - len(failed)} of {len(checks)} controls pass"
    told += f"; **failed**: {escape('; '.join(failed))}" if failed else ""
    return f"{told}{f'; {not_run} could not be asked' if not_run else ''}."


def linked_controls(data: SweepData, link: str) -> str:
    """What the controls beside a sweep say about its code, with a link to their report; "" for the controls themselves.

    Only controls that were run by the code that ran the sweep vouch for it.
    """
    command = "`python -m ablations.run +sweep=controls`"
    if spec_for(data.plan.sweep).about_controls or data.plan.stage != "rl":
        return ""
    root = data.folder.parent
    if not (root / CONTROLS / schema.PLAN_FILE).is_file():
        return f"Controls of the harness were not run beside this sweep: {command} runs them."
    controls = load_sweep(root, CONTROLS)
    ours, theirs = source_hashes(data), source_hashes(controls)
    if not theirs:
        return f"Controls of the harness were begun and hold no run yet: {command} goes on with them."
    if ours != theirs:
        return (
            f"The controls beside this sweep were run by other code, so they say nothing about it: move their folder "
            f"away, and {command} runs them anew."
        )
    told = control_sentence(control_checks(controls, analyse(controls)))
    return f"[Controls of the harness]({link}), run by the same code: {told}"


def source_hashes(data: SweepData) -> set[str]:
    """Hashes of the code that made the rows of a sweep's runs."""
    return {source for run in data.runs if run.status is not None for source in run.status.sources}
