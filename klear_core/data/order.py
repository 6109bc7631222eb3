"""The order in which training data are visited."""

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice


def shuffled_forever(count: int, *, name: str, start: int = 0) -> Iterator[int]:
    """Endless order of ``count`` items: each once an epoch, shuffled by (name, epoch) only.

    The first ``start`` visits are left out: an order is gone on with at any place, without the state of a generator.
    """
    epoch, skip = divmod(start, count)
    while True:
        yield from _epoch(count, name, epoch)[skip:]
        epoch, skip = epoch + 1, 0


def usable_forever(usable: Sequence[bool], *, name: str, start: int = 0) -> Iterator[int]:
    """``shuffled_forever`` without the items that are not usable; the others keep their order among each other.

    ``start`` counts visits of usable items. ValueError when there is none.
    """
    if not any(usable):
        raise ValueError("no item is usable")
    epoch, skip = divmod(start, sum(usable))  # an epoch visits each of them once
    order = shuffled_forever(len(usable), name=name, start=epoch * len(usable))
    return islice((index for index in order if usable[index]), skip, None)


@lru_cache(maxsize=2)
def _epoch(count: int, name: str, epoch: int) -> tuple[int, ...]:
    order = list(range(count))
    random.Random(f"{name}/{epoch}").shuffle(order)
    return tuple(order)
