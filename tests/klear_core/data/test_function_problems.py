import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.data.function_code import write_response
from klear_core.data.function_problems import MAX_FLAWS, constant_floor, draw_problem, plant_flaws, problems
from klear_core.data.functions import INPUTS, evaluate, parse
from klear_core.data.splits import SPLITS, split_of
from klear_core.errors import DataError
from tests.klear_core.data.test_functions import draws, program_of

ASK = {"data_seed": 0, "max_pieces": 3, "num_tests": 16, "flawed_share": 0.0}


def calls(problem):
    return [
        (*json.loads(given), json.loads(expected))
        for given, expected in zip(problem.tests.inputs, problem.tests.outputs, strict=True)
    ]


@given(draw=draws)
def test_a_problem_is_a_function_of_its_key_and_a_right_program_passes_its_tests(draw):
    problem = draw_problem(**draw)
    assert problem == draw_problem(**draw)
    assert split_of(problem.prompt) == draw["split"]
    assert problem.difficulty == len(parse(problem.prompt)) <= draw["max_pieces"]
    program = program_of(write_response(parse(problem.prompt)))
    assert all(program(x) == expected for x, expected in calls(problem))
    assert (problem.flawed, problem.tests.entry, problem.answer) == (False, "f", "")


@given(draw=draws)
def test_every_piece_has_tests_and_both_sides_of_every_threshold_are_among_them(draw):
    problem = draw_problem(**draw)
    inputs = [x for x, _ in calls(problem)]
    assert len(set(inputs)) == len(inputs) == draw["num_tests"]
    assert set(inputs) <= set(INPUTS)
    function = parse(problem.prompt)
    first = [next(k for k, piece in enumerate(function) if piece.holds(x)) for x in inputs]
    counts = Counter(first)
    # Shared out evenly; the shortest piece between two thresholds is three integers wide.
    assert min(counts[k] for k in range(len(function))) >= min(3, draw["num_tests"] // len(function))
    for piece in function[:-1]:
        assert {piece.below - 1, piece.below} <= set(inputs)


@given(draw=draws)
def test_values_stay_small(draw):
    assert all(abs(expected) < 5000 for _, expected in calls(draw_problem(**draw)))


@given(draw=draws, data=st.data())
def test_less_or_equal_in_place_of_less_fails_one_test(draw, data):
    problem = draw_problem(**draw | {"max_pieces": 4})
    response = write_response(parse(problem.prompt))
    thresholds = [piece.below for piece in parse(problem.prompt)[:-1]]
    if not thresholds:
        return
    chosen = data.draw(st.sampled_from(thresholds))
    program = program_of(response.replace(f"x < {chosen}:", f"x <= {chosen}:"))
    assert [x for x, expected in calls(problem) if program(x) != expected] == [chosen]


def test_splits_share_no_prompt_and_a_split_repeats_none():
    drawn = {split: [p.prompt for p in problems(split=split, count=500, **ASK)] for split in SPLITS}
    assert all(len(set(prompts)) == 500 for prompts in drawn.values())
    assert len(set().union(*drawn.values())) == 1500


def test_a_prefix_of_the_problems_does_not_depend_on_how_many_are_asked_for():
    assert problems(split="train", count=20, **ASK) == problems(split="train", count=200, **ASK)[:20]


def test_difficulty_is_drawn_in_proportion_to_itself():
    counts = Counter(p.difficulty for p in problems(split="train", count=1000, **ASK))
    assert counts[1] < counts[2] < counts[3]
    assert set(counts) == {1, 2, 3}


def test_more_problems_than_a_split_holds_are_refused():
    with pytest.raises(DataError, match="functions of at most 1 pieces have about"):
        problems(split="test", count=1000, **ASK | {"max_pieces": 1})
    with pytest.raises(DataError, match="allowed: train, validation, test"):
        problems(split="tets", count=1, **ASK)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_questions_are_never_flawed(split):
    assert problems(split=split, count=100, **ASK | {"flawed_share": 1.0}) == problems(split=split, count=100, **ASK)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_flawed_problems_is_as_asked_for(share):
    drawn = problems(split="train", count=1500, **ASK | {"flawed_share": share})
    assert abs(sum(problem.flawed for problem in drawn) / 1500 - share) < 0.05


def test_flawed_tests_reject_the_right_program_and_nothing_else_of_a_problem_changes():
    clean = problems(split="train", count=300, **ASK)
    flawed = problems(split="train", count=300, **ASK | {"flawed_share": 0.5})
    for before, after in zip(clean, flawed, strict=True):
        function = parse(after.prompt)
        wrong = sum(evaluate(function, x) != expected for x, expected in calls(after))
        assert (wrong > 0) is after.flawed
        assert wrong <= MAX_FLAWS
        assert (before.problem_id, before.prompt, before.tests.inputs) == (
            after.problem_id,
            after.prompt,
            after.tests.inputs,
        )


def test_flaws_depend_on_seed_and_problem_and_grow_with_the_share():
    clean = problems(split="train", count=300, **ASK)
    planted = {
        (seed, share): [plant_flaws(problem, data_seed=seed, share=share) for problem in clean]
        for seed in (0, 1)
        for share in (0.3, 0.6)
    }
    assert [p.flawed for p in planted[0, 0.3]] != [p.flawed for p in planted[1, 0.3]]
    assert all(few == many for few, many in zip(planted[0, 0.3], planted[0, 0.6], strict=True) if few.flawed)


def test_the_floor_is_reached_by_the_program_it_names():
    questions = problems(split="test", count=200, **ASK)
    prompt, share = constant_floor(questions)
    function = parse(prompt)
    solved = sum(all(evaluate(function, x) == expected for x, expected in calls(q)) for q in questions)
    assert share == solved / 200 >= 1 / 200
