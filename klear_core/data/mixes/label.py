"""Operators that say how difficult a problem is: 1 - pass rate, measured here or read from a file."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from klear_core.data.mixes.operator import Details, MixContext, operator
from klear_core.data.splits import problem_id_of
from klear_core.errors import DataError
from klear_core.records import SFTExample

_STREAM = "difficulty"  # of the solver's draws; no name of a mix, so that arms and seeds share the labels


@operator(
    "label_difficulty",
    accuracy=(lambda v: 0 < v < 1, "above 0, below 1"),
    completions=(lambda v: v >= 1, "1 or more"),
)
def label_difficulty(
    examples: Iterable[SFTExample], context: MixContext, details: Details, *, accuracy: float, completions: int
) -> Iterator[SFTExample]:
    """Set difficulty = 1 - share of right draws among ``completions`` of a solver of mean ``accuracy``.

    Draw k of a problem depends on its id and k alone, so mixes and seeds share labels and more draws go on from fewer.
    A demonstration of a problem that the task does not have becomes one of unknown difficulty.  Streams.  Details:
    ``labelled`` and ``unknown`` demonstrations, ``problems`` that were solved, ``mean`` difficulty of these.
    DataError where the task has no solver, or where its solver does not say what is right.
    """
    if context.solver is None:
        raise DataError("label_difficulty needs a reference solver, and this task has none; allowed: pass_rates")
    problems = {problem.problem_id: problem for problem in context.problems}
    solve = context.solver(accuracy, list(context.problems))
    labels: dict[str, float] = {}
    details.update(labelled=0, unknown=0, problems=0, mean=None)
    for example in examples:
        name = example.problem_id
        if name in problems and name not in labels:
            drawn = [solve(problems[name], Random(f"{_STREAM}/{name}/{k}")).is_correct for k in range(completions)]
            if None in drawn:
                raise DataError(f"label_difficulty: the solver does not say whether its answer to {name} is right")
            labels[name] = 1 - drawn.count(True) / completions
        details["labelled" if name in labels else "unknown"] += 1
        yield replace(example, difficulty=labels.get(name))
    details["problems"] = len(labels)
    details["mean"] = sum(labels.values()) / len(labels) if labels else None


@operator("pass_rates", file=(bool, "the path of a JSONL file"))
def pass_rates(
    examples: Iterable[SFTExample], context: MixContext, details: Details, *, file: str
) -> Iterator[SFTExample]:
    """Set difficulty = 1 - pass rate from a JSONL file of {"problem_id" or "prompt", "pass_rate"}.

    A prompt stands for the id that is made of it.  A demonstration that the file does not name becomes one of unknown
    difficulty, so that no two scales mix.  Streams.  Details: ``labelled`` and ``unknown`` demonstrations.
    DataError names the line that does not fit, or the file that cannot be read or names none of the demonstrations.
    """
    rates = read_pass_rates(Path(file))
    details.update(labelled=0, unknown=0)
    for example in examples:
        rate = rates.get(example.problem_id)
        details["unknown" if rate is None else "labelled"] += 1
        yield replace(example, difficulty=None if rate is None else 1 - rate)
    if details["unknown"] and not details["labelled"]:
        raise DataError(f"pass_rates.file {file} names none of the {details['unknown']} demonstrations")


def read_pass_rates(path: Path) -> dict[str, float]:
    """Problem ids with their pass rates; DataError names file, line and what is allowed."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"pass_rates.file {path} cannot be read: {' '.join(str(error).split())}") from error
    rates: dict[str, float] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        name, rate = _pass_rate(line, where=f"{path}:{number}")
        if rates.setdefault(name, rate) != rate:
            raise DataError(f"{path}:{number} says pass_rate {rate} where an earlier line says {rates[name]}")
    return rates


def _pass_rate(line: str, *, where: str) -> tuple[str, float]:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{where} is {line.strip()[:60]}; allowed: an object with problem_id or prompt, and pass_rate")
    named = [key for key in ("problem_id", "prompt") if isinstance(row.get(key), str) and row[key]]
    if len(named) != 1:
        raise DataError(f"{where} has {' and '.join(named) or 'neither'}; allowed: a text in problem_id or in prompt")
    rate = row.get("pass_rate")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise DataError(f"{where} has pass_rate {rate!r}; allowed: a number from 0 to 1")
    return row["problem_id"] if named == ["problem_id"] else problem_id_of(row["prompt"]), float(rate)
