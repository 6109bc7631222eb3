"""The k best sources, by a given ranking or by what their demonstrations are like."""

import re
from collections.abc import Callable, Iterable, Iterator

from klear_core.data.mixes.operator import Details, MixContext, operator
from klear_core.errors import ConfigError, DataError
from klear_core.records import SFTExample

GIVEN = "given"
Scorer = Callable[[SFTExample], bool | None]  # whether a demonstration counts; None where nobody says

_SCORERS: dict[str, Scorer] = {}
_OPEN, _CLOSE = "<think>", "</think>"
_BOX = re.compile(r"\\boxed\s*\{")
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n.*?\S.*?^[ \t]*```[ \t]*\r?$", re.DOTALL | re.MULTILINE)


def scorer(function: Scorer) -> Scorer:
    """Register a scorer under its name; a source's score is the share of those that count among those known."""
    name = function.__name__
    if name in _SCORERS or name == GIVEN:
        raise ValueError(f"scorer {name!r} is registered twice")
    _SCORERS[name] = function
    return function


def scorer_names() -> list[str]:
    """What ``by`` may be, sorted."""
    return sorted([GIVEN, *_SCORERS])


@scorer
def correct(example: SFTExample) -> bool | None:
    """Whether its answer is right."""
    return example.is_correct


@scorer
def complete(example: SFTExample) -> bool | None:
    r"""Whether its reasoning, if it opens any, is closed, and \boxed{...} or a fenced program stands behind it."""
    if example.response.rfind(_OPEN) > example.response.rfind(_CLOSE):
        return False
    answer = example.response.rpartition(_CLOSE)[2]
    return _has_box(answer) or _FENCE.search(answer) is not None


@scorer
def correct_complete(example: SFTExample) -> bool | None:
    """Whether it is complete and right."""
    return example.is_correct if complete(example) else False


def _has_box(text: str) -> bool:
    """Whether the last box is closed and holds something."""
    boxes = list(_BOX.finditer(text))
    depth, at = 1, boxes[-1].end() if boxes else len(text)
    start = at
    while at < len(text):
        if text[at] == "\\":
            at += 1  # an escaped brace opens nothing
        elif text[at] in "{}":
            depth += 1 if text[at] == "{" else -1
            if depth == 0:
                return bool(text[start:at].strip())
        at += 1
    return False


@operator(
    "top_sources",
    k=(lambda v: v >= 1, "1 or more"),
    ranking=(lambda v: len(set(v)) == len(v), "a list of different sources"),
    by=(lambda v: v in scorer_names(), ", ".join(scorer_names())),
)
def top_sources(
    examples: Iterable[SFTExample], context: MixContext, details: Details, *, k: int, ranking: list[str], by: str
) -> Iterator[SFTExample]:
    """Keep the demonstrations of the ``k`` best sources.

    With ``by="given"`` the best are the first of ``ranking`` that occur, which must name every source that occurs; with
    the name of a scorer they are those of the highest score, ties by name, and ``ranking`` must be empty.  Needs two
    passes, so it holds all demonstrations.  Details: ``ranking``, for each source its name, score (None where none is
    known), demonstrations, how many are known, and whether it is kept; ``dropped``.
    ConfigError when ``ranking`` and ``by`` contradict each other; DataError when a source is not ranked, a kept one has
    no score, or fewer than ``k`` sources occur.
    """
    if (by == GIVEN) != bool(ranking):
        allowed = "a list of sources" if by == GIVEN else "[], as the ranking is measured"
        raise ConfigError(f"top_sources.ranking is {ranking!r} with by={by}; allowed: {allowed}")
    held = list(examples)
    rows = _given(held, ranking) if by == GIVEN else _measured(held, _SCORERS[by])
    if len(rows) < k:
        there = ", ".join(row["source"] for row in rows) or "none"
        raise DataError(f"top_sources.k is {k}, but {len(rows)} sources occur: {there}")
    for place, row in enumerate(rows):
        row["kept"] = place < k
        if row["kept"] and row["score"] is None and by != GIVEN:
            raise DataError(f"top_sources.by is {by}, of which nothing is known in source {row['source']!r}")
    kept = {row["source"] for row in rows if row["kept"]}
    details.update(ranking=rows, dropped=sum(example.source not in kept for example in held))
    yield from (example for example in held if example.source in kept)


def _given(held: list[SFTExample], ranking: list[str]) -> list[Details]:
    """A row a source that occurs, in the order of ``ranking``."""
    counts: dict[str, int] = {}
    for example in held:
        counts[example.source] = counts.get(example.source, 0) + 1
    if left := sorted(set(counts) - set(ranking)):
        raise DataError(f"top_sources.ranking does not name {', '.join(map(repr, left))}; it must name every source")
    return [
        {"source": source, "score": None, "demonstrations": counts[source], "known": None}
        for source in ranking
        if source in counts
    ]


def _measured(held: list[SFTExample], score: Scorer) -> list[Details]:
    """A row a source, the highest score first, those without one last, ties by name."""
    found: dict[str, list[bool | None]] = {}
    for example in held:
        found.setdefault(example.source, []).append(score(example))
    rows: list[Details] = []
    for source, values in found.items():
        known = [value for value in values if value is not None]
        share = sum(known) / len(known) if known else None
        rows.append({"source": source, "score": share, "demonstrations": len(values), "known": len(known)})
    return sorted(rows, key=lambda row: (row["score"] is None, -(row["score"] or 0.0), row["source"]))
