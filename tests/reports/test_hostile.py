"""A stored sweep whose names, notes and reasons attack every format that a report is written in."""

import json
import re
import sys
from xml.etree import ElementTree

import matplotlib
import pandas as pd
import pytest
from matplotlib.figure import Figure

from klear_core.runs import schema
from reports import __main__ as command
from reports import report as report_module
from reports.analysis import analyse
from reports.drawing import STYLE, save_figure
from reports.load import load_sweep
from reports.report import report_record
from tests.reports.test_html import Page
from tests.reports.test_latex import read

HOSTILE = (
    "=cmd() <script>alert(1)</script> | a\x1b[31m\x9b31m\u202eb ](javascript:alert(1)) ![x](http://e.example/x.png) "
    "$x$ ` &lt; \\| \\ % # ~ ^ { & @"
)


@pytest.fixture
def hostile(write_sweep, tmp_path, monkeypatch, capsys):
    """The folder of the report, and what the command says on the terminal."""
    monkeypatch.setattr(report_module, "write_figures", lambda data, analysis, folder: [])
    root = write_sweep(seeds=2, fail=("gppo-u4", 1), reason=HOSTILE)
    path = root / "clipping" / schema.PLAN_FILE
    plan = json.loads(path.read_text())
    plan["title"] = HOSTILE
    plan["points"] = dict.fromkeys(plan["points"], HOSTILE)
    plan["treatments"] = {f"{name} {HOSTILE}": HOSTILE for name in plan["treatments"]}
    plan["baseline"] = f"clip_higher {HOSTILE}"
    plan["fixed"] = {HOSTILE: HOSTILE}
    plan["command"] = HOSTILE
    for floor in plan["floors"].values():
        floor["note"] = HOSTILE
    for run in plan["runs"]:
        run["treatment"], run["arm"] = f"{run['treatment']} {HOSTILE}", f"{run['arm']} {HOSTILE}"
    path.write_text(json.dumps(plan))
    monkeypatch.setattr(sys, "argv", ["reports", "clipping", "--runs", str(root), "--out", str(tmp_path / "out")])
    command.main()
    return root, tmp_path / "out", capsys.readouterr().out


def test_no_format_lets_a_stored_text_act(hostile):
    root, out, terminal = hostile
    for path in [*out.glob("*.md"), *out.glob("*.html"), *out.glob("*.csv"), *out.glob("*.tex"), *out.glob("*.json")]:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", path.read_text()), path.name
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", terminal)

    text = (out / "report.md").read_text()
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\((?!\.\./\.\./controls/report/report\.md\))", text)
    assert not re.search(r"\$", text)

    page = Page((out / "report.html").read_text())
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert all(re.match(r"#|\.\./", link["href"]) for link in page.all("a"))

    for path in out.glob("*.csv"):
        for column in (frame := pd.read_csv(path, dtype=str, keep_default_na=False)):
            assert not [cell for cell in frame[column] if re.match(r"\s*[=@\t]", cell)], path.name

    body = re.compile(r"\\midrule\n(.*)\n\\bottomrule", flags=re.DOTALL)
    for path in out.glob("*.tex"):
        for line in body.search(path.read_text())[1].splitlines():
            for cell in re.split(r"(?<!\\)&", line.removesuffix(r" \\")):
                read(re.sub(r"---|\\text(?:bf|tt)\{|(?<!\\)\}$|^\{\}", "", cell.strip()))

    record = json.loads((out / "report.json").read_text())
    assert record["baseline"] == f"clip_higher {HOSTILE}"
    data = load_sweep(root, "clipping")
    assert record == report_record(data, analyse(data))


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font:UserWarning")
def test_a_figure_with_such_names_is_still_an_image_and_runs_nothing(tmp_path):
    with matplotlib.rc_context(STYLE):
        figure = Figure()
        axes = figure.subplots()
        axes.plot([0, 1], label=f"{HOSTILE} -->")
        axes.set(title=HOSTILE, xlabel="x")
        axes.legend()
        save_figure(figure, tmp_path / "f.png")
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(tmp_path / "f.svg").iter()}
    assert "path" in tags
    assert not tags & {"script", "image", "a", "foreignObject", "text"}
