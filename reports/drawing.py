"""Drawing the figures of a report, as PNG and as SVG; those of a large sweep in two processes."""

import multiprocessing
import sys
import warnings
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from reports.analysis import Analysis
from reports.figures import FIGURES, OF_RL, OF_SUPERVISED
from reports.load import SweepData
from reports.markdown import CONTROL

STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "text.parse_math": False,  # a dollar sign in a name is no formula
    # Letters as outlines: an image inside a page has no fonts but the reader's, and they would run into each other.
    "svg.fonttype": "path",
    "svg.hashsalt": "",  # ids of shapes are hashes of what they draw
}
# From so many runs on the figures take longer than a second process needs to start.
MANY_RUNS = 200
_ELSEWHERE = ("curves.png", "corners.png")  # about half of the work


def write_figures(data: SweepData, analysis: Analysis, folder: Path) -> list[str]:
    """Draw every figure that the data allow, as PNG and as SVG; returns the PNGs' names in the order of the report."""
    names = OF_SUPERVISED if data.plan.stage == "sft" else OF_RL
    # Elsewhere than on Linux a process that has begun to draw cannot be forked safely.
    if len(data.runs) >= MANY_RUNS and sys.platform == "linux":
        _draw_in_two(names, data, analysis, folder)
    else:
        _draw_all(names, data, analysis, folder)
    return [name for name in names if (folder / name).is_file()]


def _draw_in_two(names: Sequence[str], data: SweepData, analysis: Analysis, folder: Path) -> None:
    """Draw some of the figures in a fork, which shares the data: sending them would take as long as drawing."""
    theirs = [name for name in names if name in _ELSEWHERE]
    other = multiprocessing.get_context("fork").Process(target=_draw_all, args=(theirs, data, analysis, folder))
    with warnings.catch_warnings():
        # Python 3.12 warns of threads. Those here are Arrow's, which nothing that draws calls.
        warnings.simplefilter("ignore", DeprecationWarning)
        other.start()
    _draw_all([name for name in names if name not in theirs], data, analysis, folder)
    other.join()
    if other.exitcode:  # drawn here, the error shows
        _draw_all(theirs, data, analysis, folder)


def _draw_all(names: Sequence[str], data: SweepData, analysis: Analysis, folder: Path) -> None:
    for name in names:
        draw(name, data, analysis, folder / name)


def draw(name: str, data: SweepData, analysis: Analysis, path: Path) -> bool:
    """Write the figure of that name to ``path``; False, and nothing written, where the data do not allow it."""
    matplotlib.use("Agg")
    with matplotlib.rc_context(STYLE):
        figure = FIGURES[name](data, analysis)
        if figure is not None:
            save_figure(figure, path)
    return figure is not None


def save_figure(figure: Figure, path: Path, *, dpi: int = 130) -> None:
    """Write a figure as PNG to ``path`` and as SVG beside it, the same bytes for the same numbers."""
    figure.savefig(path, dpi=dpi, metadata={"Software": None})
    figure.set_layout_engine("none")  # the places that were found for the one hold for the other
    drawn = StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    # Each text is in a comment beside its outlines, and a control character there makes the file no XML.
    path.with_suffix(".svg").write_text(CONTROL.sub("", drawn.getvalue()), encoding="utf-8")
