"""Checkpoints that were evaluated here beside Table 1 of the paper, with everything in which the protocols differ."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from klear_core.runs.benchmarks import BenchmarkResult, Counts
from reports.markdown import DASH, Table, escape, interval, number
from reports.published import PublishedTable, published_table
from reports.published.shown import footnotes, heading, paper_table
from reports.stats import Estimate, pass_at_k, question_interval
from reports.write import made_beside, write_document

_TITLE = "Checkpoints evaluated here beside Table 1 of Klear-Reasoner"
_POINTS = 100  # the paper prints percent
_CONTEXT = 32_768  # tokens of an answer in Table 1, "32K unless noted"
_HERE = "here: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What one stored evaluation scores; shares, each averaged over samples within a question, then over questions."""

    mean: Estimate  # avg@n
    solved: float  # pass@n
    voted: float  # maj@n, NaN where answers cannot be compared with each other


def scores(counts: Counts, samples: int) -> Scores:
    """The scores of counted rows."""
    return Scores(
        mean=question_interval(counts.rates_Q),
        solved=question_interval(pass_at_k(counts.samples_Q, counts.hits_Q, samples)).value,
        voted=question_interval(counts.votes_Q).value,
    )


def write_table1(results: Sequence[BenchmarkResult], unreadable: Sequence[str], folder: Path) -> Path:
    """Write the document in every format into ``folder``; returns the path of table1.md."""
    paper = published_table("table_1")
    tables = [beside_table(results, paper), detail_table(results)]
    lines = [
        f"# {_TITLE}",
        "",
        "Scores are avg@n in percent: the share of right answers of each question, averaged over questions. Brackets "
        "behind scores measured here hold the 95 % t interval over questions (scope: questions like these, this "
        "checkpoint); printed cells have the interval that their number of questions allows in "
        "`python -m reports published`. A difference in protocol is a footnote, and cells that have one are not "
        "comparable as they stand. The paper's prompts and scorer are not known here; those of each evaluation stand "
        "in table1.json.",
        "",
        escape(heading(paper)),
        "",
        tables[0].markdown(),
        "## Every stored evaluation",
        "",
        tables[1].markdown(),
    ]
    lines += ["## Not readable", "", *(f"- {escape(why)}" for why in unreadable), ""] if unreadable else []
    with made_beside(folder) as beside:
        write_document(
            beside,
            "table1",
            title=_TITLE,
            markdown="\n".join(lines),
            tables=tables,
            facts={"evaluations": [_fact(result) for result in results], "unreadable": list(unreadable)},
        )
    return folder / "table1.md"


def beside_table(results: Sequence[BenchmarkResult], paper: PublishedTable) -> Table:
    """A row for each checkpoint that has a benchmark of the paper, then the paper's rows as printed."""
    found = [result for result in results if result.manifest.task in paper.columns]
    notes: dict[str, int] = {}
    rows: list[Sequence[str]] = []
    raw: list[dict[str, Any]] = []
    for model in dict.fromkeys(result.manifest.model for result in found):
        cells = {result.manifest.task: result for result in found if result.manifest.model == model}
        rows.append([f"{_HERE}{model}", *(_cell(cells.get(name), paper, notes) for name in paper.columns)])
        raw += [_record(cells[name]) for name in paper.columns if name in cells]
    rows += paper_table(paper).rows
    raw += [_printed_record(paper, name, arm) for arm in paper.arms for name in paper.columns]
    told = [f"[{mark}] {text}." for text, mark in notes.items()]
    return Table(
        name="table1",
        header=["model", *paper.columns],
        rows=rows,
        raw=pd.DataFrame(raw),
        notes=[*told, *(f"Published: {note}" for note in footnotes(paper))],
    )


def _cell(result: BenchmarkResult | None, paper: PublishedTable, notes: dict[str, int]) -> str:
    if result is None:
        return DASH
    mean = scores(result.counts, result.manifest.settings.samples).mean
    scaled = Estimate(value=_POINTS * mean.value, low=_POINTS * mean.low, high=_POINTS * mean.high, n=mean.n)
    marks = [notes.setdefault(text, len(notes) + 1) for text in mismatches(result, paper)]
    shown = interval(scaled, ".1f")
    return f"{shown} ({', '.join(map(str, marks))})" if marks else shown


def mismatches(result: BenchmarkResult, paper: PublishedTable) -> list[str]:
    """In what an evaluation differs from the protocol of Table 1, in words; empty where nothing is known to."""
    settings, task = result.manifest.settings, result.manifest.task
    told = []
    count = paper.counts.get(task)
    if not result.is_complete:
        told.append(f"{task}: not complete, {result.counts.rows} of {settings.questions * settings.samples} answers")
    if result.counts.lost:
        told.append(f"{task}: the grading of {result.counts.lost} answers failed, and they are in no score")
    if count is not None and count.samples != settings.samples:
        told.append(f"{task}: {settings.samples} samples a question, the paper {count.samples}")
    if count is not None and count.questions != settings.questions:
        told.append(f"{task}: {settings.questions} questions, the paper {count.questions}")
    for name in ("temperature", "top_p"):
        there = paper.settings.get(name)
        if there is not None and float(there) != getattr(settings, name):
            told.append(f"{task}: {name} {getattr(settings, name):g}, the paper {there}")
    if settings.max_tokens != _CONTEXT:
        told.append(f"{task}: answers of up to {settings.max_tokens:,} tokens, the paper {_CONTEXT:,} unless noted")
    if settings.yarn is not None:
        told.append(f"{task}: context extended by YaRN, factor {settings.yarn:g}, to {settings.context:,} tokens")
    if settings.instruction:
        told.append(f"{task}: {settings.instruction!r} stands behind every question")
    if not result.manifest.known_data:
        told.append(
            f"{task}: the data file (SHA-256 {settings.data_sha256[:12] or 'none, from the Hub'}) is not a known one"
        )
    return told


def detail_table(results: Sequence[BenchmarkResult]) -> Table:
    """Every evaluation with all its scores and shares."""
    header = ["model", "task", "avg@n", "pass@n", "maj@n", "n", "questions", "truncated", "malformed", "tokens"]
    rows = []
    for result in results:
        settings, counts = result.manifest.settings, result.counts
        found = scores(counts, settings.samples)
        rows.append(
            [
                result.manifest.model,
                result.manifest.task,
                interval(found.mean),
                number(found.solved),
                number(found.voted),
                str(settings.samples),
                str(settings.questions),
                number(counts.truncated),
                number(counts.malformed),
                number(counts.mean_tokens, ",.0f"),
            ]
        )
    return Table(
        name="evaluations",
        header=header,
        rows=rows,
        raw=pd.DataFrame([_record(result) for result in results]),
        notes=[
            "avg@n: share of right answers of a question, averaged over questions, with its 95 % t interval over "
            "questions. pass@n: share of questions with a right answer among n; a question with answers that could not "
            "be graded is left out. maj@n: whether the most frequent answer is right; equal spellings are one answer, "
            "all right answers are one, answers without a box do not vote, and where k answers tie, one of them right, "
            "it counts 1/k; programs do not vote. truncated, malformed: shares of the graded answers; malformed are "
            "those without one whole <think>...</think>, or without an answer behind it.",
        ],
    )


def _record(result: BenchmarkResult) -> dict[str, Any]:
    settings, counts = result.manifest.settings, result.counts
    found = scores(counts, settings.samples)
    return {
        "model": result.manifest.model,
        "task": result.manifest.task,
        "where": "here",
        "value": found.mean.value,
        "low": found.mean.low,
        "high": found.mean.high,
        "questions": settings.questions,
        "samples": settings.samples,
        "pass": found.solved,
        "majority": found.voted,
        "truncated": counts.truncated,
        "malformed": counts.malformed,
        "mean_tokens": counts.mean_tokens,
        "lost": counts.lost,
        "complete": result.is_complete,
    }


def _printed_record(paper: PublishedTable, benchmark: str, arm: str) -> dict[str, Any]:
    bounds = paper.interval(arm, benchmark)
    count = paper.counts.get(benchmark)
    return {
        "model": arm,
        "task": benchmark,
        "where": "published",
        "value": bounds.value / _POINTS,
        "low": bounds.low / _POINTS,
        "high": bounds.high / _POINTS,
        "questions": count.questions if count else None,
        "samples": count.samples if count else None,
    }


def _fact(result: BenchmarkResult) -> dict[str, Any]:
    """What the JSON holds of an evaluation beside its scores: what makes it comparable or not."""
    manifest = result.manifest
    return {
        **_record(result),
        "model_source": manifest.model_source,
        "settings": asdict(manifest.settings),
        "data": manifest.known_data,
        "prompt": manifest.prompt,
        "scorer": manifest.scorer,
        "mismatches": mismatches(result, published_table("table_1")),
        "source_hash": manifest.provenance.source_hash,
        "versions": manifest.provenance.versions,
    }
