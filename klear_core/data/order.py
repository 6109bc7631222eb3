"""The order in which training data are visited."""

import random
from collections.abc import Iterator


def shuffled_forever(count: int, *, name: str) -> Iterator[int]:
    """Endless order of ``count`` items: each once an epoch, shuffled by (name, epoch) only."""
    epoch = 0
    while True:
        order = list(range(count))
        random.Random(f"{name}/{epoch}").shuffle(order)
        yield from order
        epoch += 1
