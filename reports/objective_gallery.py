"""The picture of all objectives, F(r, A) for both signs of A in one panel each, and the table beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from klear_core.runs.gallery import Gallery, ObjectiveCurves
from reports.drawing import save_figure
from reports.markdown import plain

_COLUMNS = 3
_FEW = 3  # objectives of one surrogate up to which they stand among the others
_WIDTH, _ROW = 9.0, 2.4  # inches, of the figure and of a row of panels
_HEAD, _LEGEND = 0.35, 1.25  # inches, of the line above a block and of what is above all of them
_NOTE = 54  # letters that fit above a panel
_POSITIVE, _NEGATIVE = "#0072B2", "#D55E00"  # of Okabe and Ito's palette, told apart with any colour vision
_TICKS = {"x": (0.25, 0.5, 1, 2, 4, 8, 16), "y": (0, 0.5, 1, 2, 4, 8, 16)}
_STEEPEST = 5.0  # F has slope 1 or less where it is continuous
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
    "svg.hashsalt": "objectives",  # the same file for the same data
    "svg.fonttype": "path",
}


def write_gallery(gallery: Gallery, folder: Path) -> list[Path]:
    """Write objectives.png, .svg and .md; returns their paths."""
    matplotlib.use("Agg")
    written = [folder / f"objectives{suffix}" for suffix in (".png", ".svg", ".md")]
    with matplotlib.rc_context(_STYLE):
        save_figure(gallery_figure(gallery), written[0], dpi=140)
    written[2].write_text(gallery_markdown(gallery), encoding="utf-8")
    return written


def gallery_figure(gallery: Gallery) -> Figure:
    """One objective of each kind first, then one block of panels for each surrogate with many settings."""
    blocks = _blocks(gallery.objectives)
    rows = [-(-len(block) // _COLUMNS) for _, block in blocks]
    heights = [_LEGEND, *(_ROW * count + _HEAD for count in rows)]
    figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
    head, *parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _legend(head)
    for (title, block), part, count in zip(blocks, parts, rows, strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
        axes = part.subplots(count, _COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axis, each in zip(axes.flat, block, strict=False):
            _panel(axis, gallery, each)
        for spare in axes.flat[len(block) :]:
            spare.set_axis_off()
        for row in axes:
            row[0].set_ylabel("F(r, A)")
        for k in range(min(_COLUMNS, len(block))):
            lowest = axes.flat[max(range(k, len(block), _COLUMNS))]
            lowest.set_xlabel("ratio r")
            lowest.tick_params(labelbottom=True)
    return figure


def gallery_markdown(gallery: Gallery) -> str:
    """One row an objective: its gradient weight in numbers and in names, its loss, parameters and source."""
    lines = [
        "# Policy objectives",
        "",
        "![F(r, A) of every objective](objectives.png)",
        "",
        "Every loss sends the gradient -F(r, A) A to log π of a token, with r = π / π_old and the advantage A, so that",
        "F is the whole difference between them. Curves are measured by autograd of the loss itself.",
        "",
        "| objective | F(r, A) | parameters | loss | source |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in gallery.objectives:
        params = ", ".join(f"{name} {'off' if v is None else f'{v:g}'}" for name, v in each.params.items())
        named = f"{plain(each.name)}: {plain(each.note)}" if each.note else plain(each.name)
        cells = (named, "; ".join(_formula(each.with_numbers)), plain(params) or "none", each.loss, each.source)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') or '—' for cell in cells)} |")
    lines += ["", "The same weights with the names of their parameters:", ""]
    for surrogate, formula in {each.surrogate: each.formula for each in gallery.objectives}.items():
        lines.append(f"- {plain(surrogate)}: F = {'; '.join(_formula(formula)) or '—'}")
    return "\n".join(lines) + "\n"


def _blocks(objectives: Sequence[ObjectiveCurves]) -> list[tuple[str, list[ObjectiveCurves]]]:
    """The panels of each block with its title; of a surrogate with many settings the first block holds the first."""
    families: dict[str, list[ObjectiveCurves]] = {}
    for each in objectives:
        families.setdefault(each.surrogate, []).append(each)
    first = [each for family in families.values() for each in (family if len(family) <= _FEW else family[:1])]
    large = [(f"{name}, {_varied(family)}", family) for name, family in families.items() if len(family) > _FEW]
    return [("The methods", first), *large]


def _varied(family: Sequence[ObjectiveCurves]) -> str:
    """What differs within a family, as rows and columns where its panels are such a grid."""
    values = {name: list(dict.fromkeys(each.params.get(name) for each in family)) for name in family[0].params}
    told = [
        f"{name} {', '.join('off' if value is None else f'{value:g}' for value in found)}"
        for name, found in values.items()
        if len(found) > 1
    ]
    sizes = [len(found) for found in values.values() if len(found) > 1]
    if len(sizes) == 2 and sizes[1] == _COLUMNS and len(family) == sizes[0] * sizes[1]:
        return f"rows: {told[0]}; columns: {told[1]}"
    return "; ".join(told)


def _panel(axis: Any, gallery: Gallery, each: ObjectiveCurves) -> None:
    axis.axvspan(*gallery.band, color="0.92", zorder=0, linewidth=0)
    axis.plot(gallery.ratios, gallery.ratios, color="0.75", linewidth=0.8, zorder=1)
    for curve, shade, style in ((each.positive, _POSITIVE, "-"), (each.negative, _NEGATIVE, (0, (3.5, 1.6)))):
        x, y = with_gaps(gallery.ratios, curve)
        axis.plot(x, y, color=shade, linestyle=style, linewidth=2, zorder=3)
    axis.set_xscale("log", base=2)
    axis.set_yscale("asinh", linear_width=0.6)
    axis.set(xlim=(0.25, 16), ylim=(-0.12, 17))
    axis.set_xticks(_TICKS["x"], [f"{tick:g}" for tick in _TICKS["x"]])
    axis.set_yticks(_TICKS["y"], [f"{tick:g}" for tick in _TICKS["y"]])
    axis.minorticks_off()
    axis.tick_params(labelsize=8, length=2.5)
    axis.set_title(each.name, loc="left", fontsize=9.5, fontweight="bold", pad=14)
    note = shorten(each.note, _NOTE, placeholder=" …")
    below = axis.text(0, 1.02, note, transform=axis.transAxes, va="bottom", fontsize=7.2, color="0.35")
    below.set_in_layout(False)  # a long one would push the panels apart
    axis.text(0.03, 0.97, _text(each), transform=axis.transAxes, va="top", fontsize=8, linespacing=1.25, zorder=4)


def with_gaps(ratios: Sequence[float], curve: Sequence[float]) -> tuple[Any, Any]:
    """The curve with NaN where F jumps, so that no line is drawn across."""
    x, y = np.array(ratios), np.array(curve)
    jumps = np.flatnonzero(np.abs(np.diff(y)) > _STEEPEST * np.diff(x)) + 1
    return np.insert(x, jumps, x[jumps]), np.insert(y, jumps, np.nan)


def _text(each: ObjectiveCurves) -> str:
    lines = _formula(each.with_numbers)
    return "\n".join([f"F = {lines[0]}", *(f"      {line}" for line in lines[1:])]) if lines else ""


def _formula(cases: Sequence[Sequence[str]]) -> list[str]:
    """Cases as a reader writes them: ``1.28 if A>0, r>1.28``; the last one for all else."""
    told = []
    for value, condition in cases:
        short = condition.replace(" and ", ", ").replace(" > ", ">").replace(" < ", "<")
        last = " else" if len(cases) > 1 else ""
        told.append(f"{value} if {short}" if short else f"{value}{last}")
    return told


def _legend(part: Any) -> None:
    part.suptitle("What a token's gradient is multiplied by", x=0.01, ha="left", fontsize=13, fontweight="bold")
    told = (
        "Every loss sends −F(r, A) A to log π of a token, with the ratio r = π / π_old and the advantage A:\n"
        "F is the whole difference between the methods. The curves are measured by autograd of each loss."
    )
    part.text(0.01, 0.62, told, fontsize=9, va="top", linespacing=1.35)
    handles: Mapping[str, Any] = {
        "A > 0: tokens of better answers": Line2D([], [], color=_POSITIVE, linewidth=2),
        "A < 0: tokens of worse answers": Line2D([], [], color=_NEGATIVE, linewidth=2, linestyle=(0, (3.5, 1.6))),
        "F = r, no clipping": Line2D([], [], color="0.75", linewidth=0.8),
        "reference band": Patch(color="0.92"),
    }
    part.legend(
        handles.values(), handles.keys(), loc="lower left", ncols=4, fontsize=9, frameon=False, borderaxespad=0.2
    )
