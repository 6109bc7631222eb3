"""Tables of what happened during training: corners, its end, its speed, its cost."""

import math
from collections.abc import Sequence
from functools import lru_cache

import pandas as pd

from klear_core.runs.schema import CORNERS
from reports.analysis import Analysis
from reports.load import RunData, SweepData
from reports.markdown import Table, interval, number
from reports.stats import mean_interval
from reports.tables import arm_name, file_name

SPEED_SHARE = 0.25
SPEED_WINDOW = 5


def corner_table(data: SweepData, point: str) -> Table:
    """What clipping did in the four corners, averaged over steps, then over seeds."""
    rows, raw = [], []
    for treatment in data.plan.treatments:
        means = step_means(data.at(point, treatment))
        if not means:
            continue
        row = [treatment, percent(means["band_fraction"])]
        for corner in CORNERS:
            shares = [means[f"corner_{corner}_{what}"] for what in ("fraction", "mass", "mass_unclipped")]
            row.append(" / ".join(percent(share) for share in shares))
        row += [number(means["entropy_inside"]), number(means["entropy_outside"]), number(means["ess"], ".4f")]
        rows.append(row)
        raw.append({"point": point, "treatment": treatment} | means)
    labels = {
        "pos_above": "A>0, r above",
        "pos_below": "A>0, r below",
        "neg_above": "A<0, r above",
        "neg_below": "A<0, r below",
    }
    header = ["arm", "outside band", *labels.values(), "entropy inside", "entropy outside", "ESS"]
    notes = ["Corner cells: share of tokens / share of the gradient used / share without clipping. Entropies in nats."]
    return Table(name=file_name("corners", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def training_table(data: SweepData, point: str) -> Table:
    """How training went at its end: entropy, length, variance within groups, gradient norms."""
    rows, raw = [], []
    for treatment in data.plan.treatments:
        runs = data.at(point, treatment)
        last = step_means(runs, last=5)
        whole = step_means(runs)
        if not last:
            continue
        rows.append(
            [
                treatment,
                number(last["reward_mean"]),
                number(last["entropy"]),
                number(last["response_tokens_mean"], ".1f"),
                percent(last["truncated_fraction"]),
                percent(last["zero_variance_groups"]),
                number(whole["grad_norm_mean"], ".2f"),
                percent(whole["clipped_updates"]),
                f"{sum(bool(run.collapse) for run in runs)} of {len(runs)}",
            ]
        )
        raw.append({"point": point, "treatment": treatment} | {f"last5_{k}": v for k, v in last.items()})
    header = [
        "arm",
        "reward",
        "entropy",
        "tokens",
        "truncated",
        "groups without variance",
        "gradient norm",
        "updates cut",
        "collapsed",
    ]
    notes = [
        "Means of the last 5 steps, gradient norm and cut updates of all steps; entropy in nats a token.",
        *[
            f"Collapsed: {arm_name(r.planned.treatment, point)} seed {r.planned.seed}, {r.collapse}."
            for r in data.runs
            if r.collapse and r.planned.point == point
        ],
    ]
    return Table(name=file_name("training", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def speed_table(data: SweepData, analysis: Analysis, point: str) -> Table:
    """How fast training went beside where it ended: area under the curve, and what a threshold cost."""
    start = analysis.starts[point].value
    # A quarter of the way from the start to 1: fixed by the start alone, so no arm has a say in it.
    threshold = start + SPEED_SHARE * (1 - start)
    rows, raw = [], []
    for treatment in data.plan.treatments:
        runs = [run for run in data.at(point, treatment) if "correct_fraction" in run.steps]
        if not runs:
            continue
        area = mean_interval([float(run.steps["correct_fraction"].mean()) for run in runs])
        reached = [row for run in runs if (row := _first_above(run.steps, threshold)) is not None]
        means = {name: mean([float(row[name]) for row in reached]) for name in ("step", "updates", "tokens")}
        cells = [number(means["step"], ".1f"), number(means["updates"], ",.0f"), number(means["tokens"], ",.0f")]
        rows.append([treatment, interval(area), f"{len(reached)} of {len(runs)}", *cells])
        raw.append(
            {"point": point, "treatment": treatment, "area": area.value, "area_low": area.low, "area_high": area.high}
            | {"threshold": threshold, "reached": len(reached), "runs": len(runs), **means}
        )
    header = ["arm", "training accuracy, mean over all steps", "reached", "steps", "updates", "tokens"]
    told = (
        f"{number(threshold)}, a quarter of the way from the supervised start to 1"
        if not math.isnan(start)
        else "unknown"
    )
    notes = [
        f"Reached: runs whose training accuracy, averaged over {SPEED_WINDOW} steps, came to {told}; the costs are "
        "means over these runs only."
    ]
    return Table(name=file_name("speed", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def _first_above(steps: pd.DataFrame, threshold: float) -> pd.Series | None:
    smooth = steps["correct_fraction"].rolling(SPEED_WINDOW).mean()
    reached = steps[smooth >= threshold]
    return reached.iloc[0] if len(reached) else None


def cost_table(data: SweepData, point: str) -> Table:
    """Seconds, samples and tokens of a run, by phase; runs that left no steps or no timings are left out."""
    rows, raw = [], []
    for treatment in data.plan.treatments:
        runs = [run for run in data.at(point, treatment) if len(run.timings) and len(run.steps)]
        if not runs:
            continue
        phases = ("rollout_s", "score_s", "update_s", "eval_s")
        seconds = {name: mean([float(run.timings[name].sum()) for run in runs]) for name in phases}
        walls = [run.wall_s for run in runs if not math.isnan(run.wall_s)]
        tokens = mean([float(run.steps["tokens"].iloc[-1]) for run in runs])
        samples = mean([float(run.steps["samples"].iloc[-1]) for run in runs])
        rate = tokens / seconds["rollout_s"] if seconds["rollout_s"] > 0 else math.nan
        memory = max(float(run.timings["peak_rss_mb"].max()) for run in runs)
        cells = [treatment, number(mean(walls), ".1f"), *[number(value, ".1f") for value in seconds.values()]]
        rows.append([*cells, *[number(value, ",.0f") for value in (samples, tokens, rate, memory)], str(len(runs))])
        totals = {"samples": samples, "tokens": tokens, "tokens_per_s": rate, "memory_mb": memory, "runs": len(runs)}
        raw.append({"point": point, "treatment": treatment, "wall_s": mean(walls), **seconds, **totals})
    costs = ["run (s)", "rollout (s)", "scoring (s)", "updates (s)", "evaluation (s)", "samples", "tokens", "tokens/s"]
    header = ["arm", *costs, "memory (MiB)", "runs"]
    notes = [
        "Means over runs, memory the largest of them; tokens/s counts sampled tokens over the seconds of sampling."
    ]
    return Table(name=file_name("cost", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def step_means(runs: Sequence[RunData], *, last: int | None = None) -> dict[str, float]:
    """Mean of every numeric field over (the last) steps of each run, then over runs; {} without steps."""
    found = [_means_of(run, last) for run in runs if not run.steps.empty]
    if not found:
        return {}
    return {str(name): float(value) for name, value in pd.DataFrame(found).mean().items()}


@lru_cache(maxsize=8192)
def _means_of(run: RunData, last: int | None) -> pd.Series:
    """Kept, as several tables and figures ask for it."""
    means: pd.Series = (run.steps.tail(last) if last else run.steps).select_dtypes("number").mean()
    return means


def percent(value: float) -> str:
    """A share in percent."""
    return number(value * 100, ".2f") + (" %" if not math.isnan(value) else "")


def mean(values: Sequence[float]) -> float:
    """Mean, NaN of nothing."""
    return sum(values) / len(values) if values else math.nan
