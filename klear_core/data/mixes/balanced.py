"""Equally many demonstrations of every group."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping

from klear_core.data.mixes.operator import Details, MixContext, operator
from klear_core.data.mixes.sample import check_enough
from klear_core.data.mixes.text import draw_of
from klear_core.errors import DataError
from klear_core.records import SFTExample

Key = str | float
_MOST_DIFFICULTIES = 100  # more are no groups, but a scale
_KEYS: dict[str, Callable[[SFTExample], Key | None]] = {
    "source": lambda example: example.source,
    "teacher": lambda example: example.teacher,
    "difficulty": lambda example: example.difficulty,
}


@operator(
    "balanced",
    by=(lambda v: v in _KEYS, ", ".join(_KEYS)),
    count=(lambda v: v is None or v >= 1, "1 or more, or null for as many as the smallest group gives"),
)
def balanced(
    examples: Iterable[SFTExample], context: MixContext, details: Details, *, by: str, count: int | None
) -> Iterator[SFTExample]:
    """Keep equally many demonstrations of every source, teacher or difficulty, in the order in which they came.

    Without ``count`` every group gives as many as the smallest has.  With it exactly ``count`` stay: all give
    equally many as far as they go, small ones all they have, and what does not divide goes to the largest.  Within a
    group the draw is that of ``sample``.  Demonstrations of unknown difficulty are in no group of difficulty and are
    dropped.  Holds all demonstrations.  Details: ``kept`` of every group, ``unknown``, ``dropped``.
    DataError when there are fewer than ``count``, or more than a hundred difficulties.
    """
    held = list(examples)
    groups: dict[Key, list[int]] = {}
    unknown = 0
    for position, example in enumerate(held):
        key = _KEYS[by](example)
        if key is None:
            unknown += 1
        else:
            groups.setdefault(key, []).append(position)
    if by == "difficulty" and len(groups) > _MOST_DIFFICULTIES:
        raise DataError(f"balanced.by is difficulty, which has {len(groups)} values; allowed: {_MOST_DIFFICULTIES}")
    sizes = {key: len(groups[key]) for key in sorted(groups)}  # one kind of key, so they can be sorted
    known = sum(sizes.values())
    if count is None:
        wanted = dict.fromkeys(sizes, min(sizes.values(), default=0))
    else:
        check_enough("balanced", count, known)
        wanted = fair_shares(sizes, count)
    kept: set[int] = set()
    for key, positions in groups.items():
        name = f"{context.name}/balanced"
        kept.update(heapq.nsmallest(wanted[key], positions, key=lambda position: (draw_of(name, position), position)))
    details.update(kept={str(key): wanted[key] for key in sizes}, unknown=unknown, dropped=len(held) - len(kept))
    yield from (example for position, example in enumerate(held) if position in kept)


def fair_shares(sizes: Mapping[Key, int], count: int) -> dict[Key, int]:
    """Max-min fair shares: ``count`` in all, none above its size, otherwise equal; the largest take what is left over.

    ValueError when the sizes hold fewer than ``count``.
    """
    if sum(sizes.values()) < count:
        raise ValueError(f"{sum(sizes.values())} cannot give {count}")
    shares: dict[Key, int] = {}
    left, ascending = count, sorted(sizes, key=lambda key: sizes[key])
    for place, key in enumerate(ascending):  # what a small one cannot give, the larger ones share
        shares[key] = min(sizes[key], left // (len(ascending) - place))
        left -= shares[key]
    return shares
