import pytest

from reports.analysis import analyse
from reports.load import load_sweep
from reports.published_tables import beside_table, claim_sentence
from reports.spec import Beside


@pytest.fixture
def loaded(write_sweep):
    data = load_sweep(write_sweep(seeds=2), "clipping")
    return data, analyse(data)


def test_a_figure_that_is_only_drawn_stands_beside_as_its_claim(loaded):
    data, analysis = loaded
    beside = Beside(table="figure_2", columns={("4", "gppo"): "GPPO"})
    told = claim_sentence(data, analysis, beside)
    assert told.startswith("Figure 2 of arXiv 2508.07629 draws this and prints no value; its claim: AIME24: GPPO above")
    table = beside_table(data, analysis, beside)
    assert not table.rows
    assert list(table.raw) == ["column", "baseline", "measured"]
    assert "Published settings: model 8B; stage math RL; max tokens 32K; steps 250" in " ".join(table.notes)
    assert "effect, in points" in table.markdown()


def test_a_table_of_another_paper_stands_beside_without_intervals_where_nothing_is_counted(loaded):
    data, analysis = loaded
    columns = {(point, "clip_higher"): "DAPO" for point in data.plan.points}
    columns |= {(point, "gppo"): "CE-GPPO (b1 0.75)" for point in data.plan.points}
    table = beside_table(data, analysis, Beside(paper="ce_gppo", table="main_7B", columns=columns))
    (row,) = [row for row in table.rows if row[0] == "CE-GPPO (b1 0.75) - DAPO"]
    cells = dict(zip(table.header, row, strict=True))
    assert cells["published, average"] == "+3.0"
    assert cells["published, aime24"].startswith("+6.3 [")


def test_a_table_with_arms_in_its_rows_stands_beside_by_benchmark(loaded):
    data, analysis = loaded
    points = {point for point, _ in analysis.cells}
    baseline = data.plan.baseline
    (other, *_) = [arm for arm in data.plan.treatments if arm != baseline]
    columns = {(point, arm): name for point in points for arm, name in ((baseline, "alpha_0"), (other, "alpha_0.1"))}
    table = beside_table(data, analysis, Beside(table="table_6", columns=columns))
    assert table.header[2:] == ["published, aime24", "published, aime25"]
    values = table.raw.set_index("column")["aime25_value"]
    assert values["alpha_0.1"] == pytest.approx(70.42 - 68.02)
    notes = " ".join(table.notes)
    assert "79.37 at alpha_0.1, aime24 (nearest 79.38)" in notes
    assert "The paper disagrees with itself on starting_checkpoint, aime24: table 6 73.51, table 3 73.54." in notes
    told = claim_sentence(data, analysis, Beside(table="table_6", columns=columns))
    assert told.startswith("Beside table 6 of arXiv 2508.07629 (the recipe takes alpha 0.1)")
