"""Operators that keep demonstrations by what their records say: correctness, teacher, source, difficulty."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from klear_core.data.mixes.operator import Details, MixContext, operator
from klear_core.errors import DataError
from klear_core.records import SFTExample

_CORRECTNESS = ("only_true", "mixed", "only_false")
_DIFFICULTY = ("easy", "hard", "all")
_NAMED = (lambda v: bool(v) and len(set(v)) == len(v), "a list of different names, at least one")


@operator("correctness", keep=(lambda v: v in _CORRECTNESS, ", ".join(_CORRECTNESS)))
def correctness(
    examples: Iterable[SFTExample], context: MixContext, details: Details, *, keep: str
) -> Iterator[SFTExample]:
    """Keep right demonstrations (``only_true``), wrong ones (``only_false``) or all (``mixed``).

    Only ``mixed`` keeps those of which nobody says whether they are right.  Streams.  Details: ``right``, ``wrong`` and
    ``unknown`` of the input, ``dropped``.
    """
    details.update(right=0, wrong=0, unknown=0, dropped=0)
    wanted = {"only_true": (True,), "only_false": (False,), "mixed": (True, False, None)}[keep]
    for example in examples:
        details[{True: "right", False: "wrong", None: "unknown"}[example.is_correct]] += 1
        if example.is_correct in wanted:
            yield example
        else:
            details["dropped"] += 1


@operator("teachers", names=_NAMED)
def teachers(
    examples: Iterable[SFTExample], context: MixContext, details: Details, *, names: list[str]
) -> Iterator[SFTExample]:
    """Keep the demonstrations of the named teachers; DataError at the end when one of them has none.

    Streams.  Details: ``kept`` by name, ``dropped``.
    """
    return _named(examples, details, names, of=lambda example: example.teacher, what="teachers")


@operator("sources", names=_NAMED)
def sources(
    examples: Iterable[SFTExample], context: MixContext, details: Details, *, names: list[str]
) -> Iterator[SFTExample]:
    """Keep the demonstrations from the named sources; DataError at the end when one of them has none.

    Streams.  Details: ``kept`` by name, ``dropped``.
    """
    return _named(examples, details, names, of=lambda example: example.source, what="sources")


def _named(
    examples: Iterable[SFTExample], details: Details, names: list[str], *, of: Callable[[SFTExample], str], what: str
) -> Iterator[SFTExample]:
    details.update(kept=dict.fromkeys(names, 0), dropped=0)
    others: Counter[str] = Counter()
    for example in examples:
        name = of(example)
        if name in details["kept"]:
            details["kept"][name] += 1
            yield example
        else:
            others[name] += 1
            details["dropped"] += 1
    # A misspelled name would change the mix without a word.
    if absent := [name for name in names if not details["kept"][name]]:
        there = sorted({*others, *names} - {*absent})
        raise DataError(f"{what} names {absent[0]!r}, which no demonstration has; there are: {', '.join(there)}")


@operator(
    "difficulty",
    keep=(lambda v: v in _DIFFICULTY, ", ".join(_DIFFICULTY)),
    cut=(math.isfinite, "a finite number"),
)
def difficulty(
    examples: Iterable[SFTExample], context: MixContext, details: Details, *, keep: str, cut: float
) -> Iterator[SFTExample]:
    """Keep demonstrations of difficulty <= ``cut`` (``easy``), above it (``hard``), or all.

    Only ``all`` keeps those of which nobody knows the difficulty.  Streams.  Details: ``easy``, ``hard``, ``unknown``
    of the input, ``dropped``.
    """
    details.update(easy=0, hard=0, unknown=0, dropped=0)
    for example in examples:
        group = "unknown"
        if example.difficulty is not None:
            group = "easy" if example.difficulty <= cut else "hard"
        details[group] += 1
        if keep in ("all", group):
            yield example
        else:
            details["dropped"] += 1
