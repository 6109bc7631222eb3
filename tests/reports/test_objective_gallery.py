"""The picture of all objectives: one panel each, jumps without lines, and one command from an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from klear_core.errors import HarnessError
from klear_core.runs.gallery import Gallery, ObjectiveCurves, read_gallery
from reports.commands import objectives
from reports.objective_gallery import gallery_figure, gallery_markdown, with_gaps

ROOT = Path(__file__).resolve().parents[2]
RATIOS = [0.25, 0.5, 1.0, 1.28, 1.28001, 2.0, 16.0]


def curves(name, surrogate="ppo", **changes):
    values = {
        "note": "a | b",
        "params": {"clip_high": 0.28, "dual_clip": None},
        "formula": [["0", "A > 0 and r > 1 + clip_high"], ["r", ""]],
        "with_numbers": [["0", "A > 0 and r > 1.28"], ["r", ""]],
        "loss": "-r * A",
        "source": "arXiv 1",
        "positive": [0.25, 0.5, 1.0, 1.28, 0.0, 0.0, 0.0],
        "negative": RATIOS,
    }
    return ObjectiveCurves(name=name, surrogate=surrogate, **(values | changes))


def drawn(*each):
    return Gallery(ratios=RATIOS, band=[0.8, 1.28], objectives=list(each))


def titles(figure):
    return [axis.get_title(loc="left").strip() for axis in figure.axes if axis.axison]


def test_no_line_is_drawn_across_a_jump():
    x, y = with_gaps(RATIOS, curves("a").positive)
    (gap,) = np.flatnonzero(np.isnan(y))
    assert (y[gap - 1], y[gap + 1]) == (1.28, 0.0)
    assert (x[gap - 1], x[gap + 1]) == (1.28, 1.28001)
    assert not np.isnan(with_gaps(RATIOS, RATIOS)[1]).any()


def test_every_objective_has_a_panel_and_many_settings_of_one_surrogate_a_block_of_their_own():
    few = [curves("reinforce", "reinforce"), curves("a"), curves("b")]
    many = [curves(f"g{k}", "gppo", params={"beta": 1.0 - k / 4, "dual_clip": None}) for k in range(5)]
    figure = gallery_figure(drawn(*few, *many))
    assert titles(figure) == ["reinforce", "a", "b", "g0", "g0", "g1", "g2", "g3", "g4"]
    assert len(figure.subfigs) == 3
    assert all("F = 0 if A>0, r>1.28\n" in axis.texts[1].get_text() for axis in figure.axes if axis.axison)


def test_both_signs_are_in_every_panel_and_told_apart_without_colour():
    (axis,) = [axis for axis in gallery_figure(drawn(curves("a"))).axes if axis.axison]
    _, positive, negative = axis.lines
    assert positive.get_linestyle() != negative.get_linestyle()
    assert positive.get_color() != negative.get_color()


def test_the_table_has_a_row_of_five_cells_for_every_objective():
    text = gallery_markdown(drawn(curves("a"), curves("b", loss="")))
    rows = [line for line in text.splitlines() if line.startswith(("| a", "| b"))]
    assert [row.replace("\\|", "").count("|") for row in rows] == [6, 6]
    assert "0 if A>0, r>1.28; r else" in rows[0]
    assert "clip_high 0.28, dual_clip off" in rows[0]
    assert "| — |" in rows[1]


def test_a_file_that_is_no_gallery_is_one_line(tmp_path):
    (tmp_path / "f.json").write_text("{}")
    with pytest.raises(HarnessError, match="is not a gallery"):
        objectives.main(["--data", str(tmp_path / "f.json"), "--out", str(tmp_path)])


@pytest.mark.slow
def test_one_command_makes_picture_table_and_data_from_an_empty_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "reports", "objectives", "--out", "drawn"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert found == [f"objectives.{suffix}" for suffix in ("json", "md", "png", "svg")]
    names = [each.name for each in read_gallery(tmp_path / "drawn" / "objectives.json").objectives]
    presets = sorted(path.stem for path in (ROOT / "sweeps/objective").glob("*.yaml"))
    assert sorted(names) == presets
    committed = ROOT / "reports/examples/objectives/objectives.md"
    # Whoever adds an objective draws the committed picture anew.
    assert (tmp_path / "drawn" / "objectives.md").read_text() == committed.read_text()
