"""Arithmetic chains as a task that a config names: ``task=chains``."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klear_core.data import chains
from klear_core.errors import DataError
from klear_core.params import Limit
from klear_core.records import Problem, SFTExample

_CONTEXT_TOKENS = 128
_PROBE_MISTAKES = 0.2  # a step: about half of the chains are wrong then


@dataclass(frozen=True, kw_only=True)
class ChainMistakes:
    """Probability that the teacher writes a wrong result for a step, per operator."""

    add: float
    sub: float
    mul: float


@dataclass(frozen=True, kw_only=True)
class ChainSettings:
    """Chains of ``num_terms`` digits under + - *, modulo 10."""

    num_terms: int
    teacher_mistakes: ChainMistakes


LIMITS: Mapping[str, Limit] = {
    "num_terms": (lambda v: 2 <= v <= 8, "2 to 8"),
    **{f"teacher_mistakes.{name}": (lambda v: 0 <= v <= 1, "0 to 1") for name in ("add", "sub", "mul")},
}


class ChainTask:
    """See ``klear_core.data.tasks.Task``."""

    context_tokens = _CONTEXT_TOKENS

    def __init__(self, data_seed: int, settings: ChainSettings) -> None:
        self._data_seed = data_seed
        self._settings = settings
        mistakes = settings.teacher_mistakes
        self._mistakes = {"+": mistakes.add, "-": mistakes.sub, "*": mistakes.mul}

    @property
    def longest_prompt(self) -> int:
        """A digit and an operator, or the equals sign, a term; each is a token."""
        return 2 * self._settings.num_terms

    def problems(self, split: str, count: int) -> list[Problem]:
        """The first ``count`` problems of a split; DataError when it has fewer."""
        return chains.problems(data_seed=self._data_seed, split=split, count=count, num_terms=self._settings.num_terms)

    def demonstrate(self, problem: Problem, rng: random.Random) -> SFTExample:
        """The teacher's solution, with the mistakes of the settings."""
        return chains.demonstrate(problem, mistakes=self._mistakes, rng=rng)

    def solver(self, accuracy: float, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """DataError: nothing is filtered by a solver where answers are exact."""
        raise DataError("chains have no reference solver; allowed: code_filter=off")

    def half_right(self, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """A teacher that errs in about half of its demonstrations, whatever the settings."""
        mistakes = dict.fromkeys(chains.OPERATORS, _PROBE_MISTAKES)
        return lambda problem, rng: chains.demonstrate(problem, mistakes=mistakes, rng=rng)

    def tokenizer(self) -> Any:
        """A new tokenizer."""
        # Imported late: a plan is checked without waiting for transformers.
        from klear_core.data.tokenizer import build_tokenizer

        return build_tokenizer(max_length=self.context_tokens)

    def floor(self, questions: Sequence[Problem]) -> tuple[float, str]:
        """Accuracy of the best constant answer, and a line that names it."""
        answer, share = chains.constant_floor(questions)
        return share, f"always answering {answer} on the {len(questions)} test questions ({chains.DOMAIN})"
