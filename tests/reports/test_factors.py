"""Main effects of combined settings are means over the pairs that differ in one setting alone."""

import pytest

from reports.analysis import analyse
from reports.factors import factor_figure, factor_table, levels_of
from reports.load import load_sweep
from tests.reports.sweeps_as import add_configs, renamed

PARAMS = {
    "gppo": {"beta_low": 1.0, "dual_clip": None},
    "low": {"beta_low": 0.25, "dual_clip": None},
    "dual": {"beta_low": 1.0, "dual_clip": 10.0},
    "both": {"beta_low": 0.25, "dual_clip": 10.0},
}


@pytest.fixture
def cures(write_sweep):
    def make(**changes):
        accuracy = {("gppo", ""): 0.2, ("low", ""): 0.5, ("dual", ""): 0.3, ("both", ""): 0.8}
        root = renamed(write_sweep(accuracy=accuracy, baseline="gppo", **changes), "gppo_cures")
        add_configs(root, "gppo_cures", PARAMS)
        data = load_sweep(root, "gppo_cures")
        return data, analyse(data)

    return make


def test_levels_are_read_from_the_stored_settings(cures):
    data, _ = cures()
    assert levels_of(data) == {
        "gppo": ("1", "off"),
        "low": ("0.25", "off"),
        "dual": ("1", "10"),
        "both": ("0.25", "10"),
    }


def test_an_effect_is_the_mean_over_the_other_settings_levels_paired_by_seed(cures):
    data, analysis = cures()
    scores = {name: analysis.cells["", name].per_seed for name in PARAMS}
    raw = factor_table(data, analysis, "").raw.set_index("factor")
    seeds = scores["gppo"]
    beta = [(scores["low"][s] - scores["gppo"][s] + scores["both"][s] - scores["dual"][s]) / 2 for s in seeds]
    dual = [(scores["dual"][s] - scores["gppo"][s] + scores["both"][s] - scores["low"][s]) / 2 for s in seeds]
    assert raw.loc["beta_low", "difference"] == pytest.approx(sum(beta) / len(beta))
    assert raw.loc["dual clip", "difference"] == pytest.approx(sum(dual) / len(dual))
    assert list(raw["pairs"]) == [2, 2]


def test_a_seed_that_an_arm_did_not_finish_is_left_out_of_its_effects(cures):
    data, analysis = cures(fail=("both-", 1))
    table = factor_table(data, analysis, "")
    assert [row[-1] for row in table.rows] == ["2", "2"]


def test_runs_below_the_floor_are_counted_on_both_sides(cures):
    data, analysis = cures()
    raw = factor_table(data, analysis, "").raw.set_index("factor")
    counts = {name: sum(v < 0.2 for v in analysis.cells["", name].per_seed.values()) for name in PARAMS}
    assert raw.loc["beta_low", "below_floor"] == counts["low"] + counts["both"]
    assert raw.loc["beta_low", "below_floor_against"] == counts["gppo"] + counts["dual"]
    assert counts["gppo"] > 0


def test_the_map_names_every_level(cures):
    data, analysis = cures()
    axis = factor_figure(data, analysis).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["1", "0.25"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["off", "10"]
