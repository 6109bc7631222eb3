"""What goes into lighteval and what comes out: questions as files that it reads in place of the Hub, its scores."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from klear_core.data.formats.fingerprint import fingerprint
from klear_core.errors import ConfigError, DataError
from klear_core.eval.tasks import Benchmark
from klear_core.records import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What lighteval computes for one task."""

    scores: Mapping[str, float]  # metric -> mean over the questions, and its standard error
    questions: Mapping[str, Mapping[str, float]]  # problem_id, else number of the question -> metric -> value
    texts: Mapping[str, tuple[str, ...]]  # the answers, by the same names


def delimited(reference: str) -> str:
    """A reference as lighteval reads it whole: it looks for LaTeX between $ only, and takes parts of bare LaTeX."""
    return reference if "$" in reference else f"${reference}$"


def write_questions(benchmark: Benchmark, problems: Sequence[Problem], folder: Path) -> Path:
    """A folder below ``folder`` with ``test.jsonl``: problem_id, problem and answer of each question.

    ConfigError for programs, which lighteval runs without a sandbox; DataError for a question with a system message,
    which a task of lighteval has no place for.
    """
    if any(problem.tests is not None for problem in problems):
        raise ConfigError(
            f"task is {benchmark.name}, whose programs lighteval would run without a sandbox; allowed: mathematics"
        )
    if with_system := [each.problem_id for each in problems if each.system]:
        raise DataError(f"question {with_system[0]} has a system message; allowed with lighteval: questions without")
    # Named by what it holds: the key of lighteval's cache knows the path of the data, not the data.
    home = folder / f"{benchmark.name}-{fingerprint(problems).content_hash[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"problem_id": each.problem_id, "problem": each.prompt, "answer": each.answer}) for each in problems
    ]
    (home / "test.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return home
