"""Problems of files, folders or the Hub as a task that a config names: ``task=rows``."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from klear_core.data.chains import constant_floor
from klear_core.data.formats.files import shards
from klear_core.data.formats.hub import PREFIX
from klear_core.data.formats.load import load_rows
from klear_core.data.mixes.text import folded
from klear_core.data.splits import SPLITS
from klear_core.errors import DataError
from klear_core.params import Limit
from klear_core.records import Problem, SFTExample

_PLACES = "a file, a folder of files, or hub:org/name"
_SHOWN = 60  # characters of a prompt or an answer in a message
# How many problems of a split a config asks for; and the splits with which it may share no prompt.
_COUNTS = dict(zip(SPLITS, ("task.train_problems", "eval.validation_questions", "eval.test_questions"), strict=True))
_APART = {"train": ("validation", "test"), "validation": ("test",), "test": ()}


@dataclass(frozen=True, kw_only=True)
class RowsSettings:
    """Where the problems of each split are: a file, a folder of files, or ``hub:org/name``."""

    train: str
    validation: str
    test: str


LIMITS: Mapping[str, Limit] = {split: (lambda v: v.strip() != "", _PLACES) for split in SPLITS}


class RowsTask:
    """See ``klear_core.data.tasks.Task``.  Problems are read, and nothing is generated: there is no teacher.

    Prompts are what a model of the user's own reads, so only the tokenizer of that model knows their tokens.
    """

    context_tokens = None
    longest_prompt = None
    sources = ()

    def __init__(self, data_seed: int, settings: RowsSettings) -> None:
        """``data_seed`` changes nothing: problems come in the order of their rows."""
        self._where = {split: str(getattr(settings, split)) for split in SPLITS}

    def problems(self, split: str, count: int) -> list[Problem]:
        """The first ``count`` different prompts of a split's rows.

        DataError when there are fewer, when one of them has neither answer nor tests, and when one is asked elsewhere:
        a training problem in validation or test, or a validation question in the test.  Prompts are compared whole,
        without regard to case and spaces; all rows of the other split count, whether a run asks them or not.
        """
        if split not in SPLITS:
            raise DataError(f"split is {split!r}; allowed: {', '.join(SPLITS)}")
        found = self._read(split, count)
        if len(found) < count:
            raise DataError(
                f"task.params.{split} is {self._where[split]}, which has {len(found)} different prompts; allowed: at "
                f"least {_COUNTS[split]} = {count}"
            )
        for problem in found:
            if problem.tests is None and not problem.answer.strip():
                raise DataError(
                    f"task.params.{split} is {self._where[split]}, where {_begins(problem.prompt)} has neither an "
                    f"answer nor tests that can be run; allowed: one of them in each problem"
                )
        for other in _APART[split]:
            self._check_apart(split, found, other)
        return list(found)

    def _read(self, split: str, count: int | None) -> tuple[Problem, ...]:
        where = self._where[split]
        try:
            return _first_different(where, _stamp(where), count)
        except DataError as error:
            raise DataError(f"task.params.{split}: {error}") from None

    def _check_apart(self, split: str, found: Sequence[Problem], other: str) -> None:
        asked = {folded(problem.prompt) for problem in self._read(other, None)}
        shared = [problem for problem in found if folded(problem.prompt) in asked]
        if shared:
            raise DataError(
                f"task.params.{split} is {self._where[split]}, which shares {len(shared)} prompts with "
                f"task.params.{other}, such as {_begins(shared[0].prompt)}; allowed: none, so leave them out of one"
            )

    def demonstrate(self, problem: Problem, rng: random.Random) -> SFTExample:
        """DataError: there is no teacher."""
        _refuse_teacher()

    def solver(self, accuracy: float, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """DataError: there is no reference solver."""
        raise DataError("task=rows has no reference solver; allowed: steps and filters that need none")

    def writer(
        self, source: str, accuracy: float, problems: Sequence[Problem]
    ) -> Callable[[Problem, random.Random], SFTExample]:
        """DataError: there is no teacher."""
        _refuse_teacher()

    def half_right(self, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """DataError: there is no teacher."""
        _refuse_teacher()

    def tokenizer(self) -> Any:
        """DataError: the model of ``sft.checkpoint`` brings its own."""
        raise DataError("task=rows has no tokenizer of its own; set sft.checkpoint=<model folder>, which brings one")

    def floor(self, questions: Sequence[Problem]) -> tuple[float, str]:
        """Share of questions that the most common answer solves, and a line that names it; tests count as not passed.

        Answers are compared as texts, so a verifier of mathematics may find more of them equal.
        """
        answered = [question for question in questions if question.tests is None]
        if not answered:
            return 0.0, f"no program was tried on the {len(questions)} test questions, which are all decided by tests"
        answer, share = constant_floor(answered)
        tested = len(questions) - len(answered)
        untried = f", {tested} of which are decided by tests that no program was tried on" if tested else ""
        shown = answer if len(answer) <= _SHOWN else f"{answer[:_SHOWN]}..."
        return (
            share * len(answered) / len(questions),
            f"always answering {' '.join(shown.split())} on the {len(questions)} test questions{untried}",
        )


def _refuse_teacher() -> NoReturn:
    raise DataError(
        "task=rows has no teacher; set sft_mix=rows sft_mix.params.path=<demonstrations> with stage=sft, or start RL "
        "from sft.checkpoint=<model folder>"
    )


def _begins(prompt: str) -> str:
    text = " ".join(prompt.split())
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _stamp(where: str) -> tuple[tuple[str, int, int], ...]:
    """What changes when a file does; empty for what is not there, which ``load_rows`` refuses, and for the Hub."""
    if where.startswith(PREFIX) or not Path(where).exists():
        return ()
    states = [(path, path.stat()) for path in shards(Path(where))]
    return tuple((str(path), state.st_mtime_ns, state.st_size) for path, state in states)


# A plan asks for the same problems several times, and rows of real data take seconds to read.
@lru_cache(maxsize=8)
def _first_different(where: str, stamp: tuple[tuple[str, int, int], ...], count: int | None) -> tuple[Problem, ...]:
    """The first ``count`` problems of different prompts, all when None."""
    return tuple(islice(_different(load_rows(where).problems()), count))


def _different(problems: Iterator[Problem]) -> Iterator[Problem]:
    seen: set[str] = set()
    for problem in problems:
        if problem.problem_id not in seen:
            seen.add(problem.problem_id)
            yield problem
