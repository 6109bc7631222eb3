"""Arithmetic chains: a deterministic family of verifiable problems, and a fallible teacher that solves them.

A problem is a chain of single digits under + - *, evaluated strictly left to right modulo 10::

    prompt    3+4*7-2=
    response  <think>3+4=7;7*7=9;9-2=7</think>\\boxed{7}

Difficulty is the number of operators plus that of multiplications.  A prompt belongs to the split that a hash of its
text gives (80 % train, 10 % validation, 10 % test), so splits never share a prompt.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from klear_core.data.splits import check_count, different, problem_id_of, split_of
from klear_core.errors import DataError
from klear_core.records import Problem, SFTExample

THINK_OPEN, THINK_CLOSE, BOX_OPEN, BOX_CLOSE = "<think>", "</think>", "\\boxed{", "}"
OPERATORS = "+-*"
DOMAIN = "arithmetic_chain"


def apply(operator: str, left: int, right: int) -> int:
    """One step of a chain, modulo 10."""
    value = {"+": left + right, "-": left - right, "*": left * right}[operator]
    return value % 10


def solve(prompt: str) -> int:
    """Value of a chain such as ``3+4*7=``, left to right modulo 10; DataError when it is not a chain."""
    body = prompt.removesuffix("=")
    if len(body) % 2 == 0 or not body[::2].isdigit() or set(body[1::2]) - set(OPERATORS):
        raise DataError(f"{prompt!r} is not a chain of digits under {' '.join(OPERATORS)}")
    value = int(body[0])
    for operator, digit in zip(body[1::2], body[2::2], strict=True):
        value = apply(operator, value, int(digit))
    return value


def draw_problem(*, data_seed: int, split: str, index: int, num_terms: int, min_terms: int | None = None) -> Problem:
    """Problem ``index`` of a split's endless stream, of ``min_terms`` to ``num_terms`` terms, each length as likely.

    All have ``num_terms`` when ``min_terms`` is None.  A function of its arguments alone.
    """
    min_terms = min_terms or num_terms
    lengths = f"{num_terms}" if min_terms == num_terms else f"{min_terms}-{num_terms}"
    rng = random.Random(f"chains/{data_seed}/{split}/{index}/{lengths}")
    while True:
        terms = num_terms if min_terms == num_terms else rng.randint(min_terms, num_terms)
        prompt = str(rng.randrange(10))
        for _ in range(terms - 1):
            prompt += rng.choice(OPERATORS) + str(rng.randrange(10))
        prompt += "="
        if split_of(prompt) == split:
            return _problem(prompt)


def problems(*, data_seed: int, split: str, count: int, num_terms: int, min_terms: int | None = None) -> list[Problem]:
    """The first ``count`` different problems of a split's stream; DataError when the split has fewer."""
    min_terms = min_terms or num_terms
    # The shortest chains run out first, and each length is to have its share.
    everywhere = (num_terms - min_terms + 1) * 10**min_terms * len(OPERATORS) ** (min_terms - 1)
    lengths = str(num_terms) if min_terms == num_terms else f"{min_terms} to {num_terms}"
    check_count(split, count, everywhere=everywhere, what=f"chains of {lengths} terms")

    def draw(index: int) -> Problem:
        return draw_problem(data_seed=data_seed, split=split, index=index, num_terms=num_terms, min_terms=min_terms)

    return list(islice(different(draw), count))


def _problem(prompt: str) -> Problem:
    return Problem(
        problem_id=problem_id_of(prompt),
        domain=DOMAIN,
        prompt=prompt,
        answer=str(solve(prompt)),
        source="chains",
        difficulty=(len(prompt) - 2) // 2 + prompt.count("*"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a solution as it was made: ``left operator digit = result``."""

    left: int
    operator: str
    digit: int
    result: int

    def __str__(self) -> str:
        return f"{self.left}{self.operator}{self.digit}={self.result}"


def attempt(problem: Problem, *, mistakes: Mapping[str, float], rng: random.Random) -> list[Step]:
    """A teacher's steps. For each, with the probability that ``mistakes`` gives for its operator, it writes
    a wrong digit (uniform over the nine) and goes on from there.
    """
    value = int(problem.prompt[0])
    steps = []
    for operator, digit in zip(problem.prompt[1:-1:2], problem.prompt[2:-1:2], strict=True):
        result = apply(operator, value, int(digit))
        if rng.random() < mistakes[operator]:
            result = (result + rng.randrange(1, 10)) % 10
        steps.append(Step(left=value, operator=operator, digit=int(digit), result=result))
        value = result
    return steps


def demonstrate(problem: Problem, *, mistakes: Mapping[str, float], rng: random.Random) -> SFTExample:
    """The teacher's solution, every step written out."""
    steps = attempt(problem, mistakes=mistakes, rng=rng)
    value = steps[-1].result
    return SFTExample(
        problem_id=problem.problem_id,
        prompt=problem.prompt,
        response=write_response(";".join(map(str, steps)), value),
        source=problem.source,
        teacher="chain_teacher",
        is_correct=str(value) == problem.answer,
        difficulty=problem.difficulty,
    )


def write_response(trace: str, answer: int) -> str:
    """A response with its reasoning and its boxed answer."""
    return f"{THINK_OPEN}{trace}{THINK_CLOSE}{BOX_OPEN}{answer}{BOX_CLOSE}"


def constant_floor(questions: Sequence[Problem]) -> tuple[str, float]:
    """The best constant answer and the share of questions it solves: what a policy gets without reading them."""
    answer, count = min(Counter(problem.answer for problem in questions).items(), key=lambda item: (-item[1], item[0]))
    return answer, count / len(questions)
