"""Short Python functions as a task that a config names: ``task=functions``."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klear_core.data import function_problems, function_teacher, functions
from klear_core.data.function_code import longest_prompt
from klear_core.data.function_sources import WRITERS
from klear_core.data.function_teacher import FunctionMistakes
from klear_core.params import Limit
from klear_core.records import Problem, SFTExample

_CONTEXT_TOKENS = 128
_PROBE_ACCURACY = 0.5
_PROBE_MISTAKES = FunctionMistakes(operation=0.3, boundary=0.1, constant=0.1)  # their proportions matter only


@dataclass(frozen=True, kw_only=True)
class FunctionSettings:
    """Functions of 1 to ``max_pieces`` pieces, ``num_tests`` tests each; a share of the training tests is flawed."""

    max_pieces: int
    num_tests: int
    flawed_share: float
    teacher_mistakes: FunctionMistakes


_SHARES = ("flawed_share", *(f"teacher_mistakes.{name}" for name in ("operation", "boundary", "constant")))
LIMITS: Mapping[str, Limit] = {
    "max_pieces": (lambda v: 1 <= v <= 4, "1 to 4"),
    "num_tests": (lambda v: 8 <= v <= 24, "8 to 24"),
    **{name: (lambda v: 0 <= v <= 1, "0 to 1") for name in _SHARES},
}


class FunctionTask:
    """See ``klear_core.data.tasks.Task``."""

    context_tokens = _CONTEXT_TOKENS

    def __init__(self, data_seed: int, settings: FunctionSettings) -> None:
        self._data_seed = data_seed
        self._settings = settings

    @property
    def longest_prompt(self) -> int:
        """Tokens of the longest description."""
        return longest_prompt(self._settings.max_pieces, function_problems.MAX_OPERATIONS)

    def problems(self, split: str, count: int) -> list[Problem]:
        """The first ``count`` problems of a split; DataError when it has fewer. Only training tests are flawed."""
        return function_problems.problems(
            data_seed=self._data_seed,
            split=split,
            count=count,
            max_pieces=self._settings.max_pieces,
            num_tests=self._settings.num_tests,
            flawed_share=self._settings.flawed_share,
        )

    def demonstrate(self, problem: Problem, rng: random.Random) -> SFTExample:
        """The teacher's solution, with the mistakes of the settings."""
        return function_teacher.demonstrate(problem, mistakes=self._settings.teacher_mistakes, rng=rng)

    def solver(self, accuracy: float, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """A solver of a stated mean accuracy over ``training``; its mistakes have the proportions of the teacher's."""
        return function_teacher.solver(accuracy, mistakes=self._settings.teacher_mistakes, problems=training)

    @property
    def sources(self) -> tuple[str, ...]:
        """See ``klear_core.data.function_sources``; best first."""
        return tuple(WRITERS)

    def writer(
        self, source: str, accuracy: float, problems: Sequence[Problem]
    ) -> Callable[[Problem, random.Random], SFTExample]:
        """Demonstrations of ``source`` by a teacher of a stated mean accuracy over ``problems``."""
        mistakes = function_teacher.mistakes_for_accuracy(
            accuracy, mistakes=self._settings.teacher_mistakes, problems=problems
        )

        def write(problem: Problem, rng: random.Random) -> SFTExample:
            truth = functions.parse(problem.prompt)
            written = function_teacher.attempt(truth, mistakes=mistakes, rng=rng)
            response, is_correct = WRITERS[source](truth, written, rng)
            return SFTExample(
                problem_id=problem.problem_id,
                prompt=problem.prompt,
                response=response,
                source=source,
                teacher="function_teacher",
                is_correct=is_correct,
                difficulty=problem.difficulty,
            )

        return write

    def half_right(self, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """A teacher that errs in about half of its demonstrations, whatever the settings."""
        return function_teacher.solver(_PROBE_ACCURACY, mistakes=_PROBE_MISTAKES, problems=training)

    def tokenizer(self) -> Any:
        """A new tokenizer."""
        # Imported late: a plan is checked without waiting for transformers.
        from klear_core.data.tokenizer import build_function_tokenizer

        return build_function_tokenizer(max_length=self.context_tokens)

    def floor(self, questions: Sequence[Problem]) -> tuple[float, str]:
        """Share of questions that the best one of their own programs solves, and a line that names it."""
        prompt, share = function_problems.constant_floor(questions)
        where = f"on the {len(questions)} test questions ({function_problems.DOMAIN})"
        return share, f"always writing the program of '{prompt}' {where}"
