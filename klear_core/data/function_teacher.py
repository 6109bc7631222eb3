"""A fallible teacher of functions: it knows the true function, never its tests, and makes mistakes of three kinds.

=========== ====================================== ==================================================
operation   for each cap, lift, mod, div           it writes lift for cap, div for mod, and the reverse
boundary    for each threshold                     it writes ``<=`` in place of ``<``
constant    for each number of an operation        it is off by one
=========== ====================================== ==================================================

A number that would change no value is drawn again, so that hardly any mistake is without effect.
"""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from klear_core.data import functions
from klear_core.data.function_code import write_response
from klear_core.data.functions import CONSTANTS, INPUTS, Function, Operation, Piece
from klear_core.errors import DataError
from klear_core.records import Problem, SFTExample

_HALVINGS = 60  # of the interval in which the scale of the mistakes is looked for: beyond the digits of a float

# The hard words, and the word whose code the teacher writes in place of each.
CONFUSED = {"cap": "lift", "lift": "cap", "mod": "div", "div": "mod"}


@dataclass(frozen=True, kw_only=True)
class FunctionMistakes:
    """Probability of a mistake, by kind, at each place where it can be made."""

    operation: float
    boundary: float
    constant: float

    def scaled(self, factor: float) -> "FunctionMistakes":
        """All probabilities times ``factor``."""
        return FunctionMistakes(
            operation=self.operation * factor, boundary=self.boundary * factor, constant=self.constant * factor
        )


def demonstrate(problem: Problem, *, mistakes: FunctionMistakes, rng: random.Random) -> SFTExample:
    """The teacher's program; ``is_correct`` says whether it agrees with the description on all of ``INPUTS``."""
    truth = functions.parse(problem.prompt)
    written = attempt(truth, mistakes=mistakes, rng=rng)
    return SFTExample(
        problem_id=problem.problem_id,
        prompt=problem.prompt,
        response=write_response(written),
        source=problem.source,
        teacher="function_teacher",
        is_correct=agree(truth, written),
        difficulty=problem.difficulty,
    )


def attempt(truth: Function, *, mistakes: FunctionMistakes, rng: random.Random) -> Function:
    """The function as the teacher writes it."""
    return tuple(_written(piece, _inputs_of(truth, k), mistakes, rng) for k, piece in enumerate(truth))


def agree(truth: Function, written: Function) -> bool:
    """Whether two functions have the same value at all of ``INPUTS``."""
    return written == truth or all(functions.evaluate(truth, x) == functions.evaluate(written, x) for x in INPUTS)


def _inputs_of(function: Function, index: int) -> list[int]:
    """The inputs that piece ``index`` decides."""
    return [x for x in INPUTS if next(k for k, piece in enumerate(function) if piece.holds(x)) == index]


def _written(piece: Piece, inputs: Sequence[int], mistakes: FunctionMistakes, rng: random.Random) -> Piece:
    """The piece as the teacher writes it."""
    written = list(piece.operations)
    for k, operation in enumerate(piece.operations):
        if operation.word in CONFUSED and rng.random() < mistakes.operation:
            written[k] = dataclasses.replace(operation, word=CONFUSED[operation.word])
        if operation.constant is not None and rng.random() < mistakes.constant:
            near = [operation.constant + by for by in (-1, 1) if operation.constant + by in CONSTANTS]
            changed = [dataclasses.replace(written[k], constant=constant) for constant in near]
            written[k] = _with_effect(piece, k, changed, inputs, rng)
    inclusive = piece.below is not None and rng.random() < mistakes.boundary
    return Piece(below=piece.below, operations=tuple(written), inclusive=inclusive)


def _with_effect(
    piece: Piece, k: int, changed: list[Operation], inputs: Sequence[int], rng: random.Random
) -> Operation:
    """One of the ``changed`` operations in place of operation k, drawn again while it changes no value of the piece.

    When none changes a value, any is right.
    """
    rng.shuffle(changed)
    for operation in changed:
        other = (*piece.operations[:k], operation, *piece.operations[k + 1 :])
        if any(functions.run(other, x) != functions.run(piece.operations, x) for x in inputs):
            return operation
    return changed[0]


@dataclass(frozen=True, slots=True)
class Places:
    """Where mistakes can be made in a function: hard words, thresholds, and numbers of operations."""

    hard: int
    boundaries: int
    constants: int

    def accuracy(self, mistakes: FunctionMistakes) -> float:
        """Probability that no mistake is made."""
        return float(
            (1 - mistakes.operation) ** self.hard
            * (1 - mistakes.boundary) ** self.boundaries
            * (1 - mistakes.constant) ** self.constants
        )


def places(function: Function) -> Places:
    """How many mistakes of each kind a function leaves room for."""
    operations = [operation for piece in function for operation in piece.operations]
    return Places(
        hard=sum(operation.word in CONFUSED for operation in operations),
        boundaries=len(function) - 1,
        constants=sum(operation.constant is not None for operation in operations),
    )


def mistakes_for_accuracy(
    target: float, *, mistakes: FunctionMistakes, problems: Sequence[Problem]
) -> FunctionMistakes:
    """``mistakes`` times the factor at which the mean probability over ``problems`` to make none is ``target``.

    So a solver of a stated accuracy is better at easy problems than at hard ones.  DataError when no factor reaches
    it: the likeliest mistake can become certain, and then only problems without a place for it are solved.
    """
    counts = Counter(places(functions.parse(problem.prompt)) for problem in problems)

    def mean(factor: float) -> float:
        scaled = mistakes.scaled(factor)
        return sum(where.accuracy(scaled) * count for where, count in counts.items()) / len(problems)

    largest = max(mistakes.operation, mistakes.boundary, mistakes.constant)
    low, high = 0.0, 1 / largest if largest else 0.0
    if not mean(high) <= target <= 1:
        raise DataError(f"an accuracy of {target} was asked for; allowed: {mean(high):.3f} to 1")
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) > target else (low, middle)
    return mistakes.scaled(low)


def solver(
    target: float, *, mistakes: FunctionMistakes, problems: Sequence[Problem]
) -> Callable[[Problem, random.Random], SFTExample]:
    """A reference solver whose mean accuracy over ``problems`` is ``target``, with mistakes in those proportions.

    It knows the true functions and no tests, so it is not told of planted flaws.
    """
    scaled = mistakes_for_accuracy(target, mistakes=mistakes, problems=problems)
    return lambda problem, rng: demonstrate(problem, mistakes=scaled, rng=rng)
