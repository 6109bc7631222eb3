"""The score of one run: which evaluation rows count, what they give a question, and why a run has no score."""

import math
import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from klear_core.errors import RunStoreError
from reports.load import RunData, SweepData
from reports.stats import pass_at_k


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Rows that count and the metric that is computed from them, the same for every run that is compared."""

    split: str
    decoding: str
    step: int
    kind: str  # avg or pass
    k: int
    questions: frozenset[int]  # put to every run; a run that lacks one is not comparable

    @property
    def metric(self) -> str:
        """The metric's name, such as avg@8."""
        return f"{self.kind}@{self.k}"

    @property
    def companion(self) -> "Ask":
        """The metric printed beside it: pass@k for avg@k, and the other way round."""
        return replace(self, kind="pass" if self.kind == "avg" else "avg")

    @property
    def start(self) -> "Ask":
        """The same question to the supervised checkpoint."""
        return replace(self, step=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScore:
    """Scores of a run by question, or the reason that there are none."""

    by_question: pd.Series  # empty when there is a reason
    samples: int  # a question, the fewest of any
    reason: str

    @property
    def value(self) -> float:
        """Mean over questions, NaN without a score."""
        return float(self.by_question.mean()) if not self.reason else math.nan


def primary_ask(data: SweepData) -> Ask:
    """The declared primary metric; RunStoreError when its name is not one that can be computed."""
    primary = data.plan.primary
    match = re.fullmatch(r"(avg|pass)@([1-9]\d*)", primary.metric)
    if match is None:
        raise RunStoreError(
            f"{data.folder / 'plan.json'}: primary.metric is {primary.metric!r}; allowed: avg@K or pass@K"
        )
    kind, k = match.groups()
    asked: set[int] = set()
    for run in data.runs:
        asked.update(run.evaluations.loc[run.evaluations["split"] == primary.split, "question"])
    return Ask(
        split=primary.split,
        decoding=primary.decoding,
        step=primary.step,
        kind=kind,
        k=int(k),
        questions=frozenset(asked),
    )


def under(data: SweepData, ask: Ask, decoding: str) -> Ask:
    """The same question under another decoding; k falls to the samples that it has, as greedy decoding has one."""
    if decoding == ask.decoding:
        return ask
    other = replace(ask, decoding=decoding)
    fewest = [int(counts.min()) for run in data.runs if len(counts := _tally(_rows(run, other))[1])]
    return replace(other, k=min(ask.k, max(fewest, default=ask.k)))


def score(run: RunData, ask: Ask) -> RunScore:
    """The run's answer; every reason for not counting it is a sentence that a report can print."""
    rows = _rows(run, ask)
    questions, counts, _ = _tally(rows)
    missing = len(ask.questions.difference(questions.tolist()))
    samples = int(counts.min()) if len(counts) else 0
    # A response whose grading failed is not a wrong one: its question is judged by the others.
    judged, counts, hits = _tally(rows[rows["verdict"] != "GRADER_ERROR"])
    unjudged = len(questions) - len(judged)
    reason = ""
    if run.problem:
        reason = run.problem
    elif rows.empty:
        reason = f"no evaluation rows of step {ask.step} on {ask.split} under {ask.decoding}"
    elif missing:
        reason = f"answers only {len(ask.questions) - missing} of {len(ask.questions)} questions"
    elif samples < ask.k:
        reason = f"{samples} samples a question, {ask.metric} needs {ask.k}"
    elif unjudged:
        reason = f"of {unjudged} questions no response could be graded"
    elif ask.kind == "pass" and int(counts.min()) < ask.k:
        reason = f"{int(counts.min())} graded samples a question, {ask.metric} needs {ask.k}"
    if reason:
        return RunScore(by_question=pd.Series(dtype=float), samples=samples, reason=reason)
    # Samples are averaged before anything else: within a seed and question they are not independent observations.
    values = hits / counts if ask.kind == "avg" else pass_at_k(counts, hits, ask.k)
    return RunScore(by_question=pd.Series(values, index=questions), samples=samples, reason="")


def _rows(run: RunData, ask: Ask) -> pd.DataFrame:
    rows = run.evaluations
    return rows[(rows["split"] == ask.split) & (rows["decoding"] == ask.decoding) & (rows["step"] == ask.step)]


def _tally(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Questions in order, with the samples and the correct samples of each."""
    questions, place = np.unique(rows["question"].to_numpy(dtype=int), return_inverse=True)
    correct = rows["correct"].to_numpy(dtype=float)
    return questions, np.bincount(place, minlength=len(questions)), np.bincount(place, correct, len(questions))
