"""Asking one benchmark and keeping what comes back: the record grows call by call, so that a kill costs one call."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.told import clock
from klear_core.errors import RunStoreError
from klear_core.eval.benchmark import Call, ask, grade, plan_calls
from klear_core.records import Problem, Prompt, SamplingParams
from klear_core.rewards.grader import Grader
from klear_core.rollout.engine import Engine
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What is left to do, at most: every answer as long as it may be."""

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


def done_calls(asked: Asked) -> int:
    """Calls whose answers are all stored; RunStoreError when the folder holds an evaluation of other settings."""
    folder = asked.folder
    if not (folder / schema.MANIFEST_FILE).is_file():
        return 0
    stored = benchmarks.read_manifest(folder)
    if told := benchmarks.differences(stored.settings, asked.manifest.settings):
        raise RunStoreError(
            f"{folder} holds an evaluation of other settings ({'; '.join(told)}); move it away, or give name="
        )
    path = folder / schema.EVAL_LOG
    rows = sum(1 for _ in read_log(path)) if path.is_file() else 0
    calls = 0
    for call in asked.calls:
        rows -= _answers(call)
        if rows < 0:
            break
        calls += 1
    return calls


def cost(asked: Asked, engine: Engine, done: int) -> Cost:
    """What the calls that are left take, from a few tokens that are drawn now and thrown away."""
    left = asked.calls[done:]
    answers = sum(map(_answers, left))
    tokens = answers * asked.sampling.max_tokens
    rate = _tokens_per_s(asked, engine, left[0]) if left else float("nan")
    return Cost(
        calls=len(left),
        answers=answers,
        tokens=tokens,
        disk_bytes=2 * (answers * _ROW_BYTES + tokens * _TOKEN_BYTES),
        seconds=tokens / rate if left else 0.0,
        tokens_per_s=rate,
    )


def _tokens_per_s(asked: Asked, engine: Engine, call: Call) -> float:
    short = dataclasses.replace(asked.sampling, max_tokens=min(_PROBE_TOKENS, asked.sampling.max_tokens))
    started = time.perf_counter()
    rows = ask(engine, call, asked.problems, asked.prompts, sampling=short, seed=0, name="probe")
    tokens: int = sum(row["response_tokens"] for row in rows)
    return tokens / (time.perf_counter() - started)


def _answers(call: Call) -> int:
    return len(call.questions) * call.num_samples


def run(asked: Asked, engine: Engine, grader: Grader, sink: WandbSink, *, tell: Callable[[str], None]) -> Counts:
    """Make the calls that are left, then the table of all rows; what a kill left of a call is made again.

    The folder must be held. Rows of an earlier scorer are graded anew for the table.
    """
    folder, settings, calls = asked.folder, asked.manifest.settings, asked.calls
    done = done_calls(asked)
    before = benchmarks.read_manifest(folder).scorer if (folder / schema.MANIFEST_FILE).is_file() else None
    is_stale = before not in (None, asked.manifest.scorer)
    store.write_json(folder / schema.MANIFEST_FILE, asked.manifest)
    cut_log(folder / schema.EVAL_LOG, sum(map(_answers, calls[:done])))
    started = time.monotonic()
    with RecordLog(folder / schema.EVAL_LOG) as records:
        for number, call in enumerate(calls[done:], start=1):
            rows = ask(
                engine,
                call,
                asked.problems,
                asked.prompts,
                sampling=asked.sampling,
                seed=settings.seed,
                name=asked.manifest.task,
            )
            graded = grade(rows, asked.problems, grader, is_opened=settings.is_opened)
            for row in graded:
                records.append(row)
            taken_s = time.monotonic() - started
            left_s = taken_s / number * (len(calls) - done - number)
            share = sum(bool(row["correct"]) for row in graded) / len(graded)
            tell(_progress(asked, done + number, len(calls), share, left_s))
            sink.log({"answers": records.seq, "batch_correct": share, "seconds": taken_s}, step=done + number)
    return _write_table(asked, grader if is_stale else None)


def _progress(asked: Asked, call: int, calls: int, share: float, left_s: float) -> str:
    return (
        f"{asked.manifest.task}: call {call} of {calls}, {share:.1%} of its answers right, "
        f"{clock(left_s)} left at this pace"
    )


def rescore(asked: Asked, grader: Grader) -> Counts:
    """Grade the stored texts with the present scorer; no answer is drawn. The folder must be held.

    RunStoreError when answers are missing.
    """
    calls = asked.calls
    if (found := done_calls(asked)) < len(calls):
        raise RunStoreError(
            f"{asked.folder} holds {found} of {len(calls)} calls; allowed: --rescore of a complete evaluation, so "
            "finish it with the same command without --rescore"
        )
    counted = _write_table(asked, grader)
    store.write_json(asked.folder / schema.MANIFEST_FILE, asked.manifest)
    return counted


def _write_table(asked: Asked, grader: Grader | None) -> Counts:
    """The table of all stored rows, graded anew where a grader is given."""
    rows: list[dict[str, Any]] = list(read_log(asked.folder / schema.EVAL_LOG))
    if grader is not None:
        rows = grade(rows, asked.problems, grader, is_opened=asked.manifest.settings.is_opened)
    store.write_table(asked.folder / schema.EVAL_FILE, rows, benchmarks.COLUMNS)
    return benchmarks.count(rows, asked.manifest.settings.questions)
