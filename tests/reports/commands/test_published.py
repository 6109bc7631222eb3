import json
import math
import re
import sys

import pytest

import reports.published
from reports.__main__ import main as run
from reports.commands.published import main
from reports.published import all_tables, paper_names, published_paper


def told(capsys, *arguments):
    code = main(arguments)
    return code, " ".join(capsys.readouterr().out.split())


@pytest.fixture
def one_cell_wrong(tmp_path, monkeypatch):
    text = (reports.published._FOLDER / "klear_reasoner.yaml").read_text()
    assert text.count("62.71") == 1
    (tmp_path / "klear_reasoner.yaml").write_text(text.replace("62.71", "62.72"))
    monkeypatch.setattr(reports.published, "_FOLDER", tmp_path)
    published_paper.cache_clear()
    yield
    published_paper.cache_clear()


def test_all_tables_are_shown_with_what_the_validator_says(capsys):
    code, out = told(capsys)
    assert code == 0
    assert all(published_paper(name).title in out for name in paper_names())
    for table in all_tables():
        assert table.caption in out
        assert table.claim in out
    assert "Only drawn, no value printed: aime24 avg@32, lcb_v5 avg@4, gradient norm." in out
    assert "193 printed values; 77 on a grid that a wrong value could miss, 5 of them declared off it" in out
    assert out.endswith("no problems")


def test_one_table_is_shown_alone(capsys):
    code, out = told(capsys, "klear_reasoner/table_3")
    assert code == 0
    assert "Table 3 of arXiv 2508.07629" in out
    assert "Table 2 of" not in out


def test_intervals_stand_in_the_cells_where_the_terminal_is_wide_enough(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "45.00 [28.8, 62.3]" in told(capsys, "klear_reasoner/table_2")[1]
    monkeypatch.setenv("COLUMNS", "80")
    main(["klear_reasoner/table_2"])
    lines = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 80
    assert "45.00 [" not in " ".join(lines)
    assert "A wider terminal shows the interval of each cell" in " ".join(lines)


def test_a_wrong_cell_is_told_and_ends_with_1(capsys, one_cell_wrong):
    code, out = told(capsys, "klear_reasoner/table_1")
    assert code == 1
    assert "problem: klear_reasoner, table_3, aime24, QwQ-32B: 62.72 is off the grid of 480 answers" in out
    assert out.endswith(": 1 problem")


def test_json_holds_every_cell_with_its_interval(capsys):
    assert main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    tables = {table["name"]: table for paper in found["papers"] for table in paper["tables"]}
    assert sum(len(table["cells"]) for table in tables.values()) == sum(len(table.cells) for table in all_tables())
    (cell,) = [
        each
        for each in tables["table_6"]["cells"]
        if (each["arm"], each["benchmark"]) == ("starting_checkpoint", "aime24")
    ]
    assert (cell["printed"], cell["value"], cell["nearest_on_grid"]) == ("73.51", 73.51, 73.54)
    assert math.isclose(cell["low"], 55.7, abs_tol=0.1)
    assert "table 3 73.54" in cell["conflict"]
    (unknown,) = [each for each in tables["fits"]["cells"] if (each["arm"], each["benchmark"]) == ("CISPO", "A")]
    assert (unknown["printed"], unknown["value"], unknown["low"]) == (None, None, None)
    assert tables["figure_2"]["grade"] == "figure"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["published", "nope"], "error: no paper nope; known: klear_reasoner, ce_gppo, dapo, scalerl"),
        (["published", "dapo/table_1"], "error: no table table_1 in dapo; known: progressive"),
        (["published", "--nope"], "error: unrecognized arguments: --nope; see python -m reports published --help"),
    ],
)
def test_a_wrong_question_is_one_line_and_ends_with_2(capsys, monkeypatch, arguments, message):
    monkeypatch.setattr(sys, "argv", ["reports", *arguments])
    with pytest.raises(SystemExit) as stopped:
        run()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"{message}\n"
