"""Cells of a map stand where their row and column say, and their letters can be read."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from reports.heat import HeatCell, draw_heat

ROWS, COLUMNS = ("a", "b"), ("x", "y", "z")


def drawn(cells, **limits):
    axis = Figure().subplots()
    return axis, draw_heat(axis, cells, ROWS, COLUMNS, **({"low": 0.0, "high": 1.0} | limits))


def test_a_cell_stands_in_its_row_and_column_and_what_is_absent_is_empty():
    axis, image = drawn({("b", "z"): HeatCell(value=0.7, told="here", framed=True)})
    values = np.ma.filled(image.get_array(), math.nan)
    assert values[1, 2] == 0.7
    assert np.isnan(values).sum() == 5
    (text,) = axis.texts
    assert (text.get_text(), text.get_position()) == ("here", (2, 1))
    (frame,) = axis.patches
    assert frame.get_x() < 2 < frame.get_x() + frame.get_width()


@pytest.mark.parametrize("cmap", ["viridis", "PuOr"])
@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_letters_and_ground_differ_in_luminance(value, cmap):
    axis, image = drawn({("a", "x"): HeatCell(value=value, told="t")}, cmap=cmap)

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ground, ink = luminance(image.cmap(image.norm(value))), luminance(axis.texts[0].get_color())
    # The contrast that WCAG asks of large text.
    assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 3


def test_a_value_that_is_not_known_has_words_and_no_colour():
    axis, image = drawn({("a", "x"): HeatCell(value=math.nan, told="—")})
    assert np.isnan(np.ma.filled(image.get_array(), math.nan)).all()
    assert axis.texts[0].get_color() == "black"
