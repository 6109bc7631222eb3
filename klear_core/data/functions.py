"""Functions of one integer in a small fixed vocabulary: their description as text, and what the description means.

A function has pieces; each has one or more operations that are applied to x in their order::

    f(x): x<3: double, add 4; x<9: square; else: flip 5

Nothing here knows how a function is written in Python: the meaning of a description is what programs are held against.
"""

import re
from dataclasses import dataclass

from klear_core.errors import DataError

HEAD = "f(x):"
# Words that take no number, and words that take one.
PLAIN_WORDS = ("double", "negate", "square")
COUNTED_WORDS = ("add", "sub", "flip", "cap", "lift", "mod", "div")
WORDS = (*PLAIN_WORDS, *COUNTED_WORDS)
CONSTANTS = range(2, 10)  # of operations; without 0 and 1, which many of them would not change anything by
THRESHOLDS = range(0, 10)
INPUTS = range(-9, 19)  # what a function is asked about; every piece holds at least ``LEAST_WIDTH`` of them
LEAST_WIDTH = 3

_PIECE = re.compile(r"(?:x<(\d): |else: )?([a-z]+(?: \d)?(?:, [a-z]+(?: \d)?)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A word and its number; None for a word that takes none."""

    word: str
    constant: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Operations for x below a threshold; None in the last piece, which holds for all other x."""

    below: int | None
    operations: tuple[Operation, ...]
    inclusive: bool = False  # x <= below in place of x < below: a mistake, which no description can say

    def holds(self, x: int) -> bool:
        """Whether the piece's condition is true of x; the first piece of a function that holds decides."""
        return self.below is None or x < self.below + self.inclusive


Function = tuple[Piece, ...]


def describe(function: Function) -> str:
    """The prompt that describes a function."""
    parts = []
    for piece in function:
        words = ", ".join(_described(operation) for operation in piece.operations)
        head = f" x<{piece.below}:" if piece.below is not None else " else:" if len(function) > 1 else ""
        parts.append(f"{head} {words}")
    return HEAD + ";".join(parts)


def _described(operation: Operation) -> str:
    return operation.word if operation.constant is None else f"{operation.word} {operation.constant}"


def parse(prompt: str) -> Function:
    """The function that a prompt describes; DataError when it describes none."""
    refused = DataError(f"{prompt!r} describes no function such as 'f(x): x<3: double, add 4; else: square'")
    if not prompt.startswith(HEAD + " "):
        raise refused
    pieces = []
    for text in prompt.removeprefix(HEAD + " ").split("; "):
        found = _PIECE.fullmatch(text)
        if found is None:
            raise refused
        below = None if found[1] is None else int(found[1])
        pieces.append(Piece(below=below, operations=tuple(map(_parsed, found[2].split(", ")))))
    function = tuple(pieces)
    known = all(
        operation.word in (PLAIN_WORDS if operation.constant is None else COUNTED_WORDS)
        for piece in function
        for operation in piece.operations
    )
    conditions = [piece.below is not None for piece in function]
    if not known or conditions != [True] * (len(function) - 1) + [False] or describe(function) != prompt:
        raise refused
    return function


def _parsed(text: str) -> Operation:
    word, _, constant = text.partition(" ")
    return Operation(word=word, constant=int(constant) if constant else None)


def evaluate(function: Function, x: int) -> int:
    """Value of a function at x. ``div`` rounds down and ``mod`` has the sign of its number, as in Python."""
    piece = next(piece for piece in function if piece.holds(x))
    return run(piece.operations, x)


def run(operations: tuple[Operation, ...], x: int) -> int:
    """What some operations, one after the other, make of x."""
    for operation in operations:
        x = _applied(operation.word, x, operation.constant or 0)
    return x


def _applied(word: str, x: int, k: int) -> int:
    match word:
        case "double":
            return x + x
        case "negate":
            return 0 - x
        case "square":
            return x**2
        case "add":
            return x + k
        case "sub":
            return x - k
        case "flip":  # mirrored: what is missing from x to k
            return k - x
        case "cap":  # at most k
            return k if x > k else x
        case "lift":  # at least k
            return k if x < k else x
        case "mod":
            return divmod(x, k)[1]
        case "div":
            return divmod(x, k)[0]
    raise DataError(f"{word!r} is no operation; allowed: {', '.join(WORDS)}")
