"""What `ablations data describe` says of data: format, counts, lengths, duplicates, overlap with questions."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ablations.arguments import SWEEPS
from ablations.commands.terminal import say, say_table
from ablations.mixing import mix_of
from ablations.run import compose
from klear_core.data.formats.format import Kind, Record
from klear_core.data.formats.load import load_rows
from klear_core.data.mixes.build import AppliedStep, Mix
from klear_core.data.mixes.decontaminate import NgramIndex
from klear_core.data.profile import QUANTILES, Difficulties, Lengths, Names, Profile, profile
from klear_core.errors import ConfigError

NGRAM = 9  # words: what Klear-Reasoner's data were cleaned by
_SHOWN = 20  # names of a table
_BAR = 30  # letters of the longest bar
UNKNOWN = "(not said)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Data with what they are like."""

    where: str
    format: str
    kind: str
    ignored: tuple[str, ...]  # columns that are not read
    profile: Profile
    steps: tuple[AppliedStep, ...]  # of a mix


class Described(Protocol):
    """Records with what is known of their form."""

    @property
    def format(self) -> str:
        """Name of the form."""
        ...

    @property
    def kind(self) -> Kind:
        """Demonstrations or problems."""
        ...

    @property
    def ignored(self) -> tuple[str, ...]:
        """Columns that are not read."""
        ...

    def __iter__(self) -> Iterator[Record]:
        """The records from the first one on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltMix:
    """The demonstrations of a mix."""

    mix: Mix
    format: str
    kind: Kind = Kind.DEMONSTRATIONS
    ignored: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Record]:
        return iter(self.mix.examples)


def open_described(where: str, overrides: Sequence[str]) -> Described:
    """What a name on the command line stands for: a file, a folder of files, ``hub:org/name``, or the name of a mix of
    ``sweeps/sft_mix``, built under the settings of ``overrides`` as in ``ablations run``.
    """
    if (SWEEPS / "sft_mix" / f"{where}.yaml").is_file() and not Path(where).exists():
        configs = compose([f"sft_mix={where}", *overrides])
        if len(configs) != 1:
            raise ConfigError(f"{' '.join(overrides)} asks for {len(configs)} mixes; allowed: one at a time")
        if not configs[0].sft_mix.inputs:
            raise ConfigError(f"the mix {where} is made while a model trains, and holds nothing to describe")
        return BuiltMix(mix=mix_of(configs[0]), format=f"mix {configs[0].sft_mix.name}")
    if overrides:
        raise ConfigError(f"{overrides[0]!r} goes with the name of a mix, and {where} is none in sweeps/sft_mix")
    return load_rows(where)


def describe(where: str, against: Sequence[str], overrides: Sequence[str] = ()) -> Description:
    """Read ``where`` once, and the prompts of every file of ``against`` before; DataError for what cannot be read."""
    rows = open_described(where, overrides)
    indexes = {name: NgramIndex((record.prompt for record in load_rows(name)), NGRAM).hits for name in against}
    found = profile(rows, against=indexes)
    return Description(
        where=where,
        format=rows.format,
        kind=rows.kind,
        ignored=rows.ignored,
        profile=found,
        steps=rows.mix.steps if isinstance(rows, BuiltMix) else (),
    )


def check_picture(path: Path) -> None:
    """ConfigError unless a picture can be written to ``path``, before all data are read."""
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--picture is {path}; allowed: the name of a file that ends in .png")
    if not path.parent.is_dir():
        raise ConfigError(f"--picture is {path}; allowed: a file in a folder that exists")


def to_json(found: Description) -> dict[str, Any]:
    """The description as plain values."""
    return dataclasses.asdict(found)


def say_description(found: Description) -> None:
    """Tables on standard output."""
    say(f"{found.kind} of {found.where}")
    say_table(("", ""), [*_overview(found)])
    if found.steps:
        say_table(("step", "before", "after", "what it found"), [*_steps(found)], right=("before", "after"))
    told = found.profile
    for title, names in (("source", told.sources), ("teacher", told.teachers), ("domain", told.domains)):
        if names is not None:
            _say_counts(title, name_counts(names), told)
    for title, counts in (("correctness", told.correctness), ("decided by", told.decided_by)):
        if counts is not None:
            _say_counts(title, [*counts.items()], told)
    _say_counts("difficulty", difficulty_counts(told.difficulties), told)
    _say_lengths(told)
    for part in ("prompt", "response"):
        if (lengths := told.lengths.get(f"{part} characters")) is not None:
            _say_histogram(part, lengths)
    if told.contaminated:
        rows = [(name, count, _share(count, told)) for name, count in told.contaminated.items()]
        say_table(("questions", f"rows that share {NGRAM} words", "share"), rows, right=("share",))


def name_counts(names: Names) -> list[tuple[str, int]]:
    """Names with their rows; the least frequent together at the end."""
    counts = [(name or UNKNOWN, count) for name, count in names.rows.items()]
    shown, rest = counts[:_SHOWN], counts[_SHOWN:]
    if left := sum(count for _, count in rest) + names.others:
        more = " or more" if names.others else ""
        shown.append((f"({len(rest) + bool(names.others)}{more} others)", left))
    return shown


def difficulty_counts(difficulties: Difficulties) -> list[tuple[str, int]]:
    """Difficulties, or bins of them, with their rows."""
    counts = [
        (f"{low:g}" if low == high else f"{low:.4g} to {high:.4g}", rows) for low, high, rows in difficulties.bins
    ]
    return [*counts, (UNKNOWN, difficulties.unknown)] if difficulties.unknown else counts


def _overview(found: Description) -> Iterator[tuple[str, object]]:
    told = found.profile
    yield "format", found.format
    yield "rows", told.fingerprint.rows
    yield "content hash", told.fingerprint.content_hash
    yield "columns not read", ", ".join(found.ignored) or "none"
    yield "different prompts", told.prompts
    yield "rows with an earlier prompt", told.repeated_prompts
    if told.repeated_pairs is not None:
        yield "rows with an earlier prompt and response", told.repeated_pairs
    yield "rows with a system message", told.systems


def _steps(found: Description) -> Iterator[tuple[str, int, int, str]]:
    for step in found.steps:
        plain = {name: value for name, value in step.details.items() if not isinstance(value, list | dict)}
        yield step.name, step.before, step.after, ", ".join(f"{name} {_rounded(v)}" for name, v in plain.items())


def _rounded(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _say_counts(title: str, counts: Sequence[tuple[str, int]], told: Profile) -> None:
    rows = [(name, count, _share(count, told)) for name, count in counts]
    say_table((title, "rows", "share"), rows, right=("rows", "share"))


def _say_lengths(told: Profile) -> None:
    header = ("length", "mean", "least", *(f"{q:.0%}" for q in QUANTILES), "most")
    rows = [
        (name, f"{each.mean:.0f}", each.smallest, *(f"{value:.0f}" for value in each.quantiles.values()), each.largest)
        for name, each in told.lengths.items()
    ]
    say_table(header, rows, right=header[1:])


def _say_histogram(part: str, lengths: Lengths) -> None:
    most = max(rows for _, _, rows in lengths.bins)
    rows = [
        (f"{low} to {high - 1}" if high - low > 1 else low, count, "#" * -(-count * _BAR // most))
        for low, high, count in lengths.bins
    ]
    say_table((f"{part} characters", "rows", ""), rows, right=("rows",))


def _share(count: int, told: Profile) -> str:
    return f"{count / told.fingerprint.rows:.1%}"
