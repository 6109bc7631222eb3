"""Figures drawn in two processes are those of one, and an error in either is told."""

import os

import pytest

from reports import drawing
from reports.analysis import analyse
from reports.figures import FIGURES, OF_RL
from reports.load import load_sweep


def test_another_process_draws_a_part_and_what_it_cannot_draw_shows_here(write_sweep, tmp_path, monkeypatch):
    data = load_sweep(write_sweep(), "clipping")
    analysis = analyse(data)
    monkeypatch.setattr(drawing, "MANY_RUNS", 1)
    drawn = {}

    def draw(name, data, analysis, path):
        path.write_text(str(os.getpid()))
        if name == "corners.png" and drawn.get("fails"):
            raise RuntimeError("corners cannot be drawn")

    monkeypatch.setattr(drawing, "draw", draw)
    names = drawing.write_figures(data, analysis, tmp_path)
    assert names == list(OF_RL)
    pids = {name: int((tmp_path / name).read_text()) for name in names}
    elsewhere = {name for name, pid in pids.items() if pid != os.getpid()}
    assert elsewhere == set(drawing._ELSEWHERE) <= FIGURES.keys()
    drawn["fails"] = True
    with pytest.raises(RuntimeError, match="corners cannot be drawn"):
        drawing.write_figures(data, analysis, tmp_path)
