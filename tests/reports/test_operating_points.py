"""The best settings of an arm are chosen on validation, and the test questions have no part in it."""

import math

import pytest

from reports.analysis import analyse
from reports.load import load_sweep
from reports.operating_points import chosen_points, chosen_sentence, chosen_table, heat_figure, validation_scores
from tests.reports.sweeps_as import add_validation, renamed

TEST = {
    ("clip_higher", "lr1-u4"): 0.5,
    ("gppo", "lr1-u4"): 0.95,  # best on the test questions, and not chosen
    ("clip_higher", "lr1-u16"): 0.7,
    ("gppo", "lr1-u16"): 0.3,
}
VALIDATION = {
    ("clip_higher", "lr1-u4"): 0.1,
    ("gppo", "lr1-u4"): 0.1,
    ("clip_higher", "lr1-u16"): 0.9,
    ("gppo", "lr1-u16"): 0.9,
}
POINTS = {f"lr1-u{u}": f"rl.learning_rate = 1, rl.updates_per_rollout = {u}" for u in (4, 16)}


@pytest.fixture
def stability(write_sweep):
    def make(**changes):
        root = renamed(write_sweep(accuracy=TEST, **changes), "stability", points=POINTS)
        add_validation(root, "stability", VALIDATION)
        data = load_sweep(root, "stability")
        return data, analyse(data)

    return make


def test_the_point_is_chosen_on_validation_and_read_on_the_test(stability):
    data, analysis = stability()
    found = {one.treatment: one for one in chosen_points(data, analysis)}
    assert {name: one.point for name, one in found.items()} == {"clip_higher": "lr1-u16", "gppo": "lr1-u16"}
    cell = analysis.cells["lr1-u16", "gppo"]
    assert found["gppo"].test.value == cell.score.value
    assert found["gppo"].per_seed == cell.per_seed
    theirs = analysis.cells["lr1-u16", "clip_higher"].per_seed
    expected = sum(cell.per_seed[seed] - theirs[seed] for seed in theirs) / len(theirs)
    assert found["gppo"].comparison.difference.value == pytest.approx(expected)
    assert found["clip_higher"].verdict == "baseline"


def test_arms_may_have_different_best_points(write_sweep):
    root = renamed(write_sweep(accuracy=TEST), "stability", points=POINTS)
    add_validation(root, "stability", VALIDATION | {("gppo", "lr1-u4"): 1.0, ("gppo", "lr1-u16"): 0.0})
    data = load_sweep(root, "stability")
    analysis = analyse(data)
    found = {one.treatment: one for one in chosen_points(data, analysis)}
    assert (found["gppo"].point, found["clip_higher"].point) == ("lr1-u4", "lr1-u16")
    ours, theirs = analysis.cells["lr1-u4", "gppo"].per_seed, analysis.cells["lr1-u16", "clip_higher"].per_seed
    assert found["gppo"].comparison.difference.value == pytest.approx(
        sum(ours[seed] - theirs[seed] for seed in ours) / len(ours)
    )
    assert "gppo" in chosen_sentence(data, analysis)


def test_a_point_that_a_seed_did_not_survive_is_not_chosen(stability):
    data, analysis = stability(fail=("gppo-lr1-u16", 1))
    assert math.isnan(validation_scores(data, analysis)["lr1-u16", "gppo"].value)
    found = {one.treatment: one for one in chosen_points(data, analysis)}
    assert found["gppo"].point == "lr1-u4"


def test_without_validation_rows_nothing_is_chosen_and_the_table_says_why(write_sweep):
    root = renamed(write_sweep(accuracy=TEST), "stability", points=POINTS)
    data = load_sweep(root, "stability")
    analysis = analyse(data)
    assert {one.point for one in chosen_points(data, analysis)} == {""}
    assert "no operating point" in chosen_table(data, analysis).rows[0][1]
    assert chosen_sentence(data, analysis) == ""


def test_the_map_has_a_panel_an_arm_and_frames_what_was_chosen(stability):
    data, analysis = stability()
    figure = heat_figure(data, analysis)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:2] == ["clip_higher", "gppo"]
    assert all(len(axis.patches) == 1 for axis in figure.axes[:2])
