"""What a stream of records is like: counts, lengths, duplicates and overlap, in some 60 bytes of memory a row."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from klear_core.data.formats.fingerprint import Fingerprint, Fingerprinter
from klear_core.data.formats.format import Record
from klear_core.records import Problem, SFTExample

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_MAX_NAMES = 10_000  # different sources that are told apart; the rows of later ones are counted together
_MAX_VALUES = 12  # different difficulties that are told apart
_BINS = 10  # of difficulties that are more

Contaminated = Callable[[str], bool]  # whether a prompt overlaps with questions that it must not be trained on


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How many rows have each name, the most frequent first; ``""`` is unknown."""

    rows: dict[str, int]
    others: int  # rows whose name was not told apart, as there were too many


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulties:
    """How many rows have each difficulty, or lie in each of the bins ``low`` to ``high``, the last one inclusive."""

    bins: list[tuple[float, float, int]]  # low, high, rows; low is high for a value
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Lengths of texts, in the unit that the name of the field says."""

    mean: float
    smallest: int
    largest: int
    quantiles: dict[str, float]  # "0.5" -> the median
    bins: list[tuple[int, int, int]]  # low, high (exclusive), rows: powers of two, and 0 alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What the rows are like. None for what their kind does not have."""

    fingerprint: Fingerprint
    sources: Names
    domains: Names | None  # of problems
    teachers: Names | None  # of demonstrations
    correctness: dict[str, int] | None  # right, wrong, unknown -> rows, of demonstrations
    decided_by: dict[str, int] | None  # answer, tests, nothing -> rows, of problems
    difficulties: Difficulties
    systems: int  # rows with a system message
    prompts: int  # different prompts
    repeated_prompts: int  # rows whose prompt an earlier row has
    repeated_pairs: int | None  # rows whose prompt and response an earlier row has
    lengths: dict[str, Lengths]  # "prompt characters", "prompt words" and the same of the response
    contaminated: dict[str, int]  # name of a list of questions -> rows whose prompt overlaps with one


def profile(records: Iterable[Record], *, against: Mapping[str, Contaminated]) -> Profile:
    """Read all records, of one kind, once. ``against`` names what their prompts are compared with."""
    fingerprinter = Fingerprinter()
    counts = _Counts()
    contaminated = dict.fromkeys(against, 0)
    for record in records:
        fingerprinter.add(record)
        counts.add(record)
        for name, overlaps in against.items():
            contaminated[name] += overlaps(record.prompt)
    demonstrations = counts.kinds[SFTExample] > 0
    return Profile(
        fingerprint=fingerprinter.result(),
        sources=counts.sources.result(),
        domains=None if demonstrations else counts.domains.result(),
        teachers=counts.teachers.result() if demonstrations else None,
        correctness=_all_of(counts.correctness, "right", "wrong", "unknown") if demonstrations else None,
        decided_by=None if demonstrations else _all_of(counts.decided_by, "answer", "tests", "nothing"),
        difficulties=_difficulties(counts.difficulties, counts.kinds.total()),
        systems=counts.systems,
        prompts=_different(counts.prompts),
        repeated_prompts=len(counts.prompts) - _different(counts.prompts),
        repeated_pairs=len(counts.pairs) - _different(counts.pairs) if demonstrations else None,
        lengths={name: _lengths(values) for name, values in counts.lengths.items() if len(values)},
        contaminated=contaminated,
    )


class _NameCounter:
    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._others = 0

    def add(self, name: str) -> None:
        if name in self._rows or len(self._rows) < _MAX_NAMES:
            self._rows[name] += 1
        else:
            self._others += 1

    def result(self) -> Names:
        return Names(rows=dict(sorted(self._rows.items(), key=lambda item: (-item[1], item[0]))), others=self._others)


class _Counts:
    """What is kept of the rows: numbers only, in arrays, so that files larger than memory have a profile."""

    def __init__(self) -> None:
        self.kinds: Counter[type[Record]] = Counter()
        self.sources, self.domains, self.teachers = _NameCounter(), _NameCounter(), _NameCounter()
        self.correctness: Counter[str] = Counter()
        self.decided_by: Counter[str] = Counter()
        self.difficulties = array("d")
        self.systems = 0
        self.prompts, self.pairs = array("Q"), array("Q")  # hashes: two of a billion texts may share one
        self.lengths = {f"{part} {unit}": array("Q") for part in ("prompt", "response") for unit in _UNITS}

    def add(self, record: Record) -> None:
        self.kinds[type(record)] += 1
        self.sources.add(record.source)
        self.systems += record.system != ""
        if record.difficulty is not None:
            self.difficulties.append(record.difficulty)
        self.prompts.append(_hash(record.prompt))
        self._measure("prompt", record.prompt)
        if isinstance(record, Problem):
            self.domains.add(record.domain)
            self.decided_by["tests" if record.tests else "answer" if record.answer else "nothing"] += 1
        else:
            self.teachers.add(record.teacher)
            self.correctness[_VERDICTS[record.is_correct]] += 1
            self.pairs.append(_hash(record.prompt, record.response))
            self._measure("response", record.response)

    def _measure(self, part: str, text: str) -> None:
        for unit, measure in _UNITS.items():
            self.lengths[f"{part} {unit}"].append(measure(text))


def _words(text: str) -> int:
    return len(text.split())


_UNITS: dict[str, Callable[[str], int]] = {"characters": len, "words": _words}
_VERDICTS = {True: "right", False: "wrong", None: "unknown"}


def _all_of(counts: Counter[str], *names: str) -> dict[str, int]:
    return {name: counts[name] for name in names}


def _hash(*texts: str) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(digest.digest(), "little")


def _different(hashes: "array[int]") -> int:
    return len(_numpy().unique(hashes))


def _difficulties(values: "array[float]", rows: int) -> Difficulties:
    numpy = _numpy()
    different, counts = numpy.unique(values, return_counts=True)
    if len(different) <= _MAX_VALUES:
        edges = list(zip(different, different, counts, strict=True))
    else:
        counts, borders = numpy.histogram(values, bins=_BINS)
        edges = list(zip(borders[:-1], borders[1:], counts, strict=True))
    bins = [(float(low), float(high), int(count)) for low, high, count in edges]
    return Difficulties(bins=bins, unknown=rows - len(values))


def _lengths(values: "array[int]") -> Lengths:
    numpy = _numpy()
    lengths = numpy.frombuffer(values, dtype=numpy.uint64)
    # 0 is a bin of its own; then 1, 2 to 3, 4 to 7, ...
    borders = [0, *(2**power for power in range(int(lengths.max()).bit_length() + 1))]
    # The last bin of numpy's histogram includes its upper border, which nothing reaches.
    counts, _ = numpy.histogram(lengths, bins=borders)
    bins = [(low, high, int(count)) for low, high, count in zip(borders[:-1], borders[1:], counts, strict=True)]
    while bins and not bins[0][2]:
        del bins[0]
    return Lengths(
        mean=float(lengths.mean()),
        smallest=int(lengths.min()),
        largest=int(lengths.max()),
        quantiles={f"{q:g}": float(value) for q, value in zip(QUANTILES, _quantiles(lengths), strict=True)},
        bins=bins,
    )


def _quantiles(lengths: Any) -> Any:
    return _numpy().quantile(lengths, QUANTILES)


def _numpy() -> Any:
    # Imported late: modules that only name a profile do without.
    import numpy

    return numpy
