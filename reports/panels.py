"""Panels of figures: one per operating point, one colour per arm throughout, one legend below."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from reports.load import RunData, SweepData

# Okabe and Ito's palette: told apart by readers with any colour vision.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
_MOST_COLUMNS = 4  # beside each other in a figure that may wrap

Curve = tuple[np.ndarray, np.ndarray]  # positions and values, one a step
NO_CURVE: Curve = (np.empty(0), np.empty(0))
Series = Callable[[RunData, str], Curve]


def panels(data: SweepData, *, width: float, height: float, rows: int = 1, sharex: bool = True) -> tuple[Figure, Any]:
    """A figure with one column per operating point; axes [points], or [rows][points] with several rows."""
    columns = len(data.plan.points)
    figure = Figure(figsize=(max(5.0, width * columns), height), layout="constrained")
    axes = figure.subplots(rows, columns, sharey="row", sharex="row" if sharex else False, squeeze=False)
    return figure, axes[0] if rows == 1 else axes


def wrapped_panels(data: SweepData, *, width: float, height: float) -> tuple[Figure, list[Any]]:
    """A figure with one panel per operating point, in rows of equal length when they are many."""
    count = len(data.plan.points)
    rows = -(-count // _MOST_COLUMNS)
    columns = -(-count // rows)
    figure = Figure(figsize=(max(5.0, width * columns), height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for spare in axes.flat[count:]:
        spare.set_axis_off()
    return figure, list(axes.flat[:count])


def legend(figure: Figure) -> None:
    """One legend below all panels, where it hides no data; an arm may be absent from some panels."""
    found: dict[str, Any] = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=4, fontsize=9, frameon=False)


def curve_grid(data: SweepData, rows: Sequence[tuple[str, Series]], column: str, label: str) -> Figure | None:
    """Curves of all arms, one row a series (named), against a column of the steps; None without any step."""
    if all(run.steps.empty for run in data.runs):
        return None
    points = list(data.plan.points)
    figure, axes = panels(data, width=4.2, height=2.1 * len(rows), rows=len(rows))
    for k, (name, series) in enumerate(rows):
        for axis, point in zip(axes[k], points, strict=True):
            for arm in data.plan.treatments:
                band(axis, series, data.at(point, arm), column, colour(data, arm), arm)
            if k == 0:
                axis.set_title(data.told(point), fontsize=10)
            if k == len(rows) - 1:
                axis.set_xlabel(label)
        axes[k][0].set_ylabel(name)
    legend(figure)
    return figure


def band(axis: Any, series: Series, runs: Sequence[RunData], column: str, colour: str, label: str) -> None:
    """Mean over seeds with the range that the seeds span."""
    found = [curve for run in runs if len((curve := series(run, column))[0])]
    if not found:
        return
    x_RT, values = _stack(found)
    # A collapsed run has steps without any token to measure, a failed run ends early; the others still show there.
    shown = np.isfinite(values).any(axis=0)
    # Runs of one arm differ in their tokens and seconds; their mean position at each step is the x of the curve.
    x, values = np.nanmean(x_RT[:, shown], axis=0), values[:, shown]
    outline = np.concatenate([np.nanmin(values, axis=0), np.nanmax(values, axis=0)[::-1]])
    shade = Polygon(np.column_stack([np.concatenate([x, x[::-1]]), outline]), color=colour, alpha=0.13, linewidth=0)
    # Not fill_between: for its collection the axes find their limits anew, which takes longer than all the rest.
    axis.add_artist(shade)
    axis.update_datalim(shade.get_xy())
    axis.plot(x, np.nanmean(values, axis=0), color=colour, label=label, linewidth=1.5)


def _stack(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Positions and values of curves as [R, T], NaN after the end of a shorter one."""
    shape = (len(curves), max(len(x_T) for x_T, _ in curves))
    x_RT, values_RT = np.full(shape, math.nan), np.full(shape, math.nan)
    for k, (x_T, values_T) in enumerate(curves):
        x_RT[k, : len(x_T)] = x_T
        values_RT[k, : len(x_T)] = values_T
    return x_RT, values_RT


def colour(data: SweepData, treatment: str) -> str:
    """The colour of an arm in every figure of a report."""
    names = list(data.plan.treatments)
    return _PALETTE[names.index(treatment) % len(_PALETTE)] if treatment in names else "0.5"


def panel_title(data: SweepData, point: str) -> str:
    """An operating point in words, one setting a line where there are several, so that panels do not run together."""
    return data.told(point).replace(", ", "\n")
