"""Stored evaluations as the model hub's ``.eval_results/*.yaml`` (huggingface.co/docs/hub/eval-results).

A file holds one entry: ``dataset`` with the ``id`` of a data set that the hub knows as a benchmark and a ``task_id`` of
that benchmark, ``value``, and ``notes`` on how it was measured. Which data set stands for a task is the user's to say.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from klear_core.errors import ConfigError, RunStoreError
from klear_core.runs.benchmarks import BenchmarkResult
from klear_core.runs.store import write_text
from reports.table1 import scores

FORM = "TASK=org/dataset:task_id"
_TARGET = re.compile(r"(?P<task>\w+)=(?P<id>[\w.-]+/[\w.-]+):(?P<task_id>[\w.-]+)")


def parse_targets(words: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Task -> (id of the data set, id of its task); ConfigError for a word of another form."""
    found = {}
    for word in words:
        match = _TARGET.fullmatch(word)
        if match is None:
            raise ConfigError(f"--hub is {word!r}; allowed: {FORM}")
        found[match["task"]] = (match["id"], match["task_id"])
    return found


def write_entries(
    results: Sequence[BenchmarkResult], targets: Mapping[str, tuple[str, str]], folder: Path
) -> list[Path]:
    """Write MODEL/.eval_results/TASK.yaml of each complete result with a target; RunStoreError when there is none."""
    paths = []
    for result in results:
        target = targets.get(result.manifest.task)
        if target is None or not result.is_complete:
            continue
        path = folder / result.manifest.model / ".eval_results" / f"{result.manifest.task}.yaml"
        write_text(path, yaml.safe_dump([_entry(result, *target)], sort_keys=False, allow_unicode=True))
        paths.append(path)
    if not paths:
        raise RunStoreError(f"there is no complete evaluation of {', '.join(targets)} to write for the hub")
    return paths


def _entry(result: BenchmarkResult, dataset: str, task_id: str) -> dict[str, object]:
    settings = result.manifest.settings
    mean = scores(result.counts, settings.samples).mean
    extended = f", YaRN factor {settings.yarn:g}" if settings.yarn is not None else ""
    notes = (
        f"avg@{settings.samples} over {settings.questions} questions, 95 % interval {100 * mean.low:.1f} to "
        f"{100 * mean.high:.1f}; temperature {settings.temperature:g}, top_p {settings.top_p:g}, up to "
        f"{settings.max_tokens} tokens{extended}; data SHA-256 {settings.data_sha256 or 'unknown'}"
    )
    return {
        "dataset": {"id": dataset, "task_id": task_id},
        "value": round(100 * mean.value, 2),
        "notes": notes,
    }
