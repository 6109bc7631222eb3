import pytest

from klear_core.errors import ConfigError
from reports.published import all_tables, figures, paper_names, published_paper, published_table
from reports.published.grid import on_grid
from reports.published.validate import validate

COUNTED_BY_GRID = [table for table in all_tables() if table.counts_source == "grid"]


@pytest.mark.parametrize("name", paper_names())
def test_what_is_held_of_a_paper_is_valid(name):
    assert validate(published_paper(name)) == []


def test_every_table_and_figure_of_the_first_paper_is_held():
    names = [table.name for table in all_tables() if table.key == "klear_reasoner"]
    assert names == [f"table_{k}" for k in range(1, 7)] + [f"figure_{k}" for k in range(2, 6)]


def test_the_counts_are_the_smallest_that_explain_the_printed_cells():
    # What "grid" says of its source: any count of answers below these misses a cell that is not declared off the grid.
    benchmarks = {name: count for table in COUNTED_BY_GRID for name, count in table.counts.items()}
    assert set(benchmarks) == {"aime24", "aime25", "lcb_v5", "lcb_v6"}
    for name, count in benchmarks.items():
        printed = {
            cell.printed
            for table in COUNTED_BY_GRID
            for key, cell in table.cells.items()
            if table.benchmark(*key) == name and cell.off_grid is None
        }
        smallest = next(total for total in range(1, 2000) if all(on_grid(each, total) for each in printed))
        assert (smallest, smallest % count.questions) == (count.total, 0)


def test_a_figure_that_is_only_drawn_gives_no_number():
    graded = {table.name: (table.grade, len(table.cells)) for table in figures()}
    drawn = ("figure", 0)
    assert graded == {"figure_2": drawn, "figure_3": ("printed", 2), "figure_4": drawn, "figure_5": drawn}
    assert all(table.drawn and table.claim for table in figures())


def test_effects_read_the_same_whether_benchmarks_are_rows_or_columns():
    by_rows, by_columns = published_table("table_2"), published_table("table_6")
    assert by_rows.effect("aime24", "easy_mixed", "easy_only_true").value == pytest.approx(40.22 - 45.00)
    assert by_columns.effect("aime25", "alpha_0.1", "alpha_0").value == pytest.approx(70.42 - 68.02)
    assert by_columns.arms[:2] == ("starting_checkpoint", "alpha_0")
    assert by_columns.benchmarks == by_rows.benchmarks[:2] == ("aime24", "aime25")


def test_settings_of_a_table_stand_before_those_of_its_paper():
    settings = published_table("figure_2").settings
    assert (settings["steps"], settings["max_tokens"], settings["temperature"]) == ("250", "32K", "0.6")
    assert next(iter(settings)) == "model"


def test_an_unknown_paper_or_table_names_those_that_are_known():
    with pytest.raises(ConfigError, match=r"no paper nope; known: klear_reasoner, ce_gppo"):
        published_paper("nope")
    with pytest.raises(ConfigError, match=r"no table table_99 in klear_reasoner; known: table_1, table_2"):
        published_table("table_99")
