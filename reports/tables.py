"""The tables of a report: verdicts, scores, decodings, corners, training and cost."""

import math
from collections.abc import Sequence

import pandas as pd

from klear_core.runs.schema import CORNERS
from reports.analysis import Analysis, Cell, Versus, companion_metric
from reports.load import RunData, SweepData
from reports.markdown import DASH, Table, interval, number
from reports.stats import ALPHA, compare


def arm_name(treatment: str, point: str) -> str:
    """An arm as its run folder is called."""
    return f"{treatment}-{point}" if point else treatment


def verdict_table(analysis: Analysis, point: str) -> Table:
    """Every arm against the baseline at one operating point."""
    rows, raw = [], []
    for versus in _at(analysis.versus, point):
        comparison = versus.comparison
        told = "not ranked" if point in analysis.unranked else versus.verdict
        if math.isnan(comparison.p):
            told = "no verdict: no training-variance estimate"
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
                str(len(versus.seeds)),
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
    return Table(name=_file("verdicts", point), header=header, rows=rows, raw=pd.DataFrame(raw))


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
    rows, raw, notes = [], [], []
    for cell in cells:
        if cell.planned == 0:
            continue
        mark = marks.get(cell.treatment, "")
        score = interval(cell.score)
        if cell.missing:
            notes.append(f"{arm_name(cell.treatment, point)}: {'; '.join(cell.missing)}.")
        rows.append(
            [
                f"**{cell.treatment}**" if mark == "best" else cell.treatment + (" (tied)" if mark == "tied" else ""),
                f"**{score}**" if mark == "best" else score,
                interval(cell.companion),
                interval(cell.gain, "+.3f"),
                f"{cell.collapsed} of {cell.planned}",
                f"{cell.score.n} of {cell.planned}",
                str(analysis.questions) if cell.score.n else DASH,
                str(analysis.samples) if cell.score.n else DASH,
            ]
        )
        raw.append(_cell_row(cell))
    metric = data.plan.primary.metric
    header = [
        "arm",
        f"{metric} [95 % t interval]",
        companion_metric(metric),
        "gain over SFT",
        "collapsed",
        "seeds",
        "questions",
        "samples",
    ]
    if any(mark == "tied" for mark in marks.values()):
        notes.append("(tied): not told apart from the highest mean by a paired t test at 5 %.")
    if analysis.unranked.get(point):
        notes.append(f"Not ranked: {analysis.unranked[point]}.")
    return Table(name=_file("results", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


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
        "seeds": cell.score.n,
        "planned": cell.planned,
    } | {f"seed{seed}": score for seed, score in sorted(cell.per_seed.items())}


def leaders(cells: Sequence[Cell]) -> dict[str, str]:
    """``best`` for an arm that beats every other by a paired t test at 5 % (Holm over the others), else ``tied`` for
    the highest mean and for all that are not told apart from it. Nothing is marked with fewer than two seeds.
    """
    from reports.stats import holm

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
    return Table(name=_file("decodings", point), header=["arm", *names], rows=rows, raw=pd.DataFrame(raw))


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
    return Table(name=_file("corners", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


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
    return Table(name=_file("training", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def cost_table(data: SweepData, point: str) -> Table:
    """Seconds and tokens of a run, by phase."""
    rows, raw = [], []
    for treatment in data.plan.treatments:
        runs = [run for run in data.at(point, treatment) if not run.timings.empty]
        if not runs:
            continue
        phases = ("rollout_s", "score_s", "update_s", "eval_s")
        seconds = {name: _mean([float(run.timings[name].sum()) for run in runs]) for name in phases}
        walls = [run.manifest.wall_s for run in runs if run.manifest and run.manifest.wall_s is not None]
        tokens = _mean([float(run.steps["tokens"].iloc[-1]) for run in runs])
        wall, rate = _mean(walls), tokens / seconds["rollout_s"]
        memory = max(float(run.timings["peak_rss_mb"].max()) for run in runs)
        cells = [treatment, number(wall, ".1f"), *[number(value, ".1f") for value in seconds.values()]]
        rows.append([*cells, f"{tokens:,.0f}", f"{rate:,.0f}", f"{memory:,.0f}"])
        raw.append(
            {"point": point, "treatment": treatment, "wall_s": wall, **seconds, "tokens": tokens, "tokens_per_s": rate}
        )
    header = ["arm", "run (s)", "rollout", "scoring", "updates", "evaluation", "tokens", "tokens/s", "memory (MiB)"]
    return Table(name=_file("cost", point), header=header, rows=rows, raw=pd.DataFrame(raw))


def step_means(runs: Sequence[RunData], *, last: int | None = None) -> dict[str, float]:
    """Mean of every numeric field over (the last) steps of each run, then over runs; {} without steps."""
    frames = [run.steps.tail(last) if last else run.steps for run in runs if not run.steps.empty]
    if not frames:
        return {}
    means = pd.DataFrame([frame.select_dtypes("number").mean() for frame in frames]).mean()
    return {str(name): float(value) for name, value in means.items()}


def percent(value: float) -> str:
    """A share in percent."""
    return number(value * 100, ".2f") + (" %" if not math.isnan(value) else "")


def _at(rows: Sequence[Versus], point: str) -> list[Versus]:
    return [row for row in rows if row.point == point]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _file(name: str, point: str) -> str:
    return f"{name}-{point}" if point else name
