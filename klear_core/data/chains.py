"""Arithmetic chains: a deterministic family of verifiable problems, and a fallible teacher that solves them.

A problem is a chain of numbers under + - *, evaluated strictly left to right modulo 10^D, where D digits is the most
that a number has.  With one digit a step is its result; with more it shows its columns, see ``chain_working``::

    prompt    3+4*7-2=
    response  <think>3+4=7;7*7=9;9-2=7</think>\\boxed{7}
    prompt    47+86-5=
    response  <think>47+86(7+6=13,4+8+1=13)=33;33-5(13-5=8,3-0-1=2)=28</think>\\boxed{28}

Difficulty is the number of operators plus that of multiplications.  A prompt belongs to the split that a hash of its
text gives (80 % train, 10 % validation, 10 % test), so splits never share a prompt.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from klear_core.data.chain_working import working
from klear_core.data.splits import check_count, different, problem_id_of, split_of
from klear_core.errors import DataError
from klear_core.records import Problem, SFTExample

THINK_OPEN, THINK_CLOSE, BOX_OPEN, BOX_CLOSE = "<think>", "</think>", "\\boxed{", "}"
OPERATORS = "+-*"
DOMAIN = "arithmetic_chain"


def apply(operator: str, left: int, right: int, *, digits: int = 1) -> int:
    """One step of a chain, modulo 10^digits."""
    value = {"+": left + right, "-": left - right, "*": left * right}[operator]
    return value % int(10**digits)


def parse(prompt: str, *, digits: int = 1) -> tuple[int, list[tuple[str, int]]]:
    """First number of a chain such as ``3+4*7=``, and the operator and number of each step; DataError for others."""
    number = "[0-9]" if digits == 1 else f"(?:0|[1-9][0-9]{{0,{digits - 1}}})"
    if not re.fullmatch(f"{number}(?:[+*-]{number})*=?", prompt):
        kind = "digits" if digits == 1 else f"numbers of up to {digits} digits"
        raise DataError(f"{prompt!r} is not a chain of {kind} under {' '.join(OPERATORS)}")
    first, *rest = re.findall("[0-9]+|[+*-]", prompt)
    return int(first), [(operator, int(value)) for operator, value in zip(rest[::2], rest[1::2], strict=True)]


def solve(prompt: str, *, digits: int = 1) -> int:
    """Value of a chain such as ``3+4*7=``, left to right modulo 10^digits; DataError when it is not a chain."""
    value, steps = parse(prompt, digits=digits)
    for operator, right in steps:
        value = apply(operator, value, right, digits=digits)
    return value


def draw_problem(
    *, data_seed: int, split: str, index: int, num_terms: int, min_terms: int | None = None, digits: int = 1
) -> Problem:
    """Problem ``index`` of a split's endless stream, of ``min_terms`` to ``num_terms`` terms, each length as likely.

    All have ``num_terms`` when ``min_terms`` is None.  A term is any number of up to ``digits`` digits, each as likely.
    A function of its arguments alone.
    """
    min_terms = min_terms or num_terms
    lengths = f"{num_terms}" if min_terms == num_terms else f"{min_terms}-{num_terms}"
    many = "" if digits == 1 else f"/{digits}d"
    rng = random.Random(f"chains/{data_seed}/{split}/{index}/{lengths}{many}")
    while True:
        terms = num_terms if min_terms == num_terms else rng.randint(min_terms, num_terms)
        prompt = str(rng.randrange(10**digits))
        for _ in range(terms - 1):
            prompt += rng.choice(OPERATORS) + str(rng.randrange(10**digits))
        prompt += "="
        if split_of(prompt) == split:
            return _problem(prompt, digits)


def problems(
    *, data_seed: int, split: str, count: int, num_terms: int, min_terms: int | None = None, digits: int = 1
) -> list[Problem]:
    """The first ``count`` different problems of a split's stream; DataError when the split has fewer."""
    min_terms = min_terms or num_terms
    # The shortest chains run out first, and each length is to have its share.
    everywhere = (num_terms - min_terms + 1) * 10 ** (digits * min_terms) * len(OPERATORS) ** (min_terms - 1)
    lengths = str(num_terms) if min_terms == num_terms else f"{min_terms} to {num_terms}"
    check_count(split, count, everywhere=everywhere, what=f"chains of {lengths} terms")
    terms = {"num_terms": num_terms, "min_terms": min_terms, "digits": digits}

    def draw(index: int) -> Problem:
        return draw_problem(data_seed=data_seed, split=split, index=index, **terms)

    return list(islice(different(draw), count))


def _problem(prompt: str, digits: int) -> Problem:
    return Problem(
        problem_id=problem_id_of(prompt),
        domain=DOMAIN,
        prompt=prompt,
        answer=str(solve(prompt, digits=digits)),
        source="chains",
        difficulty=sum(map(prompt.count, OPERATORS)) + prompt.count("*"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a solution as it was made: ``left operator right = result``, of up to ``digits`` digits each."""

    left: int
    operator: str
    right: int
    result: int
    digits: int = 1

    @property
    def asked(self) -> str:
        """What is to be calculated, with its columns when it has several."""
        text = f"{self.left}{self.operator}{self.right}"
        if self.digits == 1:
            return text
        return f"{text}({working(self.left, self.operator, self.right, self.result, digits=self.digits)})"

    def __str__(self) -> str:
        return f"{self.asked}={self.result}"


def attempt(problem: Problem, *, mistakes: Mapping[str, float], rng: random.Random, digits: int = 1) -> list[Step]:
    """A teacher's steps. For each, with the probability that ``mistakes`` gives for its operator, it writes
    a wrong result (uniform over all others) and goes on from there.
    """
    value, asked = parse(problem.prompt, digits=digits)
    steps = []
    for operator, right in asked:
        result = apply(operator, value, right, digits=digits)
        if rng.random() < mistakes[operator]:
            result = other_number(result, rng, digits=digits)
        steps.append(Step(left=value, operator=operator, right=right, result=result, digits=digits))
        value = result
    return steps


def other_number(value: int, rng: random.Random, *, digits: int) -> int:
    """Any other result modulo 10^digits, each as likely."""
    return (value + rng.randrange(1, 10**digits)) % int(10**digits)


def demonstrate(problem: Problem, *, mistakes: Mapping[str, float], rng: random.Random, digits: int = 1) -> SFTExample:
    """The teacher's solution, every step written out."""
    steps = attempt(problem, mistakes=mistakes, rng=rng, digits=digits)
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
