"""Asking a benchmark's questions and grading the answers: rows of text first, so that a new scorer needs no model."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from klear_core.records import Completion, FinishReason, Problem, Prompt, RandomKey, SamplingParams, Verdict
from klear_core.rewards.format import OPEN
from klear_core.rewards.grader import Grader
from klear_core.rewards.math_text import nesting, spelled
from klear_core.rollout.engine import Engine

_SPELLED_CHARS, _SPELLED_NESTING = 400, 50  # what is longer or deeper votes as it is written


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of an engine: ``num_samples`` answers from sample ``first`` on of each of some questions."""

    questions: range
    first: int
    num_samples: int

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(question, sample) of every answer, in the order of its rows."""
        samples = range(self.first, self.first + self.num_samples)
        return [(question, sample) for question in self.questions for sample in samples]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a call asks of an engine. Without the problems and their tests, it is small enough for another process."""

    prompts: tuple[Prompt, ...]
    sampling: SamplingParams
    key: RandomKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is kept of a completion."""

    text: str
    tokens: int  # end-of-text included
    finish: FinishReason


Answers = list[tuple[Answer, ...]]  # the samples of each prompt of a request, in its order


def plan_calls(num_questions: int, num_samples: int, *, batch: int) -> Iterator[Call]:
    """Calls of at most ``batch`` answers that ask everything once, question by question.

    A question whose samples do not fit into one call is asked in several.
    """
    block = min(num_samples, batch)
    group = max(1, batch // num_samples)
    for start in range(0, num_questions, group):
        for first in range(0, num_samples, block):
            yield Call(
                questions=range(start, min(start + group, num_questions)),
                first=first,
                num_samples=min(block, num_samples - first),
            )


def whole_calls(asked: Sequence[tuple[int, int]], calls: Iterable[Call]) -> tuple[list[Call], int]:
    """The calls that a record holds whole, in its order, and how many of its rows they fill.

    ``asked`` is (question, sample) of its rows. The rows of a call stand side by side, the calls in any order, and the
    last one may lack rows. ValueError for a record of any other form.
    """
    begins = {call.pairs[0]: call for call in calls}
    whole: list[Call] = []
    end = 0
    while end < len(asked):
        call = begins.pop(asked[end], None)
        if call is None:
            raise ValueError(f"row {end + 1} begins no call that is still to be made")
        pairs = call.pairs
        found = list(asked[end : end + len(pairs)])
        if found != pairs[: len(found)]:
            raise ValueError(f"the call that begins at row {end + 1} holds rows of another one")
        if len(found) < len(pairs):
            break
        whole.append(call)
        end += len(pairs)
    return whole, end


def request_of(call: Call, prompts: Sequence[Prompt], *, sampling: SamplingParams, seed: int, name: str) -> Request:
    """What a call asks of an engine; ``prompts`` are those of all questions.

    Random numbers depend on (seed, ``name``, question, sample) and the samples of a call, never on the checkpoint.
    """
    return Request(
        prompts=tuple(prompts[k] for k in call.questions),
        sampling=replace(sampling, num_samples=call.num_samples),
        key=RandomKey(seed=seed, stream=f"benchmark/{name}", step=call.first),
    )


def ask(engine: Engine, request: Request) -> Answers:
    """What an engine answers; EngineError as of ``Engine.generate``."""
    return [
        tuple(Answer(text=each.text, tokens=len(each.token_ids), finish=each.finish_reason) for each in completions)
        for completions in engine.generate(request.prompts, request.sampling, request.key)
    ]


def rows_of(call: Call, problems: Sequence[Problem], answers: Answers) -> list[dict[str, Any]]:
    """Rows of a call, sample by sample, as the text fields of ``klear_core.runs.benchmarks.COLUMNS`` say."""
    return [
        {
            "question": k,
            "problem_id": problems[k].problem_id,
            "difficulty": math.nan if problems[k].difficulty is None else problems[k].difficulty,
            "sample": call.first + index,
            "finish": str(answer.finish),
            "response_tokens": answer.tokens,
            "response": answer.text,
        }
        for k, samples in zip(call.questions, answers, strict=True)
        for index, answer in enumerate(samples)
    ]


def grade(
    rows: Sequence[Mapping[str, Any]], problems: Sequence[Problem], grader: Grader, *, is_opened: bool
) -> list[dict[str, Any]]:
    """The rows with what the grader finds in their texts; earlier grades are replaced.

    ``is_opened`` says that the prompt already ends in the opening of the reasoning, so that no response repeats it.
    """
    completions = [_completion(row, is_opened) for row in rows]
    rewards = grader.grade([problems[row["question"]] for row in rows], completions)
    return [
        {
            **row,
            "answer": problems[row["question"]].answer,
            "extracted": reward.extracted,
            # A program has no answer that others could share.
            "vote": "" if problems[row["question"]].tests is not None else vote(reward.extracted, reward.verdict),
            "verdict": str(reward.verdict),
            "correct": reward.verdict is Verdict.CORRECT,
            "pass_rate": reward.pass_rate,
            "tests": reward.tests,
        }
        for row, reward in zip(rows, rewards, strict=True)
    ]


def vote(extracted: str, verdict: Verdict) -> str:
    """What an answer counts as in a vote: its one spelling, and "" for none; all right answers are one."""
    if verdict is Verdict.CORRECT:
        return "(right)"
    if verdict is not Verdict.WRONG or not extracted:
        return ""
    is_short = len(extracted) <= _SPELLED_CHARS and nesting(extracted) <= _SPELLED_NESTING
    return spelled(extracted) if is_short else extracted


def _completion(row: Mapping[str, Any], is_opened: bool) -> Completion:
    return Completion(
        token_ids=(),
        logprobs=(),
        entropies=None,
        text=f"{OPEN}{row['response']}" if is_opened else row["response"],
        finish_reason=FinishReason(row["finish"]),
    )
