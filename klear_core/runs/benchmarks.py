"""Stored evaluations of checkpoints: what a folder ``runs/eval/<model>/<task>`` holds, and its rows counted.

``eval.jsonl`` is the record, a row of COLUMNS for every question and sample, with the grade of the scorer that ran
then. ``eval.parquet`` is there when the evaluation is complete: the same rows under the scorer of the manifest.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from klear_core.errors import RunStoreError
from klear_core.runs import schema, store
from klear_core.runs.fields import EVAL_COLUMNS
from klear_core.runs.log import read_log
from klear_core.runs.parse import parse

EVAL_DIR = "eval"  # below the folder of the sweeps

COLUMNS: dict[str, str] = {
    **{name: EVAL_COLUMNS[name] for name in ("question", "problem_id", "difficulty", "sample")},
    "finish": "stop, or length where the response was cut at the token cap",
    **{name: EVAL_COLUMNS[name] for name in ("response_tokens", "response", "answer", "extracted")},
    "vote": "what the answer counts as in a vote: its spelling, (right) for every right one, empty for none",
    **{name: EVAL_COLUMNS[name] for name in ("verdict", "correct", "pass_rate", "tests")},
}

_LOST = "GRADER_ERROR"
_TRUNCATED = "TRUNCATED"
_MALFORMED = ("MISSING_OPEN", "MISSING_CLOSE", "BAD_FORMAT", "NO_ANSWER")
_RIGHT = "(right)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSettings:
    """All that decides which answers are drawn; an evaluation goes on only where all of it is the same."""

    model_hash: str  # of weights, configuration and tokenizer
    data_sha256: str  # of the data file; "" where rows came from the Hub or were generated
    content_hash: str  # over the questions
    format: str
    questions: int
    samples: int
    batch: int  # most answers of one call, which decides which random numbers an answer meets
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    instruction: str  # behind every question, "" for none
    chat_template: bool
    is_opened: bool  # the prompt ends in the opening of the reasoning
    context: int  # tokens
    yarn: float | None  # factor by which the context was extended
    engine: str
    dtype: str  # of the weights
    device: str = "cpu"  # cpu | cuda; a manifest that does not say is of the CPU


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkManifest:
    """manifest.json of an evaluation."""

    model: str
    task: str
    title: str
    settings: BenchmarkSettings
    expected_questions: int | None  # of the benchmark, None where it does not say
    known_data: str  # what the data file is, "" for one that is not known
    prompt: str  # what is asked, in words, with its source
    scorer: dict[str, str]  # of eval.parquet, and of rows that are added
    provenance: schema.Provenance
    model_source: str = ""  # the name of the folder, or name, revision and commit of the Hub; "" where nothing says
    schema_version: int = schema.SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Graded rows counted, question by question; what could not be graded is in no share and no score."""

    samples_Q: tuple[int, ...]  # that were graded
    hits_Q: tuple[int, ...]
    votes_Q: tuple[float, ...]  # whether the most frequent answer is right: 1 / k where k answers tie and one is right
    rows: int
    lost: int  # whose grading failed
    truncated: float  # share of the graded
    malformed: float  # share of the graded: no whole reasoning, or no answer behind it
    mean_tokens: float

    @property
    def rates_Q(self) -> list[float]:
        """Share of right answers of each question, NaN for one without graded answers."""
        pairs = zip(self.hits_Q, self.samples_Q, strict=True)
        return [hits / drawn if drawn else math.nan for hits, drawn in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """One stored evaluation."""

    folder: Path
    manifest: BenchmarkManifest
    counts: Counts
    is_complete: bool


def count(rows: Iterable[Mapping[str, Any]], num_questions: int) -> Counts:
    """Rows of COLUMNS, counted; a question without graded rows has no samples and a vote of NaN."""
    by_question: list[list[Mapping[str, Any]]] = [[] for _ in range(num_questions)]
    total = lost = truncated = malformed = tokens = 0
    for row in rows:
        total += 1
        tokens += row["response_tokens"]
        if row["verdict"] == _LOST:
            lost += 1
            continue
        truncated += row["verdict"] == _TRUNCATED
        malformed += row["verdict"] in _MALFORMED
        by_question[row["question"]].append(row)
    graded = total - lost
    return Counts(
        samples_Q=tuple(map(len, by_question)),
        hits_Q=tuple(sum(bool(row["correct"]) for row in each) for each in by_question),
        votes_Q=tuple(map(_majority, by_question)),
        rows=total,
        lost=lost,
        truncated=truncated / graded if graded else math.nan,
        malformed=malformed / graded if graded else math.nan,
        mean_tokens=tokens / total if total else math.nan,
    )


def _majority(rows: Sequence[Mapping[str, Any]]) -> float:
    """Whether a question's most frequent answer is right; NaN for programs, which do not vote, and without rows."""
    if not rows or any(row["tests"] for row in rows):
        return math.nan
    votes = Counter(row["vote"] for row in rows if row["vote"])
    if not votes:
        return 0.0
    most = max(votes.values())
    return 1 / sum(number == most for number in votes.values()) if votes[_RIGHT] == most else 0.0


def read_manifest(folder: Path) -> BenchmarkManifest:
    """The manifest of an evaluation; RunStoreError when it is missing or of another version."""
    path = folder / schema.MANIFEST_FILE
    raw = store.read_json(path, advice=f"move {folder} away")
    try:
        return parse(BenchmarkManifest, raw)
    except ValueError as error:
        raise RunStoreError(f"{path} is no evaluation of this version: {error}; move {folder} away") from None


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of COLUMNS: of the table where there is one, else of the record so far; RunStoreError when damaged."""
    path = folder / schema.EVAL_FILE
    if path.is_file():
        rows: list[dict[str, Any]] = store.read_table(path).to_pylist()
    else:
        path = folder / schema.EVAL_LOG
        rows = list(read_log(path)) if path.is_file() else []
    if rows and (absent := sorted(set(COLUMNS) - rows[0].keys())):
        raise RunStoreError(f"{path} lacks the columns {', '.join(absent)}; move {folder} away")
    return rows


def read_result(folder: Path) -> BenchmarkResult:
    """A stored evaluation, complete or not; RunStoreError when it cannot be read."""
    manifest, rows = read_manifest(folder), read_rows(folder)
    questions = manifest.settings.questions
    if any(not 0 <= row["question"] < questions for row in rows):
        raise RunStoreError(f"{folder} holds rows of more questions than its manifest; move it away")
    return BenchmarkResult(
        folder=folder,
        manifest=manifest,
        counts=count(rows, questions),
        is_complete=len(rows) == questions * manifest.settings.samples,
    )


def read_results(runs_dir: Path) -> tuple[list[BenchmarkResult], list[str]]:
    """The stored evaluations below a folder of sweeps, by model and task, and why others cannot be read."""
    found, unreadable = [], []
    for path in sorted((runs_dir / EVAL_DIR).glob(f"*/*/{schema.MANIFEST_FILE}")):
        try:
            found.append(read_result(path.parent))
        except RunStoreError as error:
            unreadable.append(str(error))
    return found, unreadable


def differences(stored: BenchmarkSettings, asked: BenchmarkSettings) -> list[str]:
    """Settings in which two evaluations differ, as ``name is x, not y``."""
    pairs = [(each.name, getattr(stored, each.name), getattr(asked, each.name)) for each in fields(stored)]
    return [f"{name} is {_short(there)}, not {_short(here)}" for name, there, here in pairs if there != here]


def _short(value: Any) -> str:
    return f"{value[:12]}..." if isinstance(value, str) and len(value) > 40 else repr(value)
