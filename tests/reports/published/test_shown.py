import dataclasses
import math

import pytest

from reports.markdown import DASH
from reports.published import all_tables, published_table
from reports.published.shown import footnotes, paper_table, settings_told


def cell(table, row, column):
    (found,) = [cells for cells in table.rows if cells[0].rstrip("¹²³") == row]
    return found[list(table.header).index(column)]


def test_cells_stand_as_printed_with_a_mark_for_each_doubt():
    main, alpha = paper_table(published_table("table_1")), paper_table(published_table("table_6"))
    assert cell(main, "Qwen3-8B", "aime24") == "76.0"
    assert cell(main, "Qwen3-8B", "hmmt25") == "44.7†"
    assert cell(main, "Klear-Reasoner-8B-64K", "lcb_v6") == "58.1§"
    assert cell(alpha, "starting_checkpoint", "aime24") == "73.51‡§"
    assert cell(alpha, "alpha_0.1", "aime24") == "79.37‡"
    assert cell(paper_table(published_table("table_2")), "aime24", "easy_only_true") == "45.00"


@pytest.mark.parametrize("table", all_tables(), ids=lambda table: f"{table.key}-{table.name}")
def test_every_mark_has_its_footnote_and_every_footnote_its_mark(table):
    shown = paper_table(table)
    cells = "".join(text for row in shown.rows for text in row)
    for mark in "†‡§¹²³⁴":
        assert (mark in cells) == any(note.startswith(mark) for note in shown.notes), mark


def test_equal_notes_share_a_number():
    shown = paper_table(published_table("table_1"))
    names = [row[0] for row in shown.rows]
    assert "Deepseek-R1-0528-Distill-8B²" in names
    assert "OpenReasoning-Nemotron-7B²" in names
    assert [note for note in shown.notes if "64K tokens" in note] == ["² 64K tokens.", "³ 64K tokens, YaRN factor 2.5."]


def test_the_off_grid_footnote_gives_the_nearest_value():
    assert any("40.22 at aime24, easy_mixed (nearest 40.21)" in note for note in footnotes(published_table("table_2")))


def test_intervals_are_shown_when_asked_for_and_always_in_the_raw_values():
    table = published_table("table_2")
    bounds = table.interval("aime24", "easy_mixed")
    shown = paper_table(table, intervals=True)
    assert cell(shown, "aime24", "easy_mixed") == f"40.22‡ [{bounds.low:.1f}, {bounds.high:.1f}]"
    raw = paper_table(table).raw.set_index(["arm", "benchmark"]).loc[("easy_mixed", "aime24")]
    assert (raw["low"], raw["high"], raw["questions"], raw["samples"]) == (bounds.low, bounds.high, 30, 16)
    assert (raw["printed"], raw["nearest_on_grid"]) == ("40.22", 40.21)


def test_a_cell_whose_questions_are_not_counted_has_no_interval():
    table = published_table("main_7B", "ce_gppo")
    assert math.isnan(table.interval("GRPO", "average").low)
    assert cell(paper_table(table, intervals=True), "GRPO", "average") == "60.5"
    assert any("None for math500, amc23, average" in note for note in footnotes(table))
    bare = dataclasses.replace(table, counts={})
    assert "No intervals, as the questions are not counted here." in footnotes(bare)


def test_a_value_that_the_paper_does_not_print_is_a_dash():
    assert cell(paper_table(published_table("fits", "scalerl")), "CISPO", "A") == DASH
    figure = paper_table(published_table("figure_2"))
    assert [row[1] for row in figure.rows] == [DASH] * 3
    assert figure.notes[0] == "Only drawn, no value printed."
    assert figure.raw["value"].isna().all()
    assert list(figure.raw["drawn"]) == [row[0] for row in figure.rows]


def test_a_table_whose_grid_check_cannot_fail_says_so():
    assert any("no power" in note for note in footnotes(published_table("table_1")))
    assert any("lcb_v5 11.2 %" in note for note in footnotes(published_table("table_3")))


def test_settings_are_told_with_the_samples_of_each_benchmark():
    told = settings_told(published_table("table_6"))
    assert told.startswith("model 8B; stage math RL; max tokens 32K; steps 100; evaluation temperature 0.6")
    assert told.endswith("avg@32 on aime24, aime25")


def test_the_markdown_of_a_table_is_one_pipe_table_with_its_notes():
    text = paper_table(published_table("table_2")).markdown()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 3
    assert len({line.count("|") for line in lines}) == 1
