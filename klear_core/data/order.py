"""The order in which training data are visited."""

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache


def shuffled_forever(count: int, *, name: str, start: int = 0) -> Iterator[int]:
    """Endless order of ``count`` items: each once an epoch, shuffled by (name, epoch) only.

    The first ``start`` visits are left out: an order is gone on with at any place, without the state of a generator.
    """
    epoch, skip = divmod(start, count)
    while True:
        yield from _epoch(count, name, epoch)[skip:]
        epoch, skip = epoch + 1, 0


def usable_only(order: Iterator[int], usable: Sequence[bool]) -> Iterator[int]:
    """The order without the items that are not usable: what is left keeps its place relative to each other."""
    if not any(usable):
        raise ValueError("no item is usable")
    return (index for index in order if usable[index])


@lru_cache(maxsize=2)
def _epoch(count: int, name: str, epoch: int) -> tuple[int, ...]:
    order = list(range(count))
    random.Random(f"{name}/{epoch}").shuffle(order)
    return tuple(order)
