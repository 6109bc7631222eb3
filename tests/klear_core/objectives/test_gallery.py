"""The gallery shows every objective as it is: F as the surrogate has it, formulas that say the same."""

import json
import math

import numpy as np
import pytest

from ablations.commands import catalog
from klear_core.errors import ConfigError, RunStoreError
from klear_core.objectives.gallery import gallery, ratios, stated_cases, stated_weight, with_numbers
from klear_core.objectives.surrogates import surrogate_names
from klear_core.runs.gallery import read_gallery
from klear_core.trainer.identity_reference import REFERENCES, undecided

PRESETS = catalog.objectives()


@pytest.fixture(scope="module")
def drawn():
    return gallery(PRESETS)


def test_every_preset_and_every_registered_surrogate_is_in_it_once(drawn):
    assert sorted(each["name"] for each in drawn["objectives"]) == sorted(preset["name"] for preset in PRESETS)
    assert {each["surrogate"] for each in drawn["objectives"]} == set(surrogate_names())


def test_its_curves_are_the_reference_on_the_whole_grid(drawn):
    grid = np.array(drawn["ratios"])
    for each in drawn["objectives"]:
        for side, sign in (("positive", 1.0), ("negative", -1.0)):
            expected = REFERENCES[each["surrogate"]](grid, np.full_like(grid, sign), **each["params"])
            # At a bound itself exp(log r) may fall on either side.
            clear = ~undecided(each["params"], grid, 1e-9)
            np.testing.assert_allclose(np.array(each[side])[clear], expected[clear], rtol=1e-12)
            assert (~clear).sum() <= 3


def test_the_formula_of_every_docstring_is_what_the_surrogate_does(drawn):
    for each in drawn["objectives"]:
        numbers = with_numbers(stated_cases(each["surrogate"]), each["params"])
        for side, sign in (("positive", 1.0), ("negative", -1.0)):
            for r, measured in zip(drawn["ratios"], each[side], strict=True):
                # A grid point that is a bound itself may fall on either side of it.
                beside = (stated_weight(numbers, r * (1 + far), sign) for far in (0.0, -1e-9, 1e-9))
                assert any(math.isclose(measured, stated, rel_tol=1e-8, abs_tol=1e-15) for stated in beside)


def test_every_surrogate_states_formula_loss_and_source(drawn):
    for each in drawn["objectives"]:
        assert each["formula"][-1][1] == ""
        assert each["loss"]
        assert each["source"]


def test_numbers_stand_for_parameters_and_what_is_off_is_left_out():
    params = {"clip_low": 0.2, "clip_high": 0.28, "beta_low": 0.25, "beta_high": 1.0, "dual_clip": None}
    expected = [("1.28", "A > 0 and r > 1.28"), ("0.2", "A < 0 and r < 0.8"), ("r", "")]
    assert with_numbers(stated_cases("gppo"), params) == expected
    cases = with_numbers(stated_cases("gppo"), params | {"dual_clip": 10.0})
    assert ("0", "A < 0 and r > 10") in cases
    assert [stated_weight(cases, *at) for at in ((2.0, 1), (0.5, -1), (12.0, -1), (1.1, 1))] == [1.28, 0.2, 0, 1.1]


def test_a_condition_that_no_ratio_meets_is_not_shown(drawn):
    (wide,) = [each for each in drawn["objectives"] if each["name"] == "cispo_wide"]
    assert wide["with_numbers"] == [["5", "r > 5"], ["r", ""]]


def test_the_grid_has_points_on_both_sides_of_every_bound():
    grid = np.array(ratios([0.2, 0.28, 10.0]))
    assert (np.diff(grid) > 0).all()
    for bound in (0.8, 1.28, 10.0):
        assert ((grid > bound) & (grid < bound * 1.00001)).any()
        assert ((grid < bound) & (grid > bound * 0.99999)).any()


def test_a_preset_with_parameters_of_another_surrogate_is_refused():
    with pytest.raises(ConfigError, match="weight_low"):
        gallery([{"name": "x", "surrogate": "ppo_clip", "params": {"weight_low": 1.0}, "note": ""}])


def test_the_file_holds_what_was_measured(drawn, tmp_path):
    path = tmp_path / "objectives.json"
    path.write_text(json.dumps(drawn))
    found = read_gallery(path)
    assert found.ratios == drawn["ratios"]
    assert [each.negative for each in found.objectives] == [each["negative"] for each in drawn["objectives"]]
    assert [each.params for each in found.objectives] == [each["params"] for each in drawn["objectives"]]


def cut(data):
    data["objectives"][0]["positive"].pop()


def long_case(data):
    data["objectives"][-1]["formula"][0].append("x")


@pytest.mark.parametrize(
    "damage", [cut, long_case, lambda data: data.pop("band"), lambda data: data["objectives"].clear()]
)
def test_a_file_of_another_form_is_a_store_error(drawn, tmp_path, damage):
    data = json.loads(json.dumps(drawn))
    damage(data)
    (tmp_path / "f.json").write_text(json.dumps(data))
    with pytest.raises(RunStoreError, match="ablations objectives"):
        read_gallery(tmp_path / "f.json")
