"""Plain frozen records that cross a stage boundary: problems, completions, rewards. Standard library only."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A task with a reference answer. ``problem_id`` depends on the prompt only, so equal prompts share it."""

    problem_id: str
    domain: str
    prompt: str
    answer: str
    source: str
    difficulty: int  # of a chain: its number of operators


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTExample:
    """A demonstration; ``is_correct`` says whether its final answer is right."""

    problem_id: str
    prompt: str
    response: str
    source: str
    teacher: str
    is_correct: bool
    difficulty: int


class FinishReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"  # end-of-text was sampled
    LENGTH = "length"  # the token cap was reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A tokenized prompt as an engine takes it; ``problem_id`` keys its random numbers."""

    problem_id: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How an engine samples. ``temperature`` 0 is greedy decoding."""

    temperature: float
    top_p: float
    max_tokens: int
    num_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomKey:
    """Names a family of random numbers; with problem and sample it fixes every draw of a completion."""

    seed: int
    stream: str  # what the numbers are for: "train", "test", ...
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled response, end-of-text included.

    ``logprobs`` are those of the policy at the sampling temperature before top-p truncation, in nats, one a token
    (at temperature 0 those of temperature 1).  ``entropies`` are the entropies of the same distributions, None when
    an engine does not know them.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    entropies: tuple[float, ...] | None
    text: str
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutGroup:
    """The completions of one problem in one rollout; ``policy_step`` counts the rollout steps before it."""

    problem: Problem
    prompt: Prompt
    completions: tuple[Completion, ...]
    policy_step: int


class Verdict(StrEnum):
    """What a grader found. Only CORRECT counts as solved; the others say why it is not."""

    CORRECT = "CORRECT"
    WRONG = "WRONG"
    NO_ANSWER = "NO_ANSWER"  # no \\boxed{...} after the reasoning
    BAD_FORMAT = "BAD_FORMAT"  # reasoning not opened or not closed exactly once
    TRUNCATED = "TRUNCATED"  # cut at the token cap before end-of-text


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """A graded completion: the number that training uses, why, and the answer that was found ("" for none)."""

    value: float
    verdict: Verdict
    extracted: str
