import math

import pytest
import yaml

from reports.published import _FOLDER, published_table

TABLES = ("table_2", "table_3", "table_4", "table_5")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_whole(name):
    table = published_table(name)
    assert set(table.rows) == set(table.questions)
    assert all(len(cells) == len(table.columns) for cells in table.rows.values())
    assert all(0 < cell < 100 for cells in table.rows.values() for cell in cells)
    assert table.claim
    assert table.caption


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_is_on_the_grid_of_its_questions_and_samples_or_named(name):
    table = published_table(name)
    off = {}
    for benchmark, cells in table.rows.items():
        questions, samples = table.questions[benchmark]
        total = questions * samples
        for column, cell in zip(table.columns, cells, strict=True):
            # What a share of right answers prints as, rounding half up to two decimals.
            nearest = min(range(total + 1), key=lambda k, cell=cell: abs(100 * k / total - cell))
            grid = [math.floor(10_000 * k / total + 0.5) / 100 for k in (nearest - 1, nearest, nearest + 1)]
            if cell not in grid:
                off[f"{benchmark}, {column}"] = grid[1]
    assert off == table.off_grid


def test_an_effect_has_the_interval_of_two_unpaired_shares():
    table = published_table("table_4")
    effect = table.effect("aime24", "top10", "top1")
    assert effect.value == pytest.approx(30.42 - 40.83)
    assert effect.high - effect.value == pytest.approx(effect.value - effect.low)
    assert effect.high - effect.value == pytest.approx(195.9964 * math.sqrt((0.3042 * 0.6958 + 0.4083 * 0.5917) / 30))


def test_the_file_holds_the_tables_that_are_tested():
    content = yaml.safe_load((_FOLDER / "klear_reasoner.yaml").read_text())
    assert set(content["tables"]) == set(TABLES)
    with pytest.raises(KeyError):
        published_table("table_99")
