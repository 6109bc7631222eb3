import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.data.chains import apply, constant_floor, demonstrate, draw_problem, problems, solve
from klear_core.data.splits import SPLITS, split_of
from klear_core.errors import DataError

NO_MISTAKES = {"+": 0.0, "-": 0.0, "*": 0.0}


def evaluate_left_to_right(prompt):
    """Reference: Python's own arithmetic, one bracketed operation at a time."""
    body = prompt[:-1]
    expression = body[0]
    for k in range(1, len(body), 2):
        expression = f"({expression}{body[k]}{body[k + 1]})%10"
    return eval(expression)


@given(seed=st.integers(0, 50), split=st.sampled_from(SPLITS), index=st.integers(0, 10_000), terms=st.integers(2, 8))
def test_a_problem_is_a_function_of_its_key_and_its_answer_is_right(seed, split, index, terms):
    draw = {"data_seed": seed, "split": split, "index": index, "num_terms": terms}
    problem = draw_problem(**draw)
    assert problem == draw_problem(**draw)
    assert problem.answer == str(evaluate_left_to_right(problem.prompt))
    assert problem.difficulty == terms - 1 + problem.prompt.count("*")
    assert split_of(problem.prompt) == split


def test_splits_share_no_prompt_and_a_split_repeats_none():
    drawn = {split: [p.prompt for p in problems(data_seed=0, split=split, count=500, num_terms=4)] for split in SPLITS}
    for split, prompts in drawn.items():
        assert len(set(prompts)) == 500, split
    assert not set(drawn["train"]) & set(drawn["test"])
    assert not set(drawn["train"]) & set(drawn["validation"])
    assert not set(drawn["validation"]) & set(drawn["test"])


def test_splits_take_eighty_ten_and_ten_percent():
    rng = random.Random(0)
    prompts = [f"{rng.randrange(10)}+{rng.randrange(10)}*{rng.randrange(10)}-{k}=" for k in range(20_000)]
    counts = Counter(map(split_of, prompts))
    assert abs(counts["train"] / 20_000 - 0.8) < 0.01
    assert abs(counts["test"] / 20_000 - 0.1) < 0.01


def test_a_prefix_of_the_problems_does_not_depend_on_how_many_are_asked_for():
    ask = {"data_seed": 5, "split": "test", "num_terms": 4}
    assert problems(count=20, **ask) == problems(count=200, **ask)[:20]


def test_more_problems_than_a_split_holds_are_refused():
    with pytest.raises(DataError, match="about 30"):
        problems(data_seed=0, split="test", count=100, num_terms=2)
    with pytest.raises(DataError, match="allowed: train, validation, test"):
        problems(data_seed=0, split="tets", count=1, num_terms=2)


@pytest.mark.parametrize("text", ["", "3+=", "3/4=", "+3=", "33+4=", "3+4*="])
def test_what_is_not_a_chain_is_refused(text):
    with pytest.raises(DataError):
        solve(text)


def test_a_teacher_without_mistakes_is_right_and_shows_every_step():
    for problem in problems(data_seed=1, split="train", count=50, num_terms=5):
        example = demonstrate(problem, mistakes=NO_MISTAKES, rng=random.Random(0))
        assert example.is_correct
        steps = example.response.removeprefix("<think>").split("</think>")[0].split(";")
        assert len(steps) == 4
        for step in steps:
            assert int(step[4]) == apply(step[1], int(step[0]), int(step[2]))
        assert example.response.endswith(f"\\boxed{{{problem.answer}}}")


def test_the_teacher_errs_per_operator_as_often_as_it_is_told():
    mistakes = {"+": 0.0, "-": 0.25, "*": 0.54}
    rng = random.Random(0)
    wrong, seen = Counter(), Counter()
    for problem in problems(data_seed=1, split="train", count=3000, num_terms=4):
        example = demonstrate(problem, mistakes=mistakes, rng=rng)
        for step in example.response.removeprefix("<think>").split("</think>")[0].split(";"):
            seen[step[1]] += 1
            wrong[step[1]] += int(step[4]) != apply(step[1], int(step[0]), int(step[2]))
    for operator, rate in mistakes.items():
        assert abs(wrong[operator] / seen[operator] - rate) < 0.03, operator


def test_the_floor_is_the_commonest_answer():
    questions = problems(data_seed=0, split="test", count=256, num_terms=4)
    answer, share = constant_floor(questions)
    assert share == max(Counter(q.answer for q in questions).values()) / 256
    assert sum(q.answer == answer for q in questions) / 256 == share
