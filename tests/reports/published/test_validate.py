import dataclasses
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.published import published_paper, published_table
from reports.published.grid import rounded
from reports.published.records import Cell, Count, Paper
from reports.published.validate import power, validate


def problems(table, conflicts=()):
    return validate(
        Paper(key=table.key, title="", arxiv="", seeds="", tables={table.name: table}, conflicts=tuple(conflicts))
    )


def changed(name, row, column, *, key="klear_reasoner", **changes):
    table = published_table(name, key)
    cell = dataclasses.replace(table.cells[row, column], **changes)
    return dataclasses.replace(table, cells=dict(table.cells) | {(row, column): cell})


@st.composite
def counted_tables(draw):
    """A table of shares of random counts, and how many decimals it prints."""
    places = draw(st.integers(0, 2))
    counts = {name: Count(questions=draw(st.integers(1, 120)), samples=draw(st.integers(1, 8))) for name in ("x", "y")}
    columns = ("a", "b", "c")
    cells = {
        (name, column): Cell(printed=rounded(draw(st.integers(0, count.total)), count.total, places))
        for name, count in counts.items()
        for column in columns
    }
    table = dataclasses.replace(
        published_table("table_3"),
        columns=columns,
        row_names=("x", "y"),
        cells=cells,
        counts=counts,
        grid_check="",
        conflicts=(),
    )
    return table, places


@given(counted_tables())
def test_shares_of_counts_are_always_valid(drawn):
    table, _ = drawn
    assert problems(table) == []


@given(counted_tables(), st.sampled_from("xy"), st.sampled_from("abc"), st.integers(-300, 300))
def test_a_changed_cell_is_found_exactly_when_no_count_prints_it(drawn, row, column, change):
    table, places = drawn
    printed = table.cells[row, column].printed + Decimal(change).scaleb(-places)
    total = table.counts[row].total
    possible = {rounded(count, total, places) for count in range(total + 1)}
    found = problems(dataclasses.replace(table, cells=table.cells | {(row, column): Cell(printed=printed)}))
    assert len(found) == (printed not in possible)
    assert all(f"{row}, {column}: {printed}" in problem for problem in found)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (
            changed("table_2", "aime24", "easy_mixed", off_grid=None),
            "40.22 is off the grid of 480 answers, which is not",
        ),
        (
            changed("table_2", "aime24", "easy_mixed", off_grid=Decimal("40.23")),
            "40.23 is declared as the nearest value",
        ),
        (changed("table_2", "aime24", "easy_mixed", printed=Decimal("40.21")), "40.21 is declared off the grid of 480"),
        (changed("table_3", "aime25", "QwQ-32B", printed=Decimal("53.31")), "aime25, QwQ-32B: 53.31 is off the grid"),
        (
            changed("table_1", "Qwen3-8B", "aime24", printed=Decimal("100.1")),
            "Qwen3-8B, aime24: 100.1 is no percentage",
        ),
        (changed("table_1", "Qwen3-8B", "aime24", printed=Decimal("-0.1")), "-0.1 is no percentage"),
        (changed("table_3", "aime25", "DeepSeek-R1-0120", printed=Decimal("50.0")), "1 decimals without a note; its"),
        (
            changed("main_7B", "GRPO", "average", key="ce_gppo", printed=Decimal("61.5")),
            "GRPO, average: 61.5 is not the mean of the others, 60.52",
        ),
        (
            changed("main_7B", "GRPO", "aime24", key="ce_gppo", off_grid=Decimal("55.0")),
            "declared off the grid, but its answers are not counted",
        ),
        (
            dataclasses.replace(published_table("table_3"), grid_check="no power"),
            "declared 'no power', but it is 'works'",
        ),
        (dataclasses.replace(published_table("table_1"), grid_check="works"), "declared 'works', but it is 'no power'"),
        (dataclasses.replace(published_table("table_3"), counts={}), "declared 'works', but it is 'no counts'"),
        (
            dataclasses.replace(published_table("table_1"), windows={"lcb_v7": ("", "")}),
            "table_1, windows: no benchmark lcb_v7",
        ),
        (dataclasses.replace(published_table("table_1"), row_notes={"GPT": "new"}), "table_1, row_notes: no row GPT"),
        (dataclasses.replace(published_table("main_7B", "ce_gppo"), averages="mean"), "averages: no column mean"),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else(table, told):
    (problem,) = problems(table)
    assert told in problem
    assert problem.startswith(f"{table.key}, {table.name}, ")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"row": "Klear-Reasoner-9B"}, "table_1 has no such cell"),
        ({"column": "lcb_v7"}, "table_1 has no such cell"),
        ({"table": "table_7"}, "no table table_7"),
        ({"says": {"table_1": "58.1", "abstract": "58.1"}}, "its values do not differ"),
        ({"says": {"table_1": "58.2", "abstract": "58.1"}}, "table_1 does not print 58.2"),
        ({"says": {"introduction": "55.4", "abstract": "58.1"}}, "it does not say what table_1 prints"),
        ({"says": {"table_1": "58.1", "table_4": "58.2"}}, "table_4 does not print 58.2"),
    ],
)
def test_a_conflict_is_about_a_cell_and_stands_where_it_says(changes, told):
    held = published_paper()
    conflict = dataclasses.replace(held.conflicts[0], **changes)
    (problem,) = validate(dataclasses.replace(held, conflicts=(conflict,)))
    assert told in problem


def test_a_table_whose_values_all_pass_has_no_power():
    assert set(power(published_table("table_1")).values()) == {1.0}
    assert power(published_table("table_6")) == pytest.approx({"aime24": 961 / 10001, "aime25": 961 / 10001})
    assert power(published_table("main_7B", "ce_gppo")) == {}
