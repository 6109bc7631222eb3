"""Sampling and grading benchmark questions; statistics are left to the reports."""

import math
from collections.abc import Sequence
from typing import Any

from klear_core.records import Problem, Prompt, RandomKey, SamplingParams, Verdict
from klear_core.rewards.grader import Grader
from klear_core.rollout.engine import Engine

# name -> (temperature, top_p)
DECODINGS = {"t1.0": (1.0, 1.0), "t0.6_p0.95": (0.6, 0.95), "greedy": (0.0, 1.0)}


def evaluate(
    engine: Engine,
    questions: Sequence[Problem],
    prompts: Sequence[Prompt],
    grader: Grader,
    *,
    split: str,
    decoding: str,
    num_samples: int,
    max_tokens: int,
    seed: int,
    step: int,
) -> list[dict[str, Any]]:
    """Rows of EVAL_COLUMNS for every question and sample; greedy decoding takes one sample.

    The random numbers depend on (seed, split, question, sample) and not on ``step`` or the policy, so two policies
    of one seed answer under common random numbers.
    """
    temperature, top_p = DECODINGS[decoding]
    sampling = SamplingParams(
        temperature=temperature,
        top_p=top_p,
        max_tokens=max_tokens,
        num_samples=1 if temperature == 0 else num_samples,
    )
    answers = engine.generate(prompts, sampling, RandomKey(seed=seed, stream=f"eval/{split}", step=0))
    asked = [question for question, completions in zip(questions, answers, strict=True) for _ in completions]
    rewards = iter(grader.grade(asked, [completion for completions in answers for completion in completions]))
    rows = []
    for index, (question, completions) in enumerate(zip(questions, answers, strict=True)):
        for sample, completion in enumerate(completions):
            reward = next(rewards)
            rows.append(
                {
                    "step": step,
                    "split": split,
                    "decoding": decoding,
                    "question": index,
                    "problem_id": question.problem_id,
                    "difficulty": math.nan if question.difficulty is None else float(question.difficulty),
                    "sample": sample,
                    "answer": question.answer,
                    "extracted": reward.extracted,
                    "verdict": str(reward.verdict),
                    "correct": reward.verdict is Verdict.CORRECT,
                    "pass_rate": reward.pass_rate,
                    "tests": reward.tests,
                    "response_tokens": len(completion.token_ids),
                    "response": completion.text,
                }
            )
    return rows
