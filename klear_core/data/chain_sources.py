"""Ways to write the solution of a chain down, the best first: generated sources that differ in one flaw each.

============= ==========================================================================================
clean         every step, as it was made
foreign       the result stands before its step: 7=3+4
wrong_steps   each result but the last is shown wrong, one time in two, and the true one is gone on with
truncated     one response in two is cut somewhere in its reasoning
wrong_answers one response in two has a wrong number in its box
skipped       each step but the last is left out, one time in two
============= ==========================================================================================
"""

import random
from collections.abc import Callable, Sequence

from klear_core.data.chains import THINK_OPEN, Step, other_number, write_response

_HALF = 0.5

Writer = Callable[[Sequence[Step], random.Random], str]  # steps -> response


def _clean(steps: Sequence[Step], rng: random.Random) -> str:
    return write_response(";".join(map(str, steps)), steps[-1].result)


def _skipped(steps: Sequence[Step], rng: random.Random) -> str:
    kept = [str(step) for step in steps[:-1] if rng.random() >= _HALF]
    return write_response(";".join([*kept, str(steps[-1])]), steps[-1].result)


def _foreign(steps: Sequence[Step], rng: random.Random) -> str:
    turned = [f"{step.result}={step.asked}" for step in steps]
    return write_response(";".join(turned), steps[-1].result)


def _wrong_steps(steps: Sequence[Step], rng: random.Random) -> str:
    shown = []
    for step in steps[:-1]:
        result = other_number(step.result, rng, digits=step.digits) if rng.random() < _HALF else step.result
        shown.append(f"{step.asked}={result}")
    return write_response(";".join([*shown, str(steps[-1])]), steps[-1].result)


def _truncated(steps: Sequence[Step], rng: random.Random) -> str:
    if rng.random() >= _HALF:
        return _clean(steps, rng)
    trace = ";".join(map(str, steps))
    return THINK_OPEN + trace[: rng.randrange(1, len(trace))]


def _wrong_answers(steps: Sequence[Step], rng: random.Random) -> str:
    answer = steps[-1].result
    if rng.random() < _HALF:
        answer = other_number(answer, rng, digits=steps[-1].digits)
    return write_response(";".join(map(str, steps)), answer)


# Best first, by what each is worth alone (sweep=sft_solo).
WRITERS: dict[str, Writer] = {
    "clean": _clean,
    "foreign": _foreign,
    "wrong_steps": _wrong_steps,
    "truncated": _truncated,
    "wrong_answers": _wrong_answers,
    "skipped": _skipped,
}
