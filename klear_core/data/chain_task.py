"""Arithmetic chains as a task that a config names: ``task=chains``."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klear_core.data import chains
from klear_core.data.chain_solver import mistakes_for_accuracy
from klear_core.data.chain_sources import WRITERS
from klear_core.errors import ConfigError
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
    """Chains of ``min_terms`` to ``num_terms`` digits under + - *, modulo 10."""

    num_terms: int
    min_terms: int
    teacher_mistakes: ChainMistakes


LIMITS: Mapping[str, Limit] = {
    "num_terms": (lambda v: 2 <= v <= 8, "2 to 8"),
    "min_terms": (lambda v: 2 <= v <= 8, "2 to 8"),
    **{f"teacher_mistakes.{name}": (lambda v: 0 <= v <= 1, "0 to 1") for name in ("add", "sub", "mul")},
}


class ChainTask:
    """See ``klear_core.data.tasks.Task``."""

    context_tokens = _CONTEXT_TOKENS

    def __init__(self, data_seed: int, settings: ChainSettings) -> None:
        if settings.min_terms > settings.num_terms:
            raise ConfigError(
                f"task.params.min_terms is {settings.min_terms}; allowed: at most "
                f"task.params.num_terms = {settings.num_terms}"
            )
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
        terms = {"num_terms": self._settings.num_terms, "min_terms": self._settings.min_terms}
        return chains.problems(data_seed=self._data_seed, split=split, count=count, **terms)

    def demonstrate(self, problem: Problem, rng: random.Random) -> SFTExample:
        """The teacher's solution, with the mistakes of the settings."""
        return chains.demonstrate(problem, mistakes=self._mistakes, rng=rng)

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
        mistakes = mistakes_for_accuracy(accuracy, mistakes=self._mistakes, problems=problems)

        def write(problem: Problem, rng: random.Random) -> SFTExample:
            response = WRITERS[source](chains.attempt(problem, mistakes=mistakes, rng=rng), rng)
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
