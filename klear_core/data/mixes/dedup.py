"""Exact duplicates."""

from collections.abc import Iterable, Iterator

from klear_core.data.mixes.operator import Details, MixContext, operator
from klear_core.data.mixes.text import digest
from klear_core.records import SFTExample

_OF = ("prompt", "pair")


@operator("dedup", of=(lambda v: v in _OF, ", ".join(_OF)))
def dedup(examples: Iterable[SFTExample], context: MixContext, details: Details, *, of: str) -> Iterator[SFTExample]:
    """Keep the first demonstration of a prompt (``of="prompt"``) or of a prompt with its response (``of="pair"``).

    Texts are equal when they agree after Unicode NFKC and with every run of whitespace as one space; letters keep their
    case, the system message does not count.  It streams and remembers 16 bytes an example, so two different texts are
    taken for equal with probability 1e-26 among a million.  Details: ``dropped``.
    """
    seen: set[bytes] = set()
    details["dropped"] = 0
    for example in examples:
        key = digest(example.prompt) if of == "prompt" else digest(example.prompt, example.response)
        if key in seen:
            details["dropped"] += 1
        else:
            seen.add(key)
            yield example
