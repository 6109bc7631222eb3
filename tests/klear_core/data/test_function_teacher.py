import json
import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.data.function_problems import draw_problem, problems
from klear_core.data.function_teacher import (
    CONFUSED,
    FunctionMistakes,
    demonstrate,
    mistakes_for_accuracy,
    places,
    solver,
)
from klear_core.data.functions import parse
from klear_core.errors import DataError
from tests.klear_core.data.test_functions import draws, program_of

NONE = FunctionMistakes(operation=0.0, boundary=0.0, constant=0.0)
TEACHER = FunctionMistakes(operation=0.5, boundary=0.1, constant=0.02)
# Of programs: what the code of each hard word looks like.
CODE = {"cap": "min(", "lift": "max(", "mod": "%", "div": "//"}


@pytest.fixture(scope="module")
def drawn():
    return problems(data_seed=1, split="train", count=3000, max_pieces=3, num_tests=16, flawed_share=0.3)


def passes(problem, response):
    """Whether a program passes the tests of a problem."""
    program = program_of(response)
    tests = zip(problem.tests.inputs, problem.tests.outputs, strict=True)
    return all(program(*json.loads(given)) == json.loads(expected) for given, expected in tests)


@given(draw=draws, seed=st.integers(0, 100))
def test_a_teacher_without_mistakes_passes_all_clean_tests(draw, seed):
    problem = draw_problem(**draw)
    example = demonstrate(problem, mistakes=NONE, rng=random.Random(seed))
    assert example.is_correct
    assert passes(problem, example.response)
    assert example.response.startswith(f"<think>pieces={problem.difficulty}</think>\n```python\n")


@given(draw=draws, seed=st.integers(0, 100))
def test_what_is_called_right_passes_and_what_is_called_wrong_is_wrong_somewhere(draw, seed):
    problem = draw_problem(**draw | {"num_tests": 24})
    example = demonstrate(problem, mistakes=TEACHER, rng=random.Random(seed))
    if example.is_correct:
        assert passes(problem, example.response)
    else:
        assert example.response != demonstrate(problem, mistakes=NONE, rng=random.Random(seed)).response


def test_the_teacher_is_not_told_of_flaws(drawn):
    clean = problems(data_seed=1, split="train", count=300, max_pieces=3, num_tests=16, flawed_share=0.0)
    for with_flaws, without in zip(drawn[:300], clean, strict=True):
        examples = [demonstrate(each, mistakes=TEACHER, rng=random.Random(0)) for each in (with_flaws, without)]
        assert examples[0] == examples[1]


def lines_of(response):
    return [line.strip() for line in response.splitlines() if line.strip().startswith("x = ")]


def test_mistakes_are_made_as_often_as_the_settings_say(drawn):
    mistakes = FunctionMistakes(operation=0.4, boundary=0.15, constant=0.05)
    rng = random.Random(0)
    made, seen = Counter(), Counter()
    for problem in drawn:
        response = demonstrate(problem, mistakes=mistakes, rng=rng).response
        operations = [operation for piece in parse(problem.prompt) for operation in piece.operations]
        for operation, line in zip(operations, lines_of(response), strict=True):
            if operation.word in CONFUSED:
                seen["operation"] += 1
                made["operation"] += CODE[operation.word] not in line
            if operation.constant is not None:
                seen["constant"] += 1
                made["constant"] += operation.constant != int(re.findall(r"\d", line)[-1])
        seen["boundary"] += response.count("if x <")
        made["boundary"] += response.count("<=")
    for kind in seen:
        assert abs(made[kind] / seen[kind] - getattr(mistakes, kind)) < 0.02, kind


def test_a_hard_word_is_confused_with_its_partner(drawn):
    certain = FunctionMistakes(operation=1.0, boundary=0.0, constant=0.0)
    for problem in drawn[:500]:
        response = demonstrate(problem, mistakes=certain, rng=random.Random(0)).response
        operations = [operation for piece in parse(problem.prompt) for operation in piece.operations]
        for operation, line in zip(operations, lines_of(response), strict=True):
            if operation.word in CONFUSED:
                assert CODE[CONFUSED[operation.word]] in line


@pytest.mark.parametrize("accuracy", [0.9, 0.6])
def test_a_solver_is_as_accurate_as_it_is_said_to_be(accuracy, drawn):
    solve = solver(accuracy, mistakes=TEACHER, problems=drawn)
    right = sum(solve(problem, random.Random(problem.problem_id)).is_correct for problem in drawn)
    assert abs(right / len(drawn) - accuracy) < 0.03


@given(accuracy=st.floats(0.3, 1.0))
def test_the_mistakes_of_a_solver_have_the_stated_mean_and_the_proportions_of_the_teacher(accuracy):
    some = problems(data_seed=1, split="train", count=100, max_pieces=3, num_tests=16, flawed_share=0.0)
    mistakes = mistakes_for_accuracy(accuracy, mistakes=TEACHER, problems=some)
    mean = sum(places(parse(problem.prompt)).accuracy(mistakes) for problem in some) / 100
    assert mean == pytest.approx(accuracy, abs=1e-9)
    assert mistakes.boundary == pytest.approx(mistakes.operation * 0.2)


def test_a_solver_is_better_at_easy_problems(drawn):
    mistakes = mistakes_for_accuracy(0.6, mistakes=TEACHER, problems=drawn)
    means = []
    for pieces in (1, 2, 3):
        of_size = [places(parse(p.prompt)).accuracy(mistakes) for p in drawn if p.difficulty == pieces]
        means.append(sum(of_size) / len(of_size))
    assert means == sorted(means, reverse=True)


def test_an_accuracy_that_no_mistakes_lead_to_is_refused(drawn):
    for accuracy in (0.01, 1.1, float("nan")):
        with pytest.raises(DataError, match="allowed: 0"):
            mistakes_for_accuracy(accuracy, mistakes=TEACHER, problems=drawn)
    with pytest.raises(DataError, match=r"allowed: 1\.000 to 1"):
        mistakes_for_accuracy(0.9, mistakes=NONE, problems=drawn)
