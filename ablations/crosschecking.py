"""The stored answers of an evaluation under lighteval's scorers, and what is kept of it beside the evaluation."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from klear_core.errors import ConfigError, RunStoreError
from klear_core.eval.crosscheck import DIFFERENCES, Crosscheck, Scored, compare
from klear_core.runs import benchmarks, store
from klear_core.runs.benchmarks import BenchmarkManifest, BenchmarkResult
from reports.stats import pass_at_k, question_interval

FILE = "crosscheck.json"
_TELL_S = 30.0  # between lines of progress
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crosschecked:
    """An evaluation under both scorers."""

    manifest: BenchmarkManifest
    found: Crosscheck
    scores: Mapping[str, Mapping[str, float]]  # "ours" and "lighteval" -> avg@n, pass@1 and pass@n -> value
    versions: Mapping[str, str]  # of lighteval and of what its verdicts depend on
    file: Path  # where all of it is


def crosscheck(folder: Path, *, tell: Callable[[str], None]) -> Crosschecked:
    """Score the stored answers with lighteval, compare, and write FILE into the folder.

    RunStoreError for an evaluation that is not complete; ConfigError for programs, or where lighteval is missing.
    """
    result = benchmarks.read_result(folder)
    rows = sorted(benchmarks.read_rows(folder), key=lambda row: (row["question"], row["sample"]))
    _check(result, rows)
    # Imported late: lighteval takes seconds, and an environment of its own.
    from klear_core.eval.lighteval_adapter import scorer_versions

    scored = _score(rows, result.manifest.settings.questions, tell)
    done = Crosschecked(
        manifest=result.manifest,
        found=compare(rows, scored),
        scores=_scores(result, scored),
        versions=scorer_versions(),
        file=folder / FILE,
    )
    store.write_json(done.file, _stored(done))
    return done


def _check(result: BenchmarkResult, rows: Sequence[Row]) -> None:
    settings = result.manifest.settings
    if not result.is_complete:
        raise RunStoreError(
            f"{result.folder} holds {len(rows)} of {settings.questions * settings.samples} answers; allowed: a "
            "complete evaluation, so finish it with the command that began it"
        )
    if any(row["tests"] for row in rows):
        raise ConfigError(f"task is {result.manifest.task}, which asks for programs; allowed: mathematics")
    if find_spec("lighteval") is None:
        raise ConfigError(
            "lighteval is not installed: make env-lighteval, then .venv-lighteval/bin/ablations crosscheck "
            f"{result.folder}"
        )


def _score(rows: Sequence[Row], num_questions: int, tell: Callable[[str], None]) -> list[Scored]:
    from klear_core.eval.lighteval_adapter import score

    groups: list[list[Row]] = [[] for _ in range(num_questions)]
    for row in rows:
        groups[row["question"]].append(row)
    scored, told = [], time.monotonic()
    for group in groups:
        # The text as the model wrote it: lighteval does not see a reasoning that the prompt opens.
        scored.append(score(group[0]["answer"], [row["response"] for row in group]))
        if time.monotonic() - told > _TELL_S:
            told = time.monotonic()
            tell(f"{len(scored)} of {num_questions} questions")
    return scored


def _scores(result: BenchmarkResult, scored: Sequence[Scored]) -> dict[str, dict[str, float]]:
    """Averages over the questions, for ours over those that have a graded sample."""
    counts, n = result.counts, result.manifest.settings.samples
    ours = {f"avg@{n}": question_interval(counts.rates_Q).value}
    theirs = {f"avg@{n}": sum(each.avg for each in scored) / len(scored)}
    for k in dict.fromkeys((1, n)):
        ours[f"pass@{k}"] = question_interval(pass_at_k(counts.samples_Q, counts.hits_Q, k)).value
        theirs[f"pass@{k}"] = sum(each.pass_at[k] for each in scored) / len(scored)
    return {"ours": ours, "lighteval": theirs}


def _stored(done: Crosschecked) -> dict[str, Any]:
    return {
        "model": done.manifest.model,
        "task": done.manifest.task,
        "scorer": done.manifest.scorer,
        "lighteval": dict(done.versions),
        "scores": {name: dict(values) for name, values in done.scores.items()},
        "agreement": {view: tally.agreement for view, tally in done.found.tallies.items()},
        **dataclasses.asdict(done.found),
        "differences": dict(DIFFERENCES),
    }
