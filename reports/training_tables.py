"""Tables of what happened during training: corners, its end, its speed, its cost."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from klear_core.runs.schema import CORNERS
from reports.analysis import Analysis
from reports.curves import area_under_curve, cost_of_reaching
from reports.load import RunData, SweepData
from reports.markdown import Table, interval, number
from reports.stats import Estimate, mean_interval
from reports.tables import arm_name, file_name

SPEED_SHARE = 0.25
SPEED_WINDOW = 5
TRAINING_PHASES = ("rollout_s", "reward_s", "score_s", "update_s")  # seconds of training, without evaluation
AXES = ("samples", "tokens", "updates", "seconds")


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
    """How fast training went, whatever it is counted in: accuracy at the end, and its mean up to the same cost."""
    curves = {treatment: _curves(data, point, treatment) for treatment in data.plan.treatments}
    done = {treatment: _curves(data, point, treatment, finished=True) for treatment in data.plan.treatments}
    spent = [{axis: curve[axis][-1] for axis in AXES} for by_seed in done.values() for curve in by_seed.values()]
    budgets = {axis: min((s[axis] for s in spent if math.isfinite(s[axis])), default=math.nan) for axis in AXES}
    areas = {
        treatment: {seed: {axis: _area(curve, axis, budgets[axis]) for axis in AXES} for seed, curve in by_seed.items()}
        for treatment, by_seed in curves.items()
    }
    theirs = areas.get(data.plan.baseline or "", {})
    rows, raw = [], []
    for treatment, by_seed in areas.items():
        if not by_seed:
            continue
        end = mean_interval([curve["correct_fraction"][-SPEED_WINDOW:].mean() for curve in done[treatment].values()])
        means = {axis: mean_interval([area[axis] for area in by_seed.values()]) for axis in AXES}
        shared = [seed for seed in by_seed if seed in theirs and treatment != data.plan.baseline]
        gap = mean_interval([by_seed[seed]["tokens"] - theirs[seed]["tokens"] for seed in shared])
        shown = [interval(end), *[interval(found) for found in means.values()], interval(gap, "+.3f")]
        rows.append([treatment, *shown, f"{means['tokens'].n} of {len(data.at(point, treatment))}"])
        row: dict[str, object] = {"point": point, "treatment": treatment, "runs": len(by_seed)}
        row |= _columns("end", end)
        for axis, found in means.items():
            row |= {f"{axis}_until": budgets[axis]} | _columns(f"{axis}_area", found)
        raw.append(row | _columns("difference", gap))
    until = ", ".join(f"{number(budget, ',.0f')} {axis}" for axis, budget in budgets.items())
    header = ["arm", "at the end", *[f"mean over {axis}" for axis in AXES], "over tokens, minus baseline", "runs"]
    notes = [
        f"Training accuracy: of the last {SPEED_WINDOW} steps of finished runs, and the area under its curve divided "
        f"by the cost, up to the least that a finished run of any arm here spent: {until}. Seconds leave out "
        "evaluation. 95 % t intervals over seeds, the difference paired by seed, none corrected: a secondary look. "
        "Runs: those that spent as much.",
    ]
    return Table(name=file_name("speed", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def threshold_table(data: SweepData, analysis: Analysis, point: str) -> Table:
    """What it cost to come to a threshold, and how many runs did."""
    start = analysis.starts[point].value
    # A quarter of the way from the start to 1: fixed by the start alone, so no arm has a say in it.
    threshold = start + SPEED_SHARE * (1 - start)
    rows, raw = [], []
    for treatment in data.plan.treatments:
        curves = list(_curves(data, point, treatment).values())
        if math.isnan(threshold) or not curves:
            continue
        found = {
            axis: [cost_of_reaching(c[axis], c["correct_fraction"], threshold, window=SPEED_WINDOW) for c in curves]
            for axis in AXES
        }
        reached = sum(crossing.reached for crossing in found["tokens"])
        cells = []
        row: dict[str, object] = {"point": point, "treatment": treatment, "threshold": threshold, "reached": reached}
        row["runs"] = len(curves)
        for axis, crossings in found.items():
            censored = not all(crossing.reached for crossing in crossings)
            costs = [crossing.cost for crossing in crossings]
            # Without the cost of one run, that of all is not known.
            told = mean_interval([] if any(math.isnan(cost) for cost in costs) else costs)
            form = ",.1f" if axis == "seconds" else ",.0f"
            # A run that never came there counts with all that it spent, so their mean can only be too small.
            cells.append(f"at least {number(told.value, form)}" if censored and told.n else interval(told, form))
            low, high = (math.nan, math.nan) if censored else (told.low, told.high)
            row |= {axis: told.value, f"{axis}_low": low, f"{axis}_high": high, f"{axis}_is_lower_bound": censored}
        raw.append(row)
        rows.append([treatment, f"{reached} of {len(curves)}", *cells])
    notes = [
        f"Reached: training accuracy, averaged over {SPEED_WINDOW} steps, came to {number(threshold)}, a quarter of "
        "the way from the supervised start to 1; the cost is read off the straight line between two steps, with 95 % t "
        "intervals over seeds. At least: some runs never came there and count with all that they spent.",
    ]
    header = ["arm", "reached", *AXES]
    return Table(name=file_name("threshold", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


@lru_cache(maxsize=8192)
def learning_curve(run: RunData) -> dict[str, np.ndarray]:
    """Training accuracy by step beside what it had cost by then, one array each of ``AXES``.

    Seconds are those of training without evaluation, NaN from the first step on whose timings are missing.  Kept, as
    several tables ask for it.
    """
    curve = {name: run.steps[name].to_numpy(dtype=float) for name in (*AXES[:3], "correct_fraction")}
    spent: dict[int, float] = {}
    if not run.timings.empty:
        spent = dict(zip(run.timings["step"], training_seconds(run), strict=True))
    return curve | {"seconds": np.cumsum([spent.get(step, math.nan) for step in run.steps["step"]])}


def training_seconds(run: RunData) -> np.ndarray:
    """[T]: seconds of training of every row of the timings."""
    return np.asarray(np.sum([run.timings[name].to_numpy(dtype=float) for name in TRAINING_PHASES], axis=0))


def _curves(data: SweepData, point: str, treatment: str, *, finished: bool = False) -> dict[int, dict[str, np.ndarray]]:
    """The learning curve of every seed that left one (and came to its end)."""
    runs = [run for run in data.at(point, treatment) if "correct_fraction" in run.steps]
    return {run.planned.seed: learning_curve(run) for run in runs if not (finished and run.problem)}


def _columns(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _area(curve: Mapping[str, np.ndarray], axis: str, budget: float) -> float:
    return area_under_curve(curve[axis], curve["correct_fraction"], until=budget)


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
    names = list(dict.fromkeys(name for means in found for name in means))
    means_RF = np.array([[means.get(name, math.nan) for name in names] for means in found])
    return dict(zip(names, _known_means(means_RF).tolist(), strict=True))


@lru_cache(maxsize=8192)
def _means_of(run: RunData, last: int | None) -> dict[str, float]:
    """Kept, as several tables and figures ask for it."""
    names, values_TF = _numbers(run)
    return dict(zip(names, _known_means(values_TF[-last if last else 0 :]).tolist(), strict=True))


@lru_cache(maxsize=8192)
def _numbers(run: RunData) -> tuple[list[str], np.ndarray]:
    """Names of the numeric fields of the steps, and their values [T, F]."""
    frame = run.steps.select_dtypes("number")
    return [str(name) for name in frame.columns], frame.to_numpy(dtype=float)


def _known_means(values_TF: np.ndarray) -> np.ndarray:
    """[F]: mean of every column without its NaN, NaN where a column holds nothing else."""
    known_TF = ~np.isnan(values_TF)
    counts_F = known_TF.sum(axis=0)
    sums_F = np.where(known_TF, values_TF, 0.0).sum(axis=0)
    return np.asarray(np.divide(sums_F, counts_F, out=np.full(len(sums_F), math.nan), where=counts_F > 0))


def percent(value: float) -> str:
    """A share in percent."""
    return number(value * 100, ".2f") + (" %" if not math.isnan(value) else "")


def mean(values: Sequence[float]) -> float:
    """Mean, NaN of nothing."""
    return sum(values) / len(values) if values else math.nan
