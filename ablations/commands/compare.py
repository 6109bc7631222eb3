"""`ablations compare A B`: what differs between two runs, or two arms, and the paired difference of their accuracy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.commands.catalog import read_yaml
from ablations.commands.inspect_runs import find_run, is_run_folder, nearest, run_folders, run_name, shorten, state_of
from ablations.commands.terminal import say, say_table
from ablations.differences import differing
from klear_core.errors import ConfigError, RunStoreError
from klear_core.runs import schema, store
from reports import stats

ONE_SEED = "one seed gives no training-variance estimate: the standard error is over questions only"
_SHOWN_NOTES = 4
_ASKED = ("split", "decoding", "step", "question", "problem_id", "correct")

# Index and id: an index alone would pair different problems of runs that drew other questions.
Question = tuple[int, str]
Cell = tuple[str, str]  # split, decoding


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """One run with its accuracy by question: samples are averaged first."""

    name: str
    seed: int
    state: str
    sources: tuple[str, ...]
    config: dict[str, Any]
    scores: dict[Cell, dict[int, dict[Question, float]]]  # -> step -> question -> accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """One cell of two runs: differences A minus B over the questions that both answered."""

    seed: int
    step: int
    differences: list[float]
    only_a: int
    only_b: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that is printed."""

    settings: list[tuple[str, str, str]]
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: list[str]


def compare(runs_dir: Path, a: str, b: str) -> Result:
    """Compare two runs of one seed, or two arms; ConfigError, one line, for what cannot be paired."""
    left, right = load_side(runs_dir, a), load_side(runs_dir, b)
    if isinstance(left, StoredRun) != isinstance(right, StoredRun):
        raise ConfigError(f"{a} and {b} cannot be paired: one is a run and the other an arm; name two of a kind")
    if isinstance(left, StoredRun) and isinstance(right, StoredRun):
        return compare_runs(left, right)
    assert isinstance(left, dict)
    assert isinstance(right, dict)
    return compare_arms(left, right, a, b)


def say_result(result: Result) -> None:
    """Print what differs, the paired differences and every reason to read them with care."""
    if result.settings:
        say_table(("setting", "A", "B"), result.settings)
    else:
        say("no setting that changes a result differs")
    say_table(result.header, result.rows, title="accuracy, paired difference A - B", right=result.header[2:])
    for note in result.notes:
        say(note)


def compare_runs(a: StoredRun, b: StoredRun) -> Result:
    """Mean paired difference over questions with its standard error; ConfigError unless both are of one seed."""
    if a.name == b.name:
        raise ConfigError(f"A and B are the same run, {a.name}")
    if a.seed != b.seed:
        raise ConfigError(
            f"{a.name} and {b.name} cannot be paired: seeds {a.seed} and {b.seed}; runs of one seed share the "
            f"supervised start and the order of problems"
        )
    rows, notes = [], _notes_on(a, b)
    for cell in _cells([a], [b]):
        pair = pair_up(a, b, cell, step=_last_common([a], [b], cell))
        notes += _unshared(pair, cell)
        n = len(pair.differences)
        mean, error = store.nan_mean(pair.differences), stats.standard_error(pair.differences)
        rows.append((*cell, str(pair.step), f"{mean:+.4f}", f"{error:.4f}", str(n)))
    notes += _uncompared([a], [b])
    _refuse_nothing(rows, notes, a.name, b.name)
    header = ("split", "decoding", "step", "A - B", "standard error", "questions")
    settings = differing(a.config, b.config)
    return Result(settings=settings, header=header, rows=rows, notes=[*notes, ONE_SEED])


def compare_arms(left: dict[int, StoredRun], right: dict[int, StoredRun], a: str, b: str) -> Result:
    """Paired differences by seed with their t interval; ConfigError unless the arms share a seed."""
    seeds = [seed for seed in left if seed in right]
    if not seeds:
        raise ConfigError(f"{a} and {b} cannot be paired: no seed in common ({_seeds(left)} and {_seeds(right)})")
    if left[seeds[0]].name == right[seeds[0]].name:
        raise ConfigError(f"A and B are the same arm, {a}")
    ones, twos = [left[seed] for seed in seeds], [right[seed] for seed in seeds]
    notes = [f"seed {seed}: only {a if seed in left else b} has it" for seed in sorted({*left} ^ {*right})]
    for one, two in zip(ones, twos, strict=True):
        notes += _notes_on(one, two)
    rows, lone, equal = [], [], []
    for cell in _cells(ones, twos):
        step = _last_common(ones, twos, cell)
        pairs = [pair_up(one, two, cell, step=step) for one, two in zip(ones, twos, strict=True)]
        for pair in pairs:
            notes += _unshared(pair, cell)
        found = stats.compare([store.nan_mean(pair.differences) for pair in pairs])
        d = found.difference
        counts = sorted({len(pair.differences) for pair in pairs if pair.differences})
        asked = "-".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "0"
        interval = "none" if math.isnan(d.low) else f"[{d.low:+.4f}, {d.high:+.4f}]"
        rows.append((*cell, str(step), f"{d.value:+.4f}", interval, _p(found.p), str(d.n), asked))
        if d.n < stats.MIN_SEEDS:
            lone.append(" ".join(cell))
        if found.is_constant:
            equal.append(" ".join(cell))
    notes += _uncompared(ones, twos)
    _refuse_nothing(rows, notes, a, b)
    if lone:
        notes.append(f"one seed gives no training-variance estimate: {', '.join(lone)}")
    if equal:
        notes.append(f"{', '.join(equal)}: {stats.ALL_EQUAL}")
    notes.append("intervals are t, df = seeds - 1, scope: these questions; not corrected for the number of rows")
    header = ("split", "decoding", "step", "A - B", "95 % interval", "p", "seeds", "questions")
    return Result(settings=_settings(ones, twos, notes), header=header, rows=rows, notes=notes)


def pair_up(a: StoredRun, b: StoredRun, cell: Cell, *, step: int) -> Paired:
    """Differences of two runs over the questions that both answered at ``step``."""
    one, two = (run.scores.get(cell, {}).get(step, {}) for run in (a, b))
    shared = [question for question in one if question in two]
    return Paired(
        seed=a.seed,
        step=step,
        differences=[one[question] - two[question] for question in shared],
        only_a=len(one) - len(shared),
        only_b=len(two) - len(shared),
    )


def load_side(runs_dir: Path, asked: str) -> StoredRun | dict[int, StoredRun]:
    """The run that a name means, or the runs of an arm by seed."""
    for path in (runs_dir / asked, Path(asked)):
        runs = sorted(path.glob("seed*")) if asked.strip() and not is_run_folder(path) else []
        found = [load_run(runs_dir, folder) for folder in runs if is_run_folder(folder)]
        if found:
            return {run.seed: run for run in sorted(found, key=lambda run: run.seed)}
    try:
        folder = find_run(runs_dir, asked)
    except ConfigError:
        arms = sorted({run_name(runs_dir, folder.parent) for folder in run_folders(runs_dir)} - {schema.SFT_STORE_DIR})
        close = nearest(asked, arms)
        if not close or "/" not in asked or asked.count("/") > 1:
            raise
        raise ConfigError(f"there is no run and no arm {asked!r} in {runs_dir}; near: {shorten(close)}") from None
    return load_run(runs_dir, folder)


def load_run(runs_dir: Path, folder: Path) -> StoredRun:
    """Read one run; RunStoreError or ConfigError for what is missing or broken."""
    config = read_yaml(folder / schema.CONFIG_FILE)
    if not isinstance(config.get("seed"), int):
        raise ConfigError(f"{folder / schema.CONFIG_FILE} names no seed")
    status = store.read_status(folder)
    return StoredRun(
        name=run_name(runs_dir, folder),
        seed=config["seed"],
        state="not started" if status is None else state_of(status),
        sources=() if status is None else tuple(status.sources),
        config=config,
        scores=_scores(folder),
    )


def _scores(folder: Path) -> dict[Cell, dict[int, dict[Question, float]]]:
    table = store.read_evaluations(folder)
    absent = [name for name in _ASKED if name not in table.column_names]
    if absent:
        raise RunStoreError(f"{folder / schema.EVAL_FILE} lacks the columns {', '.join(absent)}")
    samples: dict[Cell, dict[int, dict[Question, list[bool]]]] = {}
    for row in table.select([*_ASKED]).to_pylist():
        cell, question = (row["split"], row["decoding"]), (row["question"], row["problem_id"])
        samples.setdefault(cell, {}).setdefault(row["step"], {}).setdefault(question, []).append(row["correct"])
    return {
        cell: {step: {q: store.nan_mean(drawn) for q, drawn in asked.items()} for step, asked in steps.items()}
        for cell, steps in samples.items()
    }


def _cells(ones: Sequence[StoredRun], twos: Sequence[StoredRun]) -> list[Cell]:
    """(split, decoding) that some pair of runs has at one step with one question or more in common."""
    cells = dict.fromkeys(cell for run in ones for cell in run.scores)
    return [cell for cell in cells if _last_common(ones, twos, cell) >= 0]


def _last_common(ones: Sequence[StoredRun], twos: Sequence[StoredRun], cell: Cell) -> int:
    """The last step at which a pair of runs shares a question, -1 when there is none."""
    steps = [
        step
        for one, two in zip(ones, twos, strict=True)
        for step, asked in one.scores.get(cell, {}).items()
        if asked.keys() & two.scores.get(cell, {}).get(step, {}).keys()
    ]
    return max(steps, default=-1)


def _notes_on(a: StoredRun, b: StoredRun) -> list[str]:
    notes = [
        f"{run.name} is {run.state}: its numbers may be missing or not the last"
        for run in (a, b)
        if run.state != "done"
    ]
    if a.sources != b.sources:
        told = " and ".join("+".join(source[:12] for source in run.sources) or "none" for run in (a, b))
        notes.append(f"seed {a.seed}: made by different code (sources {told})")
    return notes


def _unshared(pair: Paired, cell: Cell) -> list[str]:
    where = f"seed {pair.seed}, {' '.join(cell)}, step {pair.step}"
    if not pair.differences:
        return [f"{where}: left out, no question in common ({pair.only_a} only in A, {pair.only_b} only in B)"]
    if not pair.only_a and not pair.only_b:
        return []
    return [f"{where}: {pair.only_a} questions only in A and {pair.only_b} only in B are left out"]


def _uncompared(ones: Sequence[StoredRun], twos: Sequence[StoredRun]) -> list[str]:
    """A line for every cell that stands on one side only, or on both without a common step and question."""
    compared = _cells(ones, twos)
    cells = dict.fromkeys(cell for run in (*ones, *twos) for cell in run.scores)
    notes = []
    for cell in cells:
        if cell in compared:
            continue
        sides = [name for name, runs in (("A", ones), ("B", twos)) if any(cell in run.scores for run in runs)]
        told = f"only {sides[0]} has it" if len(sides) == 1 else "no step with a question in common"
        notes.append(f"{' '.join(cell)}: not compared, {told}")
    return notes


def _settings(ones: Sequence[StoredRun], twos: Sequence[StoredRun], notes: list[str]) -> list[tuple[str, str, str]]:
    """What differs in every pair; what differs in some pairs only is added to the notes."""
    seeds: dict[tuple[str, str, str], list[int]] = {}
    for one, two in zip(ones, twos, strict=True):
        for difference in differing(one.config, two.config):
            seeds.setdefault(difference, []).append(one.seed)
    for (key, here, there), found in seeds.items():
        if len(found) < len(ones):
            notes.append(f"{key} is {here} in A and {there} in B for seed {', '.join(map(str, found))} only")
    return [difference for difference, found in seeds.items() if len(found) == len(ones)]


def _refuse_nothing(rows: Sequence[object], notes: Sequence[str], a: str, b: str) -> None:
    if not rows:
        reasons = "; ".join(["nothing that both evaluated", *notes[:_SHOWN_NOTES]])
        raise ConfigError(f"{a} and {b} cannot be paired: {reasons}")


def _p(value: float) -> str:
    return "—" if math.isnan(value) else f"{value:.3f}"


def _seeds(runs: Mapping[int, StoredRun]) -> str:
    return ", ".join(map(str, runs))
