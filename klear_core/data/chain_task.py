"""Arithmetic chains as a task that a config names: ``task=chains``."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klear_core.data import chains
from klear_core.data.chain_solver import mistakes_for_accuracy
from klear_core.data.chain_sources import WRITERS
from klear_core.data.chain_working import longest_working
from klear_core.errors import ConfigError
from klear_core.params import Limit
from klear_core.records import Problem, SFTExample

_LEAST_CONTEXT = 128
_PROBE_MISTAKES = 0.2  # a step: about half of the chains are wrong then


@dataclass(frozen=True, kw_only=True)
class ChainMistakes:
    """Probability that the teacher writes a wrong result for a step, per operator."""

    add: float
    sub: float
    mul: float


@dataclass(frozen=True, kw_only=True)
class ChainSettings:
    """Chains of ``min_terms`` to ``num_terms`` numbers of up to ``digits`` digits under + - *, modulo 10^digits."""

    num_terms: int
    min_terms: int
    digits: int
    teacher_mistakes: ChainMistakes


LIMITS: Mapping[str, Limit] = {
    "num_terms": (lambda v: 2 <= v <= 16, "2 to 16"),
    "min_terms": (lambda v: 2 <= v <= 16, "2 to 16"),
    "digits": (lambda v: 1 <= v <= 3, "1 to 3"),
    **{f"teacher_mistakes.{name}": (lambda v: 0 <= v <= 1, "0 to 1") for name in ("add", "sub", "mul")},
}


class ChainTask:
    """See ``klear_core.data.tasks.Task``."""

    def __init__(self, data_seed: int, settings: ChainSettings) -> None:
        if settings.min_terms > settings.num_terms:
            raise ConfigError(
                f"task.params.min_terms is {settings.min_terms}; allowed: at most "
                f"task.params.num_terms = {settings.num_terms}"
            )
        self._data_seed = data_seed
        self._settings = settings
        self._digits = settings.digits
        mistakes = settings.teacher_mistakes
        self._mistakes = {"+": mistakes.add, "-": mistakes.sub, "*": mistakes.mul}

    @property
    def context_tokens(self) -> int:
        """128 where prompt and demonstration fit into it, else the next power of two in which they do."""
        longest = self.longest_prompt + self.longest_response
        return max(_LEAST_CONTEXT, 1 << math.ceil(math.log2(longest)))

    @property
    def longest_prompt(self) -> int:
        """The digits of a number and an operator, or the equals sign, a term; each is a token."""
        return (self._settings.digits + 1) * self._settings.num_terms

    @property
    def longest_response(self) -> int:
        """Tokens that a demonstration has at most: steps of three numbers, the box, four tags and the end of text."""
        digits = self._settings.digits
        columns = longest_working(digits) + len("()") if digits > 1 else 0
        step = 3 * digits + len("+=") + columns
        return (self._settings.num_terms - 1) * (step + len(";")) - len(";") + digits + 5

    def problems(self, split: str, count: int) -> list[Problem]:
        """The first ``count`` problems of a split; DataError when it has fewer."""
        terms = {"num_terms": self._settings.num_terms, "min_terms": self._settings.min_terms}
        return chains.problems(data_seed=self._data_seed, split=split, count=count, digits=self._digits, **terms)

    def demonstrate(self, problem: Problem, rng: random.Random) -> SFTExample:
        """The teacher's solution, with the mistakes of the settings."""
        return chains.demonstrate(problem, mistakes=self._mistakes, rng=rng, digits=self._digits)

    def solver(self, accuracy: float, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """A solver of a stated mean accuracy over ``training``; its mistakes have the proportions of the teacher's."""
        return self.writer("clean", accuracy, training)

    @property
    def sources(self) -> tuple[str, ...]:
        """See ``klear_core.data.chain_sources``; best first."""
        return tuple(WRITERS)

    def writer(
        self, source: str, accuracy: float, problems: Sequence[Problem]
    ) -> Callable[[Problem, random.Random], SFTExample]:
        """Demonstrations of ``source`` by a teacher of a stated mean accuracy over ``problems``."""
        mistakes = mistakes_for_accuracy(accuracy, mistakes=self._mistakes, problems=problems, digits=self._digits)

        def write(problem: Problem, rng: random.Random) -> SFTExample:
            steps = chains.attempt(problem, mistakes=mistakes, rng=rng, digits=self._digits)
            response = WRITERS[source](steps, rng)
            return SFTExample(
                problem_id=problem.problem_id,
                prompt=problem.prompt,
                response=response,
                source=source,
                teacher="chain_teacher",
                is_correct=response.endswith(f"{chains.BOX_OPEN}{problem.answer}{chains.BOX_CLOSE}"),
                difficulty=problem.difficulty,
            )

        return write

    def half_right(self, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """A teacher that errs in about half of its demonstrations, whatever the settings."""
        mistakes = dict.fromkeys(chains.OPERATORS, _PROBE_MISTAKES)
        return lambda problem, rng: chains.demonstrate(problem, mistakes=mistakes, rng=rng, digits=self._digits)

    def tokenizer(self) -> Any:
        """A new tokenizer."""
        # Imported late: a plan is checked without waiting for transformers.
        from klear_core.data.tokenizer import build_tokenizer

        return build_tokenizer(max_length=self.context_tokens)

    def floor(self, questions: Sequence[Problem]) -> tuple[float, str]:
        """Accuracy of the best constant answer, and a line that names it."""
        answer, share = chains.constant_floor(questions)
        return share, f"always answering {answer} on the {len(questions)} test questions ({chains.DOMAIN})"
