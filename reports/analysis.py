"""The numbers of a report: cells of scores, and every arm against the baseline at every operating point."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reports.comparisons import spec_for
from reports.load import RunData, SweepData
from reports.scores import Ask, RunScore, primary_ask, score, under
from reports.stats import Comparison, Estimate, compare, holm, mean_interval, two_way_interval, verdict

# Below this share of tokens outside the band in every arm, clipping did next to nothing and ranks nothing.
MIN_BAND_FRACTION = 0.001
NOT_RANKED = "not ranked"
NO_VERDICT = "no verdict"
_BOOTSTRAP_SEED = 20250808


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """One arm against the baseline at one operating point, under one decoding."""

    point: str
    treatment: str
    comparison: Comparison
    two_way: Estimate
    adjusted_p: float  # Holm over all arms x operating points of the sweep
    verdict: str  # better, worse, not resolved, no verdict or not ranked
    seeds: tuple[int, ...]  # seeds that both arms finished
    planned: int  # seeds planned for the arm


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two arms of a question that a sweep declared beside its baseline."""

    point: str
    question: str
    treatment: str
    against: str
    comparison: Comparison
    adjusted_p: float  # Holm over all contrasts of the sweep
    verdict: str
    seeds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One arm at one operating point under the primary metric."""

    point: str
    treatment: str
    planned: int
    score: Estimate
    companion: Estimate  # pass@k beside avg@k, and the other way round
    gain: Estimate  # over the supervised start, paired by seed
    per_seed: dict[int, float]
    samples: int  # a question, the fewest of its runs
    collapsed: int
    diverged: int
    missing: tuple[str, ...]  # "seed 3: failed: ..." for each run without a score


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Everything a report says in numbers."""

    ask: Ask
    cells: dict[tuple[str, str], Cell]
    versus: list[Versus]  # under the declared primary metric
    contrasts: list[Contrast]  # under the primary metric
    by_decoding: dict[str, list[Versus]]  # the same comparison under every decoding that was evaluated
    metrics: dict[str, str]  # decoding -> metric, as greedy decoding has one sample
    unranked: dict[str, str]  # operating point -> why its objectives are not ranked
    starts: dict[str, Estimate]  # the supervised checkpoints of an operating point
    unscored: list[tuple[RunData, str]]  # runs that ended well and still have no score, and why


def analyse(data: SweepData) -> Analysis:
    """Compute all of it from stored rows; RunStoreError when the plan's metric cannot be computed."""
    ask = primary_ask(data)
    treatments, points = list(data.plan.treatments), list(data.plan.points)
    unranked = {point: reason for point in points if (reason := _why_unranked(data, point))}
    found = {d for run in data.runs for d in run.evaluations["decoding"].unique()} | {ask.decoding}
    asks = {decoding: under(data, ask, decoding) for decoding in sorted(found, key=_decoding_order)}
    scores = {name: {run.planned.folder: score(run, other) for run in data.runs} for name, other in asks.items()}
    by_decoding = {name: _compare_all(data, scores[name], unranked) for name in asks}
    told = scores[ask.decoding]
    return Analysis(
        ask=ask,
        cells={(p, t): _cell(data, ask, told, p, t) for p in points for t in treatments},
        versus=by_decoding[ask.decoding],
        contrasts=_contrasts(data, told),
        by_decoding=by_decoding,
        metrics={decoding: other.metric for decoding, other in asks.items()},
        unranked=unranked,
        starts={point: _start(data, ask, point) for point in points},
        unscored=[(run, why) for run in data.runs if not run.problem and (why := told[run.planned.folder].reason)],
    )


def _decoding_order(name: str) -> tuple[int, str]:
    order = ("t1.0", "t0.6_p0.95", "greedy")
    return (order.index(name) if name in order else len(order), name)


def _cell(data: SweepData, ask: Ask, told: Mapping[str, RunScore], point: str, treatment: str) -> Cell:
    runs = data.at(point, treatment)
    scores = {run.planned.seed: told[run.planned.folder] for run in runs}
    finished = {seed: found.value for seed, found in scores.items() if not found.reason}
    starts = {run.planned.seed: start for run in runs if (start := data.start_of(run)) is not None}
    gains = [value - score(starts[seed], ask.start).value for seed, value in finished.items() if seed in starts]
    return Cell(
        point=point,
        treatment=treatment,
        planned=len(runs),
        score=mean_interval(list(finished.values())),
        companion=mean_interval([score(run, ask.companion).value for run in runs]),
        gain=compare(gains).difference,
        per_seed=finished,
        samples=min((found.samples for found in scores.values() if not found.reason), default=0),
        collapsed=sum(bool(run.collapse) for run in runs),
        diverged=sum(run.diverged for run in runs),
        missing=tuple(f"seed {seed}: {found.reason}" for seed, found in scores.items() if found.reason),
    )


def _start(data: SweepData, ask: Ask, point: str) -> Estimate:
    """Level of the supervised checkpoints of a point; unknown where its arms start from different ones."""
    keys = {run.planned.sft: run for run in data.runs if run.planned.point == point}
    seeds = {run.planned.seed for run in keys.values()}
    if len(keys) > len(seeds):
        return mean_interval([])
    return mean_interval([score(data.sft[key], ask.start).value for key in keys if key in data.sft])


def _compare_all(data: SweepData, told: Mapping[str, RunScore], unranked: Mapping[str, str]) -> list[Versus]:
    """Every arm against the baseline; Holm over all of them together, also over those that are not ranked."""
    baseline = data.plan.baseline
    if baseline is None:
        return []
    found = []
    for point in data.plan.points:
        for treatment in data.plan.treatments:
            if treatment != baseline and data.at(point, treatment):
                found.append((point, treatment, *_paired(data, told, point, treatment, baseline)))
    adjusted = holm([comparison.p for _, _, comparison, _, _ in found])
    return [
        Versus(
            point=point,
            treatment=treatment,
            comparison=comparison,
            two_way=two_way,
            adjusted_p=p,
            verdict=NOT_RANKED if point in unranked else verdict(comparison.difference.value, p),
            seeds=seeds,
            planned=len(data.at(point, treatment)),
        )
        for (point, treatment, comparison, two_way, seeds), p in zip(found, adjusted, strict=True)
    ]


def _paired(
    data: SweepData, told: Mapping[str, RunScore], point: str, treatment: str, baseline: str
) -> tuple[Comparison, Estimate, tuple[int, ...]]:
    """Differences by seed and question, over the seeds that both arms finished."""

    def scores(name: str) -> dict[int, RunScore]:
        found = {run.planned.seed: told[run.planned.folder] for run in data.at(point, name)}
        return {seed: one for seed, one in found.items() if not one.reason}

    ours, theirs = scores(treatment), scores(baseline)
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    if not seeds:
        return compare([]), mean_interval([]), ()
    differences_RQ = np.stack(
        [(ours[seed].by_question - theirs[seed].by_question).to_numpy(dtype=float) for seed in seeds]
    )
    rng = np.random.default_rng(_BOOTSTRAP_SEED)
    return compare(differences_RQ.mean(axis=1)), two_way_interval(differences_RQ, rng=rng), seeds


def _contrasts(data: SweepData, told: Mapping[str, RunScore]) -> list[Contrast]:
    """The declared contrasts of which both arms were planned; Holm over them alone."""
    found = []
    for point in data.plan.points:
        for treatment, against, question in spec_for(data.plan.sweep).contrasts:
            if data.at(point, treatment) and data.at(point, against):
                comparison, _, seeds = _paired(data, told, point, treatment, against)
                found.append((point, treatment, against, question, comparison, len(seeds)))
    adjusted = holm([comparison.p for *_, comparison, _ in found])
    return [
        Contrast(
            point=point,
            question=question,
            treatment=treatment,
            against=against,
            comparison=comparison,
            adjusted_p=p,
            verdict=verdict(comparison.difference.value, p),
            seeds=seeds,
        )
        for (point, treatment, against, question, comparison, seeds), p in zip(found, adjusted, strict=True)
    ]


def _why_unranked(data: SweepData, point: str) -> str:
    """Why the objectives of a point must not be ranked: too few tokens left the band for clipping to act."""
    if not _compares_clipping(data):
        return ""
    measured = {
        t: [run.steps for run in data.at(point, t) if "band_fraction" in run.steps] for t in data.plan.treatments
    }
    frames = {treatment: steps for treatment, steps in measured.items() if steps}
    shares = [mean_interval([float(s["band_fraction"].mean()) for s in steps]).value for steps in frames.values()]
    known = [share for share in shares if not math.isnan(share)]
    if frames and not known:
        return (
            "no token with an advantage was measured after the first update of a step, as with one update per rollout, "
            "where every ratio is 1 and all clipping objectives are one"
        )
    if not known or max(known) >= MIN_BAND_FRACTION:
        return ""
    return (
        f"at most {max(known):.3%} of response tokens left the reference band in any arm "
        f"(at least {MIN_BAND_FRACTION:.1%} is needed): clipping had next to nothing to act on"
    )


def _compares_clipping(data: SweepData) -> bool:
    """Whether the arms differ in their gradient weights; arms that share one objective differ in something else."""
    curves = list(data.weights.get("weights", {}).values())
    return spec_for(data.plan.sweep).about_clipping or any(curve != curves[0] for curve in curves)
