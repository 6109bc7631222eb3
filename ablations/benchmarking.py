"""Asking one benchmark and keeping what comes back: the record grows by whole calls, in the order in which they end, so
that a kill costs at most one call of each engine.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.engine_pool import Engines
from ablations.told import clock
from klear_core.errors import RunStoreError
from klear_core.eval.benchmark import Call, Request, grade, plan_calls, request_of, rows_of, whole_calls
from klear_core.records import Problem, Prompt, SamplingParams
from klear_core.rewards.grader import Grader
from klear_core.runs import benchmarks, folders, schema, store
from klear_core.runs.benchmarks import BenchmarkManifest, Counts
from klear_core.runs.log import RecordLog, cut_log, read_log
from klear_core.runs.wandb_sink import WandbSink

_PROBE_TOKENS = 16
_ROW_BYTES, _TOKEN_BYTES = 500, 8  # of a row in the record and in the table; of each token of its text


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A benchmark with everything that answers depend on, ready to be asked."""

    folder: Path
    manifest: BenchmarkManifest
    problems: Sequence[Problem]
    prompts: Sequence[Prompt]

    @property
    def calls(self) -> list[Call]:
        """Calls of the engine, in order."""
        settings = self.manifest.settings
        return list(plan_calls(settings.questions, settings.samples, batch=settings.batch))

    @property
    def sampling(self) -> SamplingParams:
        """How an answer is drawn."""
        settings = self.manifest.settings
        return SamplingParams(
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens,
            num_samples=settings.samples,
        )

    def request(self, call: Call) -> Request:
        """What a call asks of an engine."""
        settings = self.manifest.settings
        return request_of(call, self.prompts, sampling=self.sampling, seed=settings.seed, name=self.manifest.task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a record holds: calls whose answers are all there, and the rows of these, which come before all others."""

    calls: Sequence[Call]
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What is left to do, at most: every answer as long as it may be."""

    engines: int  # side by side
    calls: int
    answers: int
    tokens: int
    disk_bytes: int
    seconds: float
    tokens_per_s: float


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder of an evaluation; RunStoreError when another process has it."""
    try:
        with folders.held(folder, wait_s=0.0):
            yield
    except folders.FolderInUseError as error:
        told = str(error).partition(";")[0]
        raise RunStoreError(f"{told}; wait for it, or give these results another name=") from None


def stored_calls(asked: Asked) -> Stored:
    """What is stored already; RunStoreError when the folder holds an evaluation of other settings, or is damaged."""
    folder = asked.folder
    if not (folder / schema.MANIFEST_FILE).is_file():
        return Stored(calls=(), rows=0)
    stored = benchmarks.read_manifest(folder)
    if told := benchmarks.differences(stored.settings, asked.manifest.settings):
        raise RunStoreError(
            f"{folder} holds an evaluation of other settings ({'; '.join(told)}); move it away, or give name="
        )
    path = folder / schema.EVAL_LOG
    pairs = [(row["question"], row["sample"]) for row in read_log(path)] if path.is_file() else []
    try:
        calls, rows = whole_calls(pairs, asked.calls)
    except ValueError as error:
        raise RunStoreError(f"{path} is damaged: {error}; move {folder} away") from None
    return Stored(calls=calls, rows=rows)


def calls_left(asked: Asked, stored: Stored) -> list[Call]:
    """The calls that are still to be made, in order."""
    made = set(stored.calls)
    return [call for call in asked.calls if call not in made]


def cost(asked: Asked, engines: Engines) -> Cost:
    """What the calls that are left take, from a few tokens that are drawn now and thrown away."""
    left = calls_left(asked, stored_calls(asked))
    answers = sum(len(call.pairs) for call in left)
    tokens = answers * asked.sampling.max_tokens
    rate = engines.tokens_per_s(_probe(asked, left[0])) if left else math.nan
    return Cost(
        engines=engines.count,
        calls=len(left),
        answers=answers,
        tokens=tokens,
        disk_bytes=2 * (answers * _ROW_BYTES + tokens * _TOKEN_BYTES),
        seconds=tokens / rate if left else 0.0,
        tokens_per_s=rate,
    )


def _probe(asked: Asked, call: Call) -> Request:
    short = dataclasses.replace(asked.sampling, max_tokens=min(_PROBE_TOKENS, asked.sampling.max_tokens))
    return request_of(call, asked.prompts, sampling=short, seed=0, name="probe")


def run(asked: Asked, engines: Engines, grader: Grader, sink: WandbSink, *, tell: Callable[[str], None]) -> Counts:
    """Make the calls that are left, then the table of all rows; what a kill left of a call is made again.

    The folder must be held. Rows of an earlier scorer are graded anew for the table.
    """
    folder, stored = asked.folder, stored_calls(asked)
    left, done = calls_left(asked, stored), len(stored.calls)
    before = benchmarks.read_manifest(folder).scorer if (folder / schema.MANIFEST_FILE).is_file() else None
    is_stale = before not in (None, asked.manifest.scorer)
    store.write_json(folder / schema.MANIFEST_FILE, asked.manifest)
    cut_log(folder / schema.EVAL_LOG, stored.rows)
    started = time.monotonic()
    with RecordLog(folder / schema.EVAL_LOG) as records:
        answered = engines.answers([asked.request(call) for call in left])
        for number, (place, answers) in enumerate(answered, start=1):
            rows = rows_of(left[place], asked.problems, answers)
            graded = grade(rows, asked.problems, grader, is_opened=asked.manifest.settings.is_opened)
            for row in graded:
                records.append(row)
            taken_s = time.monotonic() - started
            share = sum(bool(row["correct"]) for row in graded) / len(graded)
            tell(
                f"{asked.manifest.task}: call {done + number} of {done + len(left)}, {share:.1%} of its answers right, "
                f"{clock(seconds_left(taken_s, number, len(left), engines.count))} left at this pace"
            )
            sink.log({"answers": records.seq, "batch_correct": share, "seconds": taken_s}, step=done + number)
    return _write_table(asked, grader if is_stale else None)


def seconds_left(taken_s: float, number: int, calls: int, engines: int) -> float:
    """Seconds until ``calls`` are made where ``number`` took so long: engines side by side make a round of calls in the
    time of one.
    """
    rounds = math.ceil(number / engines)
    return taken_s / rounds * (math.ceil(calls / engines) - rounds)


def rescore(asked: Asked, grader: Grader) -> Counts:
    """Grade the stored texts with the present scorer; no answer is drawn. The folder must be held.

    RunStoreError when answers are missing.
    """
    calls, found = len(asked.calls), len(stored_calls(asked).calls)
    if found < calls:
        raise RunStoreError(
            f"{asked.folder} holds {found} of {calls} calls; allowed: --rescore of a complete evaluation, so "
            "finish it with the same command without --rescore"
        )
    counted = _write_table(asked, grader)
    store.write_json(asked.folder / schema.MANIFEST_FILE, asked.manifest)
    return counted


def _write_table(asked: Asked, grader: Grader | None) -> Counts:
    """The table of all stored rows, by question and sample, graded anew where a grader is given."""
    stored = read_log(asked.folder / schema.EVAL_LOG)
    rows: list[dict[str, Any]] = sorted(stored, key=lambda row: (row["question"], row["sample"]))
    if grader is not None:
        rows = grade(rows, asked.problems, grader, is_opened=asked.manifest.settings.is_opened)
    store.write_table(asked.folder / schema.EVAL_FILE, rows, benchmarks.COLUMNS)
    return benchmarks.count(rows, asked.manifest.settings.questions)
