"""The table of tasks: what a config's ``task.name`` may be, and what every task can do."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from klear_core.config import TaskConfig
from klear_core.data import chain_task, function_task, rows_task
from klear_core.errors import ConfigError
from klear_core.params import Limit
from klear_core.records import Problem, SFTExample
from klear_core.settings import build, look_up


class Task(Protocol):
    """A family of problems with a fallible teacher; everything in it is a function of the settings."""

    @property
    def context_tokens(self) -> int | None:
        """Of the models that the supervised start trains; None for problems that are read, see ``is_read``."""
        ...

    @property
    def longest_prompt(self) -> int | None:
        """Tokens of the longest prompt; None where only the tokenizer of a given model can tell."""
        ...

    def problems(self, split: str, count: int) -> list[Problem]:
        """The first ``count`` problems of a split (train, validation, test); DataError when it has fewer."""
        ...

    def demonstrate(self, problem: Problem, rng: random.Random) -> SFTExample:
        """The teacher's solution, with the mistakes of the settings."""
        ...

    def solver(self, accuracy: float, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """A solver of a stated mean accuracy over ``training``; DataError when the task has none."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the ways in which generated demonstrations are written, best first; empty where there are none."""
        ...

    def writer(
        self, source: str, accuracy: float, problems: Sequence[Problem]
    ) -> Callable[[Problem, random.Random], SFTExample]:
        """Demonstrations of ``source`` by a teacher of a stated mean accuracy over ``problems``.

        What the source itself does wrong comes on top.  DataError for an accuracy that the task's teacher cannot have.
        """
        ...

    def half_right(self, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """A teacher that errs in about half of its demonstrations: what a short measurement trains on."""
        ...

    def tokenizer(self) -> Any:
        """A new transformers tokenizer, whose ``model_max_length`` is ``context_tokens``."""
        ...

    def floor(self, questions: Sequence[Problem]) -> tuple[float, str]:
        """Accuracy of the best answer that does not read the question, and a line that names it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """How a task is made of ``task.params``: a dataclass that is their schema, its limits, and the task's class."""

    settings: type[Any]
    limits: Mapping[str, Limit]
    task: Callable[[int, Any], Task]


_TABLE = {
    "chains": _Entry(settings=chain_task.ChainSettings, limits=chain_task.LIMITS, task=chain_task.ChainTask),
    "functions": _Entry(
        settings=function_task.FunctionSettings, limits=function_task.LIMITS, task=function_task.FunctionTask
    ),
    "rows": _Entry(settings=rows_task.RowsSettings, limits=rows_task.LIMITS, task=rows_task.RowsTask),
}


def task_names() -> list[str]:
    """Names of all tasks, sorted."""
    return sorted(_TABLE)


def is_read(task: Task) -> bool:
    """Whether a task's problems are read and not generated: of any kind, without a teacher, for a model that is given.

    The teacher's functions and ``tokenizer`` raise DataError then, with a line that says what to set.
    """
    return task.context_tokens is None


def get_task(config: TaskConfig) -> Task:
    """The task that a config names; ConfigError names the first setting that is unknown, missing or out of limits."""
    entry = _TABLE.get(config.name)
    if entry is None:
        raise ConfigError(f"task.name is {config.name!r}; allowed: {', '.join(task_names())}")
    settings = build(entry.settings, config.params, "task.params")
    for key, (allowed, text) in entry.limits.items():
        value = look_up(settings, key)
        if not allowed(value):
            raise ConfigError(f"task.params.{key} is {value!r}; allowed: {text}")
    return entry.task(config.data_seed, settings)
