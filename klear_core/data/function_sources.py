"""Ways to write a program down, the best first: generated sources that differ in one flaw each.

============= ==========================================================================================
clean         the program as the teacher has it, behind the number of its pieces
skipped       without the reasoning
wrong_steps   the number of pieces is wrong, one time in two
foreign       a line that does nothing before every operation
truncated     one response in two is cut somewhere in its program
wrong_answers one program in two has as many mistakes as can be made
============= ==========================================================================================
"""

import random
from collections.abc import Callable

from klear_core.data.function_code import write_response, write_without_reasoning
from klear_core.data.function_teacher import FunctionMistakes, agree, attempt
from klear_core.data.functions import Function

_HALF = 0.5
_MANY_MISTAKES = FunctionMistakes(operation=1.0, boundary=0.5, constant=0.5)
_MOST_PIECES = 4

# The true function, the teacher's, and random numbers -> the response and whether its program is right.
Writer = Callable[[Function, Function, random.Random], tuple[str, bool]]


def _clean(truth: Function, written: Function, rng: random.Random) -> tuple[str, bool]:
    return write_response(written), agree(truth, written)


def _skipped(truth: Function, written: Function, rng: random.Random) -> tuple[str, bool]:
    return write_without_reasoning(written), agree(truth, written)


def _foreign(truth: Function, written: Function, rng: random.Random) -> tuple[str, bool]:
    return write_response(written, idle=True), agree(truth, written)


def _wrong_steps(truth: Function, written: Function, rng: random.Random) -> tuple[str, bool]:
    pieces = len(written)
    if rng.random() < _HALF:
        pieces = rng.choice([count for count in range(1, _MOST_PIECES + 1) if count != pieces])
    return write_response(written, restated=pieces), agree(truth, written)


def _truncated(truth: Function, written: Function, rng: random.Random) -> tuple[str, bool]:
    response = write_response(written)
    if rng.random() >= _HALF:
        return response, agree(truth, written)
    # At a line's end, where the vocabulary has a token that ends; the program's last lines are never there.
    lines = response.split("\n")
    return "\n".join(lines[: rng.randrange(3, len(lines) - 1)]), False


def _wrong_answers(truth: Function, written: Function, rng: random.Random) -> tuple[str, bool]:
    if rng.random() < _HALF:
        written = attempt(truth, mistakes=_MANY_MISTAKES, rng=rng)
    return write_response(written), agree(truth, written)


# Best first, by what each is worth alone (sweep=sft_solo).
WRITERS: dict[str, Writer] = {
    "clean": _clean,
    "skipped": _skipped,
    "wrong_steps": _wrong_steps,
    "foreign": _foreign,
    "truncated": _truncated,
    "wrong_answers": _wrong_answers,
}
