"""A map of numbers: rows by columns, each cell with its colour and its words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

_FRAME = "#D55E00"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """One place of a map; a value that is not finite has no colour."""

    value: float
    told: str
    framed: bool = False


def draw_heat(
    axis: Any,
    cells: Mapping[tuple[str, str], HeatCell],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    low: float,
    high: float,
    cmap: str = "viridis",
) -> Any:
    """Draw cells by (row, column) on the axis and return the image, for a colour bar. Letters stay readable."""
    values = np.full((len(rows), len(columns)), math.nan)
    for (row, column), cell in cells.items():
        values[rows.index(row), columns.index(column)] = cell.value
    image = axis.imshow(values, cmap=cmap, vmin=low, vmax=high, aspect="auto")
    for (row, column), cell in cells.items():
        y, x = rows.index(row), columns.index(column)
        axis.text(x, y, cell.told, ha="center", va="center", fontsize=8, color=_ink(image, cell.value))
        if cell.framed:
            box = Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, edgecolor=_FRAME, linewidth=2.5)
            axis.add_patch(box)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    axis.grid(False)
    return image


def _ink(image: Any, value: float) -> str:
    """Black or white, whichever is read better on the cell's colour (relative luminance)."""
    if not math.isfinite(value):
        return "black"
    red, green, blue, _ = image.cmap(image.norm(value))
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.45 else "white"
