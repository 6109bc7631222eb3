import math

import pytest

from klear_core.errors import ConfigError, DataError
from tests.klear_core.data.mixes.examples import apply, demonstration, numbered

GRADED = [demonstration(f"p{k}", is_correct=value) for k, value in enumerate([True, False, None, True])]
HARD = [demonstration(f"p{k}", difficulty=value) for k, value in enumerate([0.0, 0.5, 0.75, None])]


@pytest.mark.parametrize(("keep", "kept"), [("only_true", [0, 3]), ("only_false", [1]), ("mixed", [0, 1, 2, 3])])
def test_correctness_keeps_the_unknown_only_in_a_mixture(keep, kept):
    found, details = apply("correctness", GRADED, keep=keep)
    assert found == [GRADED[index] for index in kept]
    assert details == {"right": 2, "wrong": 1, "unknown": 1, "dropped": 4 - len(kept)}


@pytest.mark.parametrize(("keep", "kept"), [("easy", [0, 1]), ("hard", [2]), ("all", [0, 1, 2, 3])])
def test_difficulty_keeps_the_cut_itself_as_easy_and_the_unknown_only_among_all(keep, kept):
    found, details = apply("difficulty", HARD, keep=keep, cut=0.5)
    assert found == [HARD[index] for index in kept]
    assert details == {"easy": 2, "hard": 1, "unknown": 1, "dropped": 4 - len(kept)}


@pytest.mark.parametrize(("operator", "field"), [("teachers", "teacher"), ("sources", "source")])
def test_named_teachers_and_sources_stay_and_are_counted(operator, field):
    mixed = [*numbered(3, **{field: "a"}), *numbered(2, **{field: "b"}), *numbered(1, **{field: "c"})]
    found, details = apply(operator, mixed, names=["c", "a"])
    assert found == [example for example in mixed if getattr(example, field) in "ac"]
    assert details == {"kept": {"c": 1, "a": 3}, "dropped": 2}


@pytest.mark.parametrize("operator", ["teachers", "sources"])
def test_a_name_that_no_demonstration_has_is_an_error_that_names_those_there(operator):
    mixed = [demonstration("p", teacher="a", source="a"), demonstration("q", teacher="b", source="b")]
    with pytest.raises(DataError, match=rf"{operator} names 'x', which no demonstration has; there are: a, b"):
        apply(operator, mixed, names=["a", "x"])


@pytest.mark.parametrize(
    ("operator", "params", "message"),
    [
        ("correctness", {"keep": "right"}, "allowed: only_true, mixed, only_false"),
        ("difficulty", {"keep": "medium", "cut": 0.5}, "allowed: easy, hard, all"),
        ("difficulty", {"keep": "easy", "cut": math.nan}, "allowed: a finite number"),
        ("difficulty", {"keep": "easy"}, "difficulty.cut is missing"),
        ("teachers", {"names": []}, "allowed: a list of different names, at least one"),
        ("sources", {"names": ["a", "a"]}, "allowed: a list of different names, at least one"),
        ("sources", {"names": "a"}, "allowed: a list of texts"),
    ],
)
def test_a_setting_out_of_its_limits_is_refused(operator, params, message):
    with pytest.raises(ConfigError, match=message):
        apply(operator, [], **params)
