"""The figures of a report on RL runs, and the one of results that every report has."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from klear_core.runs.schema import CORNERS, REFERENCE_BAND
from reports.analysis import Analysis
from reports.comparisons import spec_for
from reports.factors import factor_figure
from reports.load import RunData, SweepData
from reports.operating_points import heat_figure
from reports.panels import (
    NO_CURVE,
    Curve,
    Series,
    band,
    colour,
    curve_grid,
    legend,
    panel_title,
    panels,
    wrapped_panels,
)
from reports.sft_figures import grid_figure, loss_figure
from reports.training_tables import step_means, training_seconds

_MARKERS = "osD^vPX*"
_LETTERS = 45  # of all names below a panel that stand side by side
_SIGNALS = ("groups with a signal", "tests passed", "gradient variance")
CAPTIONS = {
    "results.png": "Every dot is a seed, grey lines join the arms of a seed; beside them mean and 95 % t interval.",
    "curves.png": "Mean over seeds, shaded their range; from the step at which a run stopped, over those that went on.",
    "signal.png": "Share of problems with an advantage that is not 0, tests passed, and the variance of the gradient.",
    "cost_curves.png": "Validation accuracy and training reward against what they cost.",
    "corners.png": "Where tokens with an advantage left the reference band, and the share of the gradient from there.",
    "grid.png": "Difference to the baseline with its 95 % t interval, before Holm.",
    "heatmap.png": "Mean score of each arm at its settings; framed: chosen on validation; lost: runs below the floor.",
    "factors.png": "Mean score of each combination of the two settings; lost: runs below the floor.",
    "loss.png": "Training loss, mean of 10 updates; mean over seeds, shaded their range.",
    "weights.png": "The gradient weight of each objective; shaded the reference band. Curves are shifted a hair apart.",
}
OF_SUPERVISED = ("results.png", "grid.png", "loss.png")
OF_RL = (
    *("results.png", "heatmap.png", "factors.png", "curves.png", "signal.png", "cost_curves.png", "corners.png"),
    "weights.png",
)


def results_figure(data: SweepData, analysis: Analysis) -> Figure | None:
    """Every seed of every arm under the primary metric, with means, intervals, the start and the floor."""
    points = list(data.plan.points)
    if not any(cell.per_seed for cell in analysis.cells.values()):
        return None
    figure, axes = wrapped_panels(data, width=4.2, height=3.9)
    for axis, point in zip(axes, points, strict=True):
        arms = [t for t in data.plan.treatments if analysis.cells[point, t].planned]
        seeds = sorted({seed for arm in arms for seed in analysis.cells[point, arm].per_seed})
        for seed in seeds:
            # A thin line joins the arms of a seed: pairing is what makes small differences readable.
            known = [(k, analysis.cells[point, arm].per_seed.get(seed, math.nan)) for k, arm in enumerate(arms)]
            axis.plot(*zip(*known, strict=True), color="0.8", linewidth=0.8, zorder=1)
        for k, arm in enumerate(arms):
            cell, shade = analysis.cells[point, arm], colour(data, arm)
            values = list(cell.per_seed.values())
            axis.scatter([k] * len(values), values, s=22, color=shade, alpha=0.55, zorder=2, linewidths=0)
            if cell.score.n:
                error = cell.score.value - cell.score.low
                bar = None if math.isnan(error) else error
                axis.errorbar(k + 0.18, cell.score.value, yerr=bar, fmt="o", color=shade, capsize=4, zorder=3)
        _reference_lines(axis, data, analysis, point)
        baseline = data.plan.baseline
        names = [f"{arm}\n(baseline)" if arm == baseline else arm for arm in arms]
        # Long names of many arms would run into each other.
        turned = {"rotation": 30, "ha": "right"} if sum(map(len, arms)) > _LETTERS else {}
        axis.set_xticks(range(len(arms)), names, fontsize=9, **turned)
        axis.set_xlim(-0.5, len(arms) - 0.3)
        axis.set_title(panel_title(data, point), fontsize=10)
    # An interval may leave what an accuracy can be; drawn whole it would press the runs together.
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(max(low, -0.04), min(high, 1.04))
    figure.supylabel(f"{analysis.ask.metric}, {analysis.ask.split} questions", fontsize=10)
    legend(figure)
    return figure


def _reference_lines(axis: Any, data: SweepData, analysis: Analysis, point: str) -> None:
    start = analysis.starts[point].value
    if not math.isnan(start):
        axis.axhline(start, color="0.35", linestyle="--", linewidth=1, label="after SFT")
    if (floor := data.plan.floors.get(point)) is not None:
        axis.axhline(floor.accuracy, color="0.35", linestyle=":", linewidth=1, label="best constant answer")


def curves_figure(data: SweepData, analysis: Analysis) -> Figure | None:
    """Learning curves with seed bands: validation, reward, entropy, length, tokens outside the band."""
    rows = [
        (_validation_name(data), _validation(data)),
        ("training reward", _field("reward_mean")),
        ("entropy (nats)", _field("entropy")),
        ("response tokens", _field("response_tokens_mean")),
        ("tokens outside band (%)", _field("band_fraction", 100)),
    ]
    return curve_grid(data, rows, "step", "rollout step")


def signal_figure(data: SweepData, analysis: Analysis) -> Figure | None:
    """What the reward gives to learn from, for the sweeps that ask: groups, tests passed, the gradient's noise."""
    names = dict(zip(_SIGNALS, ("learning_groups", "pass_rate_mean", "gradient_variance"), strict=True))
    steps = [run.steps for run in data.runs if len(run.steps)] if spec_for(data.plan.sweep).about_reward else []
    rows = [(name, _field(field)) for name, field in names.items() if any(s[field].notna().any() for s in steps)]
    return curve_grid(data, rows, "step", "rollout step") if rows else None


def cost_curves_figure(data: SweepData, analysis: Analysis) -> Figure | None:
    """Accuracy and reward against tokens, updates and seconds: steps alone hide what they cost."""
    if all(run.steps.empty for run in data.runs):
        return None
    points = list(data.plan.points)
    reward = _field("reward_mean")
    rows = [(_validation(data), "tokens", _validation_name(data), "response tokens sampled")]
    rows += [(reward, "tokens", "training reward", "response tokens sampled")]
    rows += [(reward, "updates", "training reward", "optimizer updates")]
    if any(len(run.timings) for run in data.runs):
        rows += [(reward, "seconds", "training reward", "training seconds, without evaluation")]
    figure, axes = panels(data, width=4.2, height=2.5 * len(rows), rows=len(rows), sharex=False)
    for k, (series, column, name, label) in enumerate(rows):
        for axis, point in zip(axes[k], points, strict=True):
            for arm in data.plan.treatments:
                band(axis, series, data.at(point, arm), column, colour(data, arm), arm)
            axis.set_xlabel(label)
            axis.xaxis.set_major_formatter(EngFormatter())
            if k == 0:
                axis.set_title(data.told(point), fontsize=10)
        axes[k][0].set_ylabel(name)
    legend(figure)
    return figure


def _field(name: str, scale: float = 1.0) -> Series:
    def series(run: RunData, column: str) -> Curve:
        if name not in run.steps or (column == "seconds" and run.timings.empty):
            return NO_CURVE
        values = run.steps[name].to_numpy(dtype=float) * scale
        if column != "seconds":
            return run.steps[column].to_numpy(dtype=float), values
        # Joined by step: a run that was killed may have more rows in one file than in the other.
        spent = training_seconds(run).cumsum()
        _, here, there = np.intersect1d(run.steps["step"], run.timings["step"], return_indices=True)
        return spent[there], values[here]

    return series


def _validation(data: SweepData) -> Series:
    """Accuracy on the validation questions, from the supervised start on."""

    def series(run: RunData, column: str) -> Curve:
        if run.evaluations.empty or run.steps.empty:
            return NO_CURVE
        counts: dict[int, list[int]] = {}
        for one in (data.start_of(run), run):
            for (split, decoding, step), tally in one.tallies.items() if one is not None else ():
                if (split, decoding) == ("validation", "t1.0"):
                    count = counts.setdefault(step, [0, 0])
                    count[0] += int(tally.hits_Q.sum())
                    count[1] += int(tally.samples_Q.sum())
        scores = {step: hits / samples for step, (hits, samples) in sorted(counts.items())}
        position = {0: 0.0} | dict(zip(run.steps["step"], run.steps[column].astype(float), strict=True))
        known = [step for step in scores if column == "step" or step in position]
        at = known if column == "step" else [position[step] for step in known]
        return np.array(at, dtype=float), np.array([scores[step] for step in known])

    return series


def _validation_name(data: SweepData) -> str:
    """avg@n of the validation rows, n being the samples that they hold."""
    for run in data.runs:
        rows = run.evaluations
        rows = rows[(rows["split"] == "validation") & (rows["decoding"] == "t1.0")]
        if len(rows):
            return f"validation avg@{rows.groupby(['step', 'question']).size().min()}"
    return "validation accuracy"


def corners_figure(data: SweepData, analysis: Analysis) -> Figure | None:
    """Share of tokens and of used gradient in the four corners."""
    points = list(data.plan.points)
    means = {(p, t): step_means(data.at(p, t)) for p in points for t in data.plan.treatments}
    if not any(means.values()):
        return None
    figure, axes = panels(data, width=4.6, height=6.0, rows=2)
    arms = list(data.plan.treatments)
    labels = ["A>0\nr above", "A>0\nr below", "A<0\nr above", "A<0\nr below"]
    for row, (what, name) in enumerate((("fraction", "tokens (%)"), ("mass", "gradient used (%)"))):
        for axis, point in zip(axes[row], points, strict=True):
            for k, arm in enumerate(arms):
                if means[point, arm]:
                    heights = [100 * means[point, arm][f"corner_{corner}_{what}"] for corner in CORNERS]
                    x = np.arange(4) + (k - (len(arms) - 1) / 2) * 0.8 / len(arms)
                    axis.bar(x, heights, width=0.8 / len(arms), color=colour(data, arm), label=arm)
            axis.set_xticks(range(4), labels, fontsize=9)
            if row == 0:
                axis.set_title(data.told(point), fontsize=10)
        axes[row][0].set_ylabel(name)
    legend(figure)
    return figure


def weights_figure(data: SweepData, analysis: Analysis) -> Figure | None:
    """The gradient weight F(r, A) of every arm: the whole difference between the methods."""
    if not data.weights:
        return None
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    ratios = data.weights["ratios"]
    for axis, sign, title in ((axes[0], "positive", "A > 0"), (axes[1], "negative", "A < 0")):
        axis.axvspan(*REFERENCE_BAND, color="0.93", zorder=0)
        for k, (arm, curves) in enumerate(data.weights["weights"].items()):
            offset = 0.006 * k  # arms that agree would hide each other
            axis.plot(
                ratios,
                np.array(curves[sign]) + offset,
                color=colour(data, arm),
                label=arm,
                marker=_MARKERS[k % len(_MARKERS)],
                markevery=(3 * k, 16),
                markersize=4,
                linewidth=1.3,
            )
        axis.set(title=title, xlabel="ratio r", xlim=(0, 2.2), ylim=(-0.05, 2.2))
    axes[0].set_ylabel("gradient weight F(r, A)")
    legend(figure)
    return figure


FIGURES: dict[str, Callable[[SweepData, Analysis], Figure | None]] = {
    "results.png": results_figure,
    "grid.png": grid_figure,
    "loss.png": loss_figure,
    "heatmap.png": heat_figure,
    "factors.png": factor_figure,
    "curves.png": curves_figure,
    "signal.png": signal_figure,
    "cost_curves.png": cost_curves_figure,
    "corners.png": corners_figure,
    "weights.png": weights_figure,
}
