"""The numbers of a report: scores per run, and every arm against the baseline at every operating point."""

import math
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from klear_core.runs.schema import PrimaryMetric
from reports.load import RunData, SweepData
from reports.stats import Comparison, Estimate, compare, holm, mean_interval, pass_at_k, two_way_interval, verdict

# Below this share of tokens outside the band in every arm, clipping did next to nothing and ranks nothing.
MIN_BAND_FRACTION = 0.001
_BOOTSTRAP_SEED = 20250808


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """One arm against the baseline at one operating point, under one decoding."""

    point: str
    treatment: str
    comparison: Comparison
    two_way: Estimate
    adjusted_p: float  # Holm over all arms x operating points of the sweep
    verdict: str
    seeds: tuple[int, ...]  # seeds that both arms finished


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
    collapsed: int
    missing: tuple[str, ...]  # "seed 3: failed: ..." for each run without a score


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Everything a report says in numbers."""

    cells: dict[tuple[str, str], Cell]
    versus: list[Versus]  # under the declared primary metric
    by_decoding: dict[str, list[Versus]]  # the same comparison under every decoding
    unranked: dict[str, str]  # operating point -> why its objectives are not ranked
    start: Estimate  # the supervised checkpoints
    questions: int
    samples: int


def analyse(data: SweepData) -> Analysis:
    """Compute all of it from stored rows."""
    primary = data.plan.primary
    treatments, points = list(data.plan.treatments), list(data.plan.points)
    cells = {(p, t): _cell(data, p, t) for p in points for t in treatments}
    decodings = sorted({d for run in data.runs for d in run.evaluations["decoding"].unique()}, key=_decoding_order)
    by_decoding = {decoding: _compare_all(data, decoding) for decoding in decodings}
    starts = [score for run in data.sft.values() if not math.isnan(score := run_score(run, primary, step=0))]
    rows = next((rows for run in data.runs if len(rows := final_rows(run, primary))), pd.DataFrame())
    return Analysis(
        cells=cells,
        versus=by_decoding.get(primary.decoding, []),
        by_decoding=by_decoding,
        unranked={point: reason for point in points if (reason := _why_unranked(data, point))},
        start=mean_interval(starts),
        questions=int(rows["question"].nunique()) if len(rows) else 0,
        samples=int(rows["sample"].nunique()) if len(rows) else 0,
    )


def _decoding_order(name: str) -> tuple[int, str]:
    order = ("t1.0", "t0.6_p0.95", "greedy")
    return (order.index(name) if name in order else len(order), name)


def final_rows(
    run: RunData, primary: PrimaryMetric, *, decoding: str | None = None, step: int | None = None
) -> pd.DataFrame:
    """Evaluation rows of the primary split at the declared step."""
    rows = run.evaluations
    chosen = (rows["split"] == primary.split) & (rows["decoding"] == (decoding or primary.decoding))
    return rows[chosen & (rows["step"] == (primary.step if step is None else step))]


def question_scores(rows: pd.DataFrame, metric: str) -> pd.Series:
    """Score of each question under avg@k or pass@k: samples are averaged before anything else."""
    kind, k = re.fullmatch(r"(avg|pass)@(\d+)", metric).groups()  # type: ignore[union-attr]
    grouped = rows.groupby("question")["correct"]
    if kind == "avg":
        return grouped.mean().astype(float)
    counts = grouped.agg(["sum", "count"])
    samples = int(counts["count"].min()) if len(counts) else 0
    return pd.Series(pass_at_k(samples, counts["sum"].to_numpy(), min(int(k), samples)), index=counts.index)


def run_score(
    run: RunData, primary: PrimaryMetric, *, decoding: str | None = None, step: int | None = None, metric: str = ""
) -> float:
    """A run's mean over questions; NaN when the rows are not there or the run did not end well."""
    rows = final_rows(run, primary, decoding=decoding, step=step)
    if run.problem or rows.empty:
        return math.nan
    return float(question_scores(rows, metric or primary.metric).mean())


def companion_metric(metric: str) -> str:
    """pass@k for avg@k, and the other way round."""
    return metric.replace("avg@", "pass@") if metric.startswith("avg@") else metric.replace("pass@", "avg@")


def _cell(data: SweepData, point: str, treatment: str) -> Cell:
    primary = data.plan.primary
    runs = data.at(point, treatment)
    scores = {run.planned.seed: run_score(run, primary) for run in runs}
    finished = {seed: score for seed, score in scores.items() if not math.isnan(score)}
    companion = companion_metric(primary.metric)
    gains = [
        score - start
        for seed, score in finished.items()
        if seed in data.sft and not math.isnan(start := run_score(data.sft[seed], primary, step=0))
    ]
    return Cell(
        point=point,
        treatment=treatment,
        planned=len(runs),
        score=mean_interval(list(finished.values())),
        companion=mean_interval([run_score(run, primary, metric=companion) for run in runs]),
        gain=mean_interval(gains),
        per_seed=finished,
        collapsed=sum(bool(run.collapse) for run in runs),
        missing=tuple(
            f"seed {run.planned.seed}: {run.problem or 'no evaluation rows'}"
            for run in runs
            if run.planned.seed not in finished
        ),
    )


def _compare_all(data: SweepData, decoding: str) -> list[Versus]:
    """Every arm against the baseline; Holm over all of them together."""
    baseline = data.plan.baseline
    if baseline is None:
        return []
    found = []
    for point in data.plan.points:
        for treatment in data.plan.treatments:
            if treatment != baseline and data.at(point, treatment):
                found.append((point, treatment, *_paired(data, point, treatment, baseline, decoding)))
    adjusted = holm([comparison.p for _, _, comparison, _, _ in found])
    return [
        Versus(
            point=point,
            treatment=treatment,
            comparison=comparison,
            two_way=two_way,
            adjusted_p=p,
            verdict=verdict(comparison.difference.value, p),
            seeds=seeds,
        )
        for (point, treatment, comparison, two_way, seeds), p in zip(found, adjusted, strict=True)
    ]


def _paired(
    data: SweepData, point: str, treatment: str, baseline: str, decoding: str
) -> tuple[Comparison, Estimate, tuple[int, ...]]:
    """Differences by seed and question, over the seeds that both arms finished."""
    primary = data.plan.primary
    metric = primary.metric if decoding != "greedy" else "avg@1"

    def scores(name: str) -> dict[int, pd.Series]:
        return {
            run.planned.seed: question_scores(rows, metric)
            for run in data.at(point, name)
            if not run.problem and len(rows := final_rows(run, primary, decoding=decoding))
        }

    ours, theirs = scores(treatment), scores(baseline)
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    if not seeds:
        empty = Estimate(value=math.nan, low=math.nan, high=math.nan, n=0)
        return compare([]), empty, ()
    differences_RQ = np.stack([(ours[seed] - theirs[seed]).to_numpy(dtype=float) for seed in seeds])
    rng = np.random.default_rng(_BOOTSTRAP_SEED)
    return compare(differences_RQ.mean(axis=1)), two_way_interval(differences_RQ, rng=rng), seeds


def _why_unranked(data: SweepData, point: str) -> str:
    """Why the objectives of a point must not be ranked: too few tokens left the band for clipping to act."""
    shares = [
        float(run.steps["band_fraction"].mean())
        for run in data.runs
        if run.planned.point == point and "band_fraction" in run.steps
    ]
    known = [share for share in shares if not math.isnan(share)]
    if not known or max(known) >= MIN_BAND_FRACTION:
        return ""
    return (
        f"at most {max(known):.3%} of response tokens left the reference band in any run "
        f"(at least {MIN_BAND_FRACTION:.1%} is needed): clipping had next to nothing to act on"
    )
