"""Two scorers on the same stored answers: how often they agree, question by question, and where one stands alone."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klear_core.records import Verdict

# What lighteval 0.13 does otherwise than this project; each name is shown by a test of its own.
DIFFERENCES: Mapping[str, str] = {
    "two_texts": "avg@n scores the text with its reasoning, pass@k the text behind </think>",
    "opened_by_the_prompt": "where the prompt opens the reasoning, pass@k scores the text with its reasoning too",
    "bare_latex_reference": (
        "a reference in LaTeX without $ is read in part, so that 6 of the 30 answers of HMMT February 2025 are never "
        "right; here references stand between $"
    ),
    "truncated_reasoning": "an answer in reasoning that was cut at the token cap counts as right",
    "codegen_one_sample": "codegen_pass@1:16 draws 1 sample of each problem, not 16",
    "greedy_transformers": (
        "the transformers backend never sets do_sample: unless a model's own generation config does, its answers are "
        "greedy at any temperature"
    ),
    "cache_without_weights": "the key of its cache knows the path of a model and not its weights",
    "cache_without_data": "the key of its cache knows the path of the questions and not what they are",
    "no_hmmt": "there is no task for HMMT",
    "no_windows": "no task of LiveCodeBench has a window of contest days",
    "unlisted_avg64": "the avg@64 tasks of AIME are defined but not listed, so no name reaches them",
}
RAW, STRIPPED = "avg@n", "pass@k"  # the two texts that lighteval scores: as written, and without the reasoning
_EXAMPLES = 3  # of each kind of disagreement
_END_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What lighteval finds in the answers to one question, sample by sample."""

    raw: tuple[bool, ...]  # right as avg@n looks at the text
    stripped: tuple[bool, ...]  # right as pass@k does
    found: tuple[str, ...]  # what avg@n extracted, "" for nothing
    avg: float  # avg@n as lighteval computes it
    pass_at: Mapping[int, float]  # k -> pass@k as lighteval computes it

    def of(self, view: str) -> tuple[bool, ...]:
        """The verdicts on one of the two texts."""
        return self.raw if view == RAW else self.stripped


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Answers by what both scorers say of them."""

    both_right: int
    both_wrong: int
    only_ours: int
    only_theirs: int

    @property
    def answers(self) -> int:
        """All that were compared."""
        return self.both_right + self.both_wrong + self.only_ours + self.only_theirs

    @property
    def agreement(self) -> float | None:
        """Share of the answers that both judge alike; None without answers."""
        return (self.both_right + self.both_wrong) / self.answers if self.answers else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One answer that the scorers judge differently."""

    view: str  # RAW or STRIPPED
    right_for: str  # "ours" or "theirs"
    question: int
    sample: int
    reference: str
    verdict: str  # ours
    extracted: str  # by ours
    found: str  # by lighteval, in the text with its reasoning
    end: str  # of the response


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAgreement:
    """One question under both scorers."""

    question: int
    problem_id: str
    ours: float | None  # share of right answers, None where none was graded
    theirs: float  # avg@n
    tallies: Mapping[str, Tally]  # by view


@dataclass(frozen=True, slots=True, kw_only=True)
class Crosscheck:
    """All questions of an evaluation under both scorers."""

    questions: tuple[QuestionAgreement, ...]
    tallies: Mapping[str, Tally]  # by view
    verdicts_of_theirs: Mapping[str, Mapping[str, int]]  # view -> our verdicts on what only lighteval calls right
    ungraded: int  # answers that our own grading lost, which are not compared
    examples: tuple[Example, ...]


def compare(rows: Sequence[Mapping[str, Any]], scored: Sequence[Scored]) -> Crosscheck:
    """Stored rows, in the order of questions and samples, beside what lighteval finds, one ``Scored`` a question.

    A row has the columns of ``klear_core.runs.benchmarks``. A row whose grading failed is in no tally.
    """
    groups: list[list[Mapping[str, Any]]] = [[] for _ in scored]
    for row in rows:
        groups[row["question"]].append(row)
    pairs = list(zip(groups, scored, strict=True))
    return Crosscheck(
        questions=tuple(_question(number, group, theirs) for number, (group, theirs) in enumerate(pairs)),
        tallies={view: _tally(_verdicts(pairs, view)) for view in (RAW, STRIPPED)},
        verdicts_of_theirs={
            view: dict(Counter(row["verdict"] for row, right in _verdicts(pairs, view) if right and not row["correct"]))
            for view in (RAW, STRIPPED)
        },
        ungraded=sum(_is_lost(row) for row in rows),
        examples=tuple(_examples(pairs)),
    )


def _is_lost(row: Mapping[str, Any]) -> bool:
    return bool(row["verdict"] == Verdict.GRADER_ERROR)


def _verdicts(
    pairs: Sequence[tuple[Sequence[Mapping[str, Any]], Scored]], view: str
) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Every graded row with lighteval's verdict on one of the two texts."""
    for group, theirs in pairs:
        for row, right in zip(group, theirs.of(view), strict=True):
            if not _is_lost(row):
                yield row, right


def _tally(verdicts: Iterator[tuple[Mapping[str, Any], bool]]) -> Tally:
    counts = Counter((bool(row["correct"]), right) for row, right in verdicts)
    return Tally(
        both_right=counts[True, True],
        both_wrong=counts[False, False],
        only_ours=counts[True, False],
        only_theirs=counts[False, True],
    )


def _question(number: int, group: Sequence[Mapping[str, Any]], theirs: Scored) -> QuestionAgreement:
    graded = [bool(row["correct"]) for row in group if not _is_lost(row)]
    return QuestionAgreement(
        question=number,
        problem_id=group[0]["problem_id"],
        ours=sum(graded) / len(graded) if graded else None,
        theirs=theirs.avg,
        tallies={view: _tally(_verdicts([(group, theirs)], view)) for view in (RAW, STRIPPED)},
    )


def _examples(pairs: Sequence[tuple[Sequence[Mapping[str, Any]], Scored]]) -> Iterator[Example]:
    """The first disagreements of each kind."""
    found: dict[int, str] = {id(row): text for group, s in pairs for row, text in zip(group, s.found, strict=True)}
    for view in (RAW, STRIPPED):
        left = {"ours": _EXAMPLES, "theirs": _EXAMPLES}
        for row, right in _verdicts(pairs, view):
            right_for = "theirs" if right else "ours"
            if right == bool(row["correct"]) or not left[right_for]:
                continue
            left[right_for] -= 1
            yield Example(
                view=view,
                right_for=right_for,
                question=row["question"],
                sample=row["sample"],
                reference=row["answer"],
                verdict=row["verdict"],
                extracted=row["extracted"],
                found=found[id(row)],
                end=row["response"][-_END_CHARS:],
            )
