import pytest

from klear_core.errors import DataError
from reports.published.read import read_paper

PAPER = """\
title: A paper
arxiv: "0000.00000"
seeds: not reported
settings: {temperature: 0.6}
tables:
  table_1:
    caption: A table
    claim: b is better
    benchmarks_in: rows
    columns: [a, b]
    n: {x: 30 x 16}
    n_source: grid
    grid_check: works
    rows:
      x: [45.00, {value: 40.21, note: a note}]
  figure_1:
    caption: A figure
    claim: a is better
    grade: figure
    drawn: [x]
conflicts:
  - {cell: [table_1, x, a], says: {table_1: 45.00, abstract: 54.00}}
"""


def read(folder, text):
    path = folder / "paper.yaml"
    path.write_text(text)
    return read_paper(path)


def test_a_cell_keeps_the_zeros_that_it_is_printed_with(tmp_path):
    table = read(tmp_path, PAPER).tables["table_1"]
    assert str(table.cells["x", "a"].printed) == "45.00"
    assert table.conflicts[0].says == {"table_1": "45.00", "abstract": "54.00"}
    assert table.cells["x", "b"].note == "a note"
    assert (table.counts["x"].questions, table.counts["x"].samples, table.counts["x"].total) == (30, 16, 480)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title: A paper\n", "", "paper.yaml: title is missing"),
        ("    claim: b is better\n", "", "paper.yaml, table_1: claim is missing"),
        ("    n: {x: 30 x 16}\n", "", "paper.yaml, table_1: n is missing"),
        ("grid_check: works", "grid_chek: works", "paper.yaml, table_1: grid_chek is not known here; allowed: "),
        (
            "note: a note",
            "notes: a",
            "rows, x, b: notes is not known here; allowed: measured_by, note, off_grid, value",
        ),
        ("{temperature: 0.6}", "{heat: 1}", "paper.yaml, settings: heat is not known here"),
        ("[45.00,", "[45.00, 1,", "table_1, rows, x: 3 cells; expected: 2, one a column"),
        ("[45.00,", "[high,", "rows, x, a: 'high'; expected: a number as printed"),
        ("[45.00,", "[.nan,", "rows, x, a: '.nan'; expected: a number as printed"),
        ("[45.00,", "[.inf,", "rows, x, a: '.inf'; expected: a number as printed"),
        ("[45.00,", "[true,", "rows, x, a: True; expected: a number as printed"),
        ("[45.00,", "[[45.00],", "expected: a number as printed"),
        ("value: 40.21", "value: null", "rows, x, b: None; expected: a number as printed"),
        ("columns: [a, b]", "columns: [a, a]", "columns: a name is given twice"),
        ("columns: [a, b]", "columns: a", "columns: 'a'; expected: a list"),
        ("columns: [a, b]", "columns: [a, 2]", "columns: 2; expected: a text"),
        ("30 x 16", "30 x 0", "n, x: '30 x 0'; expected: questions x samples"),
        ("30 x 16", "1.5", "expected: questions x samples"),
        ("benchmarks_in: rows", "benchmarks_in: lines", "benchmarks_in: 'lines'; expected: rows, columns"),
        ("grade: figure", "grade: guessed", "figure_1, grade: 'guessed'; expected: printed, figure"),
        ("drawn: [x]", "rows: {x: [1]}", "figure_1: drawn is missing"),
        ("drawn: [x]", "drawn: [x]\n    columns: [a]", "figure_1: columns is not known here"),
        ("seeds: not reported", "seeds: not reported\nseeds: 3", "'seeds' is given twice"),
        ("      x: [45", "      x: [1, 2]\n      x: [45", "'x' is given twice"),
        ("[table_1, x, a]", "[table_1, x]", "conflicts[0], cell: 2 names; expected: 3"),
        ("says: {table_1: 45.00", "say: {table_1: 45.00", "conflicts[0]: says is missing"),
        ("title: A paper", "title: [A", "paper.yaml: "),
        (PAPER, "", "paper.yaml: None; expected: keys"),
        (PAPER, "- 1", "expected: keys that are text"),
        ("title: A paper", "title: A paper\n1: 2", "expected: keys that are text"),
    ],
)
def test_a_broken_file_is_one_line_that_names_the_place(tmp_path, old, new, told):
    assert PAPER.count(old) == 1
    with pytest.raises(DataError) as caught:
        read(tmp_path, PAPER.replace(old, new))
    assert told in str(caught.value)
    assert str(caught.value).startswith("paper.yaml")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_one_line(tmp_path):
    path = tmp_path / "paper.yaml"
    path.write_bytes(b"title: \xff")
    with pytest.raises(DataError, match=r"paper\.yaml: .*decode"):
        read_paper(path)
