"""Which split a prompt belongs to, and streams of different problems: what all generated tasks share."""

import hashlib
from collections.abc import Callable, Iterator

from klear_core.errors import DataError
from klear_core.records import Problem

SPLITS = ("train", "validation", "test")


def split_of(prompt: str) -> str:
    """Split of a prompt, by a hash of its text alone: 80 % train, 10 % validation, 10 % test."""
    bucket = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8], "big") % 10
    return {8: "validation", 9: "test"}.get(bucket, "train")


def problem_id_of(prompt: str) -> str:
    """Id of a problem: a hash of its prompt alone."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:12]


def check_count(split: str, count: int, *, everywhere: float, what: str) -> None:
    """DataError unless ``split`` is one and ``count`` problems are at most half of those it has.

    ``everywhere`` is the number of different prompts of all splits together; ``what`` names them in the message.
    """
    if split not in SPLITS:
        raise DataError(f"split is {split!r}; allowed: {', '.join(SPLITS)}")
    available = everywhere * (0.8 if split == "train" else 0.1)
    if count > available / 2:
        raise DataError(f"{count} different {split} problems were asked for; {what} have about {available:.0f}")


def different(draw: Callable[[int], Problem]) -> Iterator[Problem]:
    """The endless stream ``draw(0), draw(1), ...`` without the prompts that it has had already."""
    seen: set[str] = set()
    index = 0
    while True:
        problem = draw(index)
        index += 1
        if problem.prompt not in seen:
            seen.add(problem.prompt)
            yield problem
