"""A number of demonstrations: at random, or spread out."""

import heapq
from collections.abc import Iterable, Iterator
from random import Random

from klear_core.data.mixes.operator import Details, MixContext, operator
from klear_core.data.mixes.text import draw_of
from klear_core.errors import DataError
from klear_core.records import SFTExample

NGRAMS, SENTENCE = "ngrams", "sentence:"
_METHODS = ("random", "kcenter")
_POSITIVE = (lambda v: v >= 1, "1 or more")


def _is_embedding(value: str) -> bool:
    return value == NGRAMS or (value.startswith(SENTENCE) and value != SENTENCE)


@operator(
    "sample",
    count=_POSITIVE,
    method=(lambda v: v in _METHODS, ", ".join(_METHODS)),
    dimensions=_POSITIVE,
    embedding=(_is_embedding, f"{NGRAMS}, or {SENTENCE} with a local folder"),
)
def sample(
    examples: Iterable[SFTExample],
    context: MixContext,
    details: Details,
    *,
    count: int,
    method: str,
    dimensions: int,
    embedding: str,
) -> Iterator[SFTExample]:
    """Keep exactly ``count`` demonstrations, in the order in which they came; DataError when there are fewer.

    ``random`` draws without replacement: those with the smallest hashes of (``context.name``, position), so a larger
    count keeps what a smaller one does; it holds ``count`` demonstrations at a time.  ``kcenter`` spreads them out:
    farthest-first traversal of the prompts' embeddings from a first prompt that ``context.name`` draws; it holds all.
    ``embedding`` is ``ngrams`` (hashed into ``dimensions``) or ``sentence:<local folder>`` of a transformers model,
    whose size decides; both are of ``kcenter`` only, so that arms may differ in the method alone.
    Details: ``dropped``; with ``kcenter`` also ``radius``, the distance that no dropped prompt is away from a kept one.
    """
    if method == "random":
        kept, seen = _smallest(examples, count, name=f"{context.name}/sample")
        check_enough("sample", count, seen)
        details["dropped"] = seen - count
        yield from kept
        return
    held = list(examples)
    check_enough("sample", count, len(held))
    # Imported late: a plan is checked without waiting for torch.
    from klear_core.data.mixes.embed import ngram_embeddings, sentence_embeddings
    from klear_core.data.mixes.kcenter import farthest_first

    prompts = [example.prompt for example in held]
    if embedding == NGRAMS:
        embeddings_MD = ngram_embeddings(prompts, dimensions=dimensions)
    else:
        embeddings_MD = sentence_embeddings(prompts, folder=embedding.removeprefix(SENTENCE))
    first = Random(f"{context.name}/kcenter").randrange(len(held))
    chosen = farthest_first(embeddings_MD, count, first=first)
    details.update(dropped=len(held) - count, radius=chosen.radius)
    yield from (held[index] for index in sorted(chosen.indices_C.tolist()))


def check_enough(what: str, count: int, there: int) -> None:
    """DataError, which names both, when fewer than ``count`` demonstrations are ``there``."""
    if there < count:
        raise DataError(f"{what}.count is {count}, but {there} demonstrations are there")


def _smallest(examples: Iterable[SFTExample], count: int, *, name: str) -> tuple[list[SFTExample], int]:
    """The demonstrations of the smallest draws, in the order in which they came, and how many came."""
    heap: list[tuple[int, int, SFTExample]] = []  # (-draw, -position, demonstration): the largest draw is the first
    seen = 0
    for position, example in enumerate(examples):
        seen += 1
        item = (-draw_of(name, position), -position, example)
        if len(heap) < count:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)
    return [item[2] for item in sorted(heap, key=lambda item: -item[1])], seen
