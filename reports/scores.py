"""The score of one run: which evaluation rows count, what they give a question, and why a run has no score."""

import math
import re
from dataclasses import dataclass, replace

import pandas as pd

from klear_core.errors import RunStoreError
from reports.runs import RunData, SweepData, Tally
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
    return Ask(
        split=primary.split,
        decoding=primary.decoding,
        step=primary.step,
        kind=kind,
        k=int(k),
        questions=asked_questions(data, primary.split),
    )


def asked_questions(data: SweepData, split: str) -> frozenset[int]:
    """Every question of a split that was put to any run."""
    asked: set[int] = set()
    for run in data.runs:
        for (of_split, _, _), tally in run.tallies.items():
            if of_split == split:
                asked.update(tally.questions_Q.tolist())
    return frozenset(asked)


def under(data: SweepData, ask: Ask, decoding: str) -> Ask:
    """The same question under another decoding; k falls to the samples that it has, as greedy decoding has one."""
    if decoding == ask.decoding:
        return ask
    other = replace(ask, decoding=decoding)
    fewest = [int(tally.samples_Q.min()) for run in data.runs if (tally := _tally(run, other)) is not None]
    return replace(other, k=min(ask.k, max(fewest, default=ask.k)))


def score(run: RunData, ask: Ask) -> RunScore:
    """The run's answer; every reason for not counting it is a sentence that a report can print."""
    tally = _tally(run, ask)
    reason = run.problem or (f"its rows are not counted: {run.flaw}" if run.flaw else "")
    if tally is None:
        reason = reason or f"no evaluation rows of step {ask.step} on {ask.split} under {ask.decoding}"
        return RunScore(by_question=pd.Series(dtype=float), samples=0, reason=reason)
    samples, judged_Q, hits_Q = int(tally.samples_Q.min()), tally.judged_Q, tally.hits_Q
    missing = len(ask.questions.difference(tally.questions_Q.tolist()))
    unjudged = int((judged_Q == 0).sum())
    if reason:
        pass
    elif missing:
        reason = f"answers only {len(ask.questions) - missing} of {len(ask.questions)} questions"
    elif samples < ask.k:
        reason = f"{samples} samples a question, {ask.metric} needs {ask.k}"
    elif unjudged:
        reason = f"of {unjudged} questions no response could be graded"
    elif ask.kind == "pass" and int(judged_Q.min()) < ask.k:
        reason = f"{int(judged_Q.min())} graded samples a question, {ask.metric} needs {ask.k}"
    if reason:
        return RunScore(by_question=pd.Series(dtype=float), samples=samples, reason=reason)
    # Samples are averaged before anything else: within a seed and question they are not independent observations.
    values = hits_Q / judged_Q if ask.kind == "avg" else pass_at_k(judged_Q, hits_Q, ask.k)
    return RunScore(by_question=pd.Series(values, index=tally.questions_Q), samples=samples, reason="")


def _tally(run: RunData, ask: Ask) -> Tally | None:
    return run.tallies.get((ask.split, ask.decoding, ask.step))
