"""Figures of a report on supervised runs: losses, and the difference of two arms over a grid of operating points."""

import math

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from reports.analysis import Analysis, Versus
from reports.comparisons import spec_for
from reports.heat import HeatCell, draw_heat
from reports.load import RunData, SweepData
from reports.panels import NO_CURVE, Curve, band, colour, legend, panel_title, wrapped_panels

_SMOOTHED = 10  # updates whose losses are averaged, as single ones hide the trend


def loss_figure(data: SweepData, analysis: Analysis) -> Figure | None:
    """Training loss of every arm, mean and range over seeds."""
    if all(run.steps.empty for run in data.runs):
        return None
    figure, axes = wrapped_panels(data, width=4.2, height=2.8)
    for axis, point in zip(axes, data.plan.points, strict=True):
        for arm in data.plan.treatments:
            band(axis, _loss, data.at(point, arm), "step", colour(data, arm), arm)
        axis.set_title(panel_title(data, point), fontsize=10)
        axis.set_xlabel("update")
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    figure.supylabel("loss (nats a token)", fontsize=10)
    legend(figure)
    return figure


def _loss(run: RunData, column: str) -> Curve:
    if run.steps.empty:
        return NO_CURVE
    smooth = run.steps["loss"].astype(float).rolling(_SMOOTHED, min_periods=1).mean()
    return run.steps[column].to_numpy(dtype=float), smooth.to_numpy()


def grid_figure(data: SweepData, analysis: Analysis) -> Figure | None:
    """The difference to the baseline as a map, for sweeps that declare the two settings of its axes."""
    axes_of = spec_for(data.plan.sweep).grid
    if axes_of is None or not analysis.versus:
        return None
    cells = {point: grid_place(data.told(point), axes_of) for point in data.plan.points}
    rows, columns = (list(dict.fromkeys(place[k] for place in cells.values())) for k in (0, 1))
    arms = [arm for arm in data.plan.treatments if arm != data.plan.baseline]
    size = (max(5.0, 1.6 * len(columns) * len(arms) + 1.6), 1.1 * len(rows) + 1.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(arms), squeeze=False)[0]
    known = [versus.comparison.difference.value for versus in analysis.versus]
    largest = max((abs(value) for value in known if not math.isnan(value)), default=1.0)
    for axis, arm in zip(panels, arms, strict=True):
        found = {cells[versus.point]: _heat_cell(versus) for versus in analysis.versus if versus.treatment == arm}
        draw_heat(axis, found, rows, columns, low=-largest, high=largest, cmap="PuOr")
        axis.set(xlabel=axes_of[1][0], ylabel=axes_of[0][0], title=f"{arm} - {data.plan.baseline}")
    figure.colorbar(panels[0].images[0], ax=list(panels), label=analysis.ask.metric)
    return figure


def _heat_cell(versus: Versus) -> HeatCell:
    found = versus.comparison.difference
    bounds = "" if math.isnan(found.low) else f"\n[{found.low:+.3f}, {found.high:+.3f}]"
    return HeatCell(value=found.value, told="" if math.isnan(found.value) else f"{found.value:+.3f}{bounds}")


def grid_place(told: str, axes_of: tuple[tuple[str, str], tuple[str, str]]) -> tuple[str, str]:
    """Values of the two settings at an operating point, out of its words ``key = value, key = value``."""
    values = dict(part.split(" = ", 1) for part in told.split(", ") if " = " in part)
    return values.get(axes_of[0][1], ""), values.get(axes_of[1][1], "")
