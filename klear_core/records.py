"""Plain frozen records that cross a stage boundary: problems, completions, rewards. Standard library only."""

import math
from dataclasses import dataclass
from enum import StrEnum


class TestKind(StrEnum):
    """How the tests of a program talk to it."""

    STDIN = "stdin"  # a whole program: text in, text out
    FUNCTION = "function"  # a call: JSON list of arguments in, JSON value out


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTests:
    """The tests of a program, one input and one expected output each."""

    kind: TestKind
    entry: str  # the function that is called, "" for a whole program
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A task with a reference answer or tests. ``problem_id`` depends on the prompt only, so equal prompts share it."""

    problem_id: str
    domain: str
    prompt: str
    answer: str  # "" for a problem that tests decide
    source: str
    difficulty: float | None  # the higher the harder, on the scale of its task or data set; None where nobody says
    tests: CodeTests | None = None
    flawed: bool = False  # some expected outputs are wrong, planted on purpose; no solver is told
    system: str = ""  # message that goes before the prompt, "" for none


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTExample:
    """A demonstration: a prompt with the response that a teacher gave."""

    problem_id: str
    prompt: str
    response: str
    source: str  # where the problem and its form come from, "" where nobody says
    teacher: str  # who wrote the response, "" where nobody says
    is_correct: bool | None  # whether its final answer is right; None where nobody says
    difficulty: float | None  # as of a Problem
    system: str = ""  # as of a Problem


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
    WRONG = "WRONG"  # of a program: at least one test not passed
    NO_ANSWER = "NO_ANSWER"  # no \\boxed{...}, or no program, after the reasoning
    UNPARSABLE = "UNPARSABLE"  # an answer that is no mathematics, or is too long or too deep to look at
    TIMEOUT = "TIMEOUT"  # an answer that the verifier could not judge within its deadline
    MISSING_OPEN = "MISSING_OPEN"  # the reasoning is not opened
    MISSING_CLOSE = "MISSING_CLOSE"  # the reasoning is not closed
    BAD_FORMAT = "BAD_FORMAT"  # the reasoning is opened or closed more than once, or not at the beginning
    TRUNCATED = "TRUNCATED"  # cut at the token cap before end-of-text
    GRADER_ERROR = "GRADER_ERROR"  # the grading itself failed: the completion is invalid, not wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """A graded completion: the number that training uses, why, and the answer that was found ("" for none)."""

    value: float  # NaN when the grading failed
    verdict: Verdict
    extracted: str
    pass_rate: float = math.nan  # share of its tests that a program passed
    agrees: bool | None = None  # whether a second verifier of an answer says the same, None when one does not decide
    tests: str = ""  # one letter a test, see ``klear_core.rewards.code``

    @property
    def is_valid(self) -> bool:
        """False when the grading itself failed; such a completion enters no statistic and no loss."""
        return self.verdict is not Verdict.GRADER_ERROR
