"""Problems that ask for a short Python function: drawing them, testing them, and planting flaws in their tests.

A prompt describes the function (``klear_core.data.functions``); tests are calls with one integer.  Difficulty is the
number of pieces, 1 to ``max_pieces``, drawn in proportion to itself: there are far more functions of many pieces.
Every threshold has tests on both of its sides and a value that jumps there, so ``<=`` for ``<`` fails exactly its test.
"""

import dataclasses
import json
import math
import random
import statistics
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice, pairwise

from klear_core.data import functions
from klear_core.data.function_code import ENTRY
from klear_core.data.functions import (
    CONSTANTS,
    COUNTED_WORDS,
    INPUTS,
    LEAST_WIDTH,
    PLAIN_WORDS,
    THRESHOLDS,
    WORDS,
    Function,
    Operation,
    Piece,
)
from klear_core.data.splits import check_count, different, problem_id_of, split_of
from klear_core.records import CodeTests, Problem, TestKind

DOMAIN = "piecewise_function"
MAX_OPERATIONS = 2  # a piece
MAX_FLAWS = 4  # wrong expected outputs of a flawed problem


def problems(
    *, data_seed: int, split: str, count: int, max_pieces: int, num_tests: int, flawed_share: float
) -> list[Problem]:
    """The first ``count`` different problems of a split's stream; DataError when the split has fewer.

    In ``flawed_share`` of the training problems some expected outputs are wrong; the other splits are always clean.
    """
    check_count(
        split, count, everywhere=_number_of_functions(max_pieces), what=f"functions of at most {max_pieces} pieces"
    )
    clean = _clean_problems(data_seed, split, count, max_pieces, num_tests)
    if split != "train":
        return list(clean)
    return [plant_flaws(problem, data_seed=data_seed, share=flawed_share) for problem in clean]


@lru_cache(maxsize=4)  # a run asks for its problems several times, and drawing them takes a second
def _clean_problems(data_seed: int, split: str, count: int, max_pieces: int, num_tests: int) -> tuple[Problem, ...]:
    def draw(index: int) -> Problem:
        return draw_problem(data_seed=data_seed, split=split, index=index, max_pieces=max_pieces, num_tests=num_tests)

    return tuple(islice(different(draw), count))


def draw_problem(*, data_seed: int, split: str, index: int, max_pieces: int, num_tests: int) -> Problem:
    """Problem ``index`` of a split's endless stream, with clean tests; a function of its arguments alone."""
    rng = random.Random(f"functions/{data_seed}/{split}/{index}/{max_pieces}")
    sizes = range(1, max_pieces + 1)
    while True:
        function = _draw_function(rng, rng.choices(sizes, weights=sizes)[0])
        prompt = functions.describe(function)
        if split_of(prompt) == split and _jumps(function):
            return _problem(function, prompt, num_tests)


def plant_flaws(problem: Problem, *, data_seed: int, share: float) -> Problem:
    """The problem, with 1 to ``MAX_FLAWS`` wrong expected outputs if a hash of seed and problem falls below ``share``.

    What is flawed under some share is flawed in the same way under a larger one.
    """
    rng = random.Random(f"flaws/{data_seed}/{problem.problem_id}")
    if rng.random() >= share or problem.tests is None:
        return problem
    outputs = [int(output) for output in problem.tests.outputs]
    chosen = rng.sample(range(len(outputs)), rng.randint(1, MAX_FLAWS))
    spoiled = list(outputs)
    for index in chosen:
        # What a careless author writes: off by a little, the sign, or the value of another test.
        right, other = outputs[index], rng.choice(outputs)
        plausible = {right + 1, right - 1, right + 2, right - 2, -right, other} - {right}
        spoiled[index] = rng.choice(sorted(plausible))
    tests = dataclasses.replace(problem.tests, outputs=tuple(json.dumps(value) for value in spoiled))
    return dataclasses.replace(problem, tests=tests, flawed=True)


def _draw_function(rng: random.Random, size: int) -> Function:
    """``size`` pieces of 1 to ``MAX_OPERATIONS`` operations, no word twice.

    So a small model finds its place in the description again by the word it wrote last.  A single piece has the most
    operations: there are too few functions of one operation to fill the splits.
    """
    # Thresholds at least LEAST_WIDTH apart: drawn closer together, then spread.
    spread = LEAST_WIDTH - 1
    drawn = sorted(rng.sample(range(len(THRESHOLDS) - spread * max(size - 2, 0)), size - 1))
    thresholds = [THRESHOLDS[low + spread * k] for k, low in enumerate(drawn)]
    least = 1 if size > 1 else MAX_OPERATIONS
    words = iter(rng.sample(WORDS, len(WORDS)))
    return tuple(
        Piece(
            below=below,
            operations=tuple(
                Operation(word=word, constant=rng.choice(CONSTANTS) if word in COUNTED_WORDS else None)
                for word in islice(words, rng.randint(least, MAX_OPERATIONS))
            ),
        )
        for below in (*thresholds, None)
    )


def _jumps(function: Function) -> bool:
    """Whether at every threshold the pieces on its two sides give different values."""
    return all(
        functions.run(piece.operations, piece.below) != functions.run(after.operations, piece.below)
        for piece, after in pairwise(function)
        if piece.below is not None
    )


def _number_of_functions(max_pieces: int) -> float:
    """About how many functions of ``max_pieces`` pieces there are, two operations each; fewer pieces add little."""
    choices = statistics.mean([len(CONSTANTS)] * len(COUNTED_WORDS) + [1] * len(PLAIN_WORDS))
    count = MAX_OPERATIONS * max_pieces
    return math.perm(len(WORDS), count) * choices**count


def _problem(function: Function, prompt: str, num_tests: int) -> Problem:
    inputs = _test_inputs(function, num_tests, random.Random(f"tests/{prompt}"))
    return Problem(
        problem_id=problem_id_of(prompt),
        domain=DOMAIN,
        prompt=prompt,
        answer="",
        source="functions",
        difficulty=len(function),
        tests=CodeTests(
            kind=TestKind.FUNCTION,
            entry=ENTRY,
            inputs=tuple(json.dumps([x]) for x in inputs),
            outputs=tuple(json.dumps(functions.evaluate(function, x)) for x in inputs),
        ),
    )


def _test_inputs(function: Function, count: int, rng: random.Random) -> list[int]:
    """Different inputs in ascending order, shared out evenly among the pieces, with both sides of every threshold."""
    pieces: list[list[int]] = [[] for _ in function]
    for x in INPUTS:
        pieces[next(k for k, piece in enumerate(function) if piece.holds(x))].append(x)
    edges = {x for piece in function if piece.below is not None for x in (piece.below - 1, piece.below)}
    waiting = [
        [*(x for x in members if x in edges), *rng.sample(inner, len(inner))]
        for members in pieces
        for inner in [[x for x in members if x not in edges]]
    ]
    chosen: list[int] = []
    while len(chosen) < count:
        for queue in waiting:
            if queue and len(chosen) < count:
                chosen.append(queue.pop(0))
    return sorted(chosen)


def constant_floor(questions: Sequence[Problem]) -> tuple[str, float]:
    """The question whose own program solves most of the questions, and their share: what is had without reading."""
    asked = [_calls(question) for question in questions]
    solved = {}
    for question in questions:
        function = functions.parse(question.prompt)
        values = {x: functions.evaluate(function, x) for x in INPUTS}
        solved[question.prompt] = sum(all(values[x] == output for x, output in calls) for calls in asked)
    prompt = min(solved, key=lambda each: (-solved[each], each))
    return prompt, solved[prompt] / len(questions)


def _calls(problem: Problem) -> list[tuple[int, int]]:
    """Input and expected output of every test."""
    assert problem.tests is not None
    tests = zip(problem.tests.inputs, problem.tests.outputs, strict=True)
    return [(json.loads(given)[0], json.loads(expected)) for given, expected in tests]
