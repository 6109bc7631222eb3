"""A mix from its YAML form: inputs that are read or generated, then operators in their order."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from klear_core.config import SFTMixConfig
from klear_core.data.formats.fingerprint import Fingerprint, fingerprint
from klear_core.data.formats.load import load_rows
from klear_core.data.mixes.operators import Details, MixContext, Operator, get_operator
from klear_core.errors import ConfigError, DataError
from klear_core.records import Problem, SFTExample
from klear_core.settings import build


class Teacher(Protocol):
    """What of a task generates demonstrations; see ``klear_core.data.tasks.Task``."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the generated sources."""
        ...

    def writer(
        self, source: str, accuracy: float, problems: Sequence[Problem]
    ) -> Callable[[Problem, random.Random], SFTExample]:
        """Demonstrations of a source by a teacher of a stated accuracy."""
        ...

    def solver(self, accuracy: float, training: Sequence[Problem]) -> Callable[[Problem, random.Random], SFTExample]:
        """A reference solver of a stated accuracy."""
        ...


@dataclass(frozen=True, kw_only=True)
class GeneratedInput:
    """Demonstrations of the task's training problems, made when they are needed."""

    generated: str  # a source of the task
    teacher: str  # the name that its demonstrations carry
    accuracy: float  # of the teacher, mean over these problems
    min_difficulty: float | None  # of the problems; null = no limit
    max_difficulty: float | None
    first: int  # place of the first problem among those within the limits
    problems: int
    per_problem: int  # demonstrations of each


@dataclass(frozen=True, kw_only=True)
class RowsInput:
    """Demonstrations of a file, a folder of files, or the Hub (``hub:org/name``)."""

    rows: str
    source: str | None  # in place of what the rows say; null = as they say
    teacher: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedStep:
    """What one step did; ``name`` is that of its operator, or ``inputs``."""

    name: str
    before: int
    after: int
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Demonstrations with how they came about."""

    examples: tuple[SFTExample, ...]
    steps: tuple[AppliedStep, ...]
    fingerprint: Fingerprint


def check_mix(config: SFTMixConfig, task: Teacher) -> None:
    """ConfigError or DataError, one line, for an input or a step that cannot be what it says; nothing is read whole."""
    for number, raw in enumerate(config.inputs):
        _parsed_input(raw, f"sft_mix.inputs[{number}]", task)
    _parsed_steps(config)
    if config.steps and not config.inputs:
        raise ConfigError(
            "sft_mix.steps is given without sft_mix.inputs; allowed: both, or none for the task's teacher"
        )


def build_mix(
    config: SFTMixConfig, *, task: Teacher, problems: Sequence[Problem], questions: Sequence[Problem], seed: int
) -> Mix:
    """All demonstrations of a mix; a function of its arguments and of the files that it names.

    ``problems`` are the task's training problems, ``questions`` those that evaluations ask.  Generators are named by
    ``seed`` and never by the mix, so the same demonstrations stand in all mixes of a seed that ask for them.
    DataError when nothing is left, ConfigError as of ``check_mix``.
    """
    check_mix(config, task)
    context = MixContext(
        name=f"sft_mix/{seed}",
        questions=tuple(question.prompt for question in questions),
        solver=task.solver,
        problems=tuple(problems),
    )
    inputs = [_parsed_input(raw, f"sft_mix.inputs[{k}]", task) for k, raw in enumerate(config.inputs)]
    counts: Counter[int] = Counter()
    stream = _counted(_all_inputs(inputs, task, problems, seed), counts, 0)
    details: list[Details] = [{}]
    steps = _parsed_steps(config)
    for number, (_, function, params) in enumerate(steps, start=1):
        details.append({})
        stream = _counted(function(stream, context, details[number], **params), counts, number)
    examples = tuple(stream)
    if not examples:
        raise DataError(f"no demonstration is left in the mix {config.name}: {_told(counts, steps)}")
    names = ["inputs", *(name for name, _, _ in steps)]
    applied = [
        AppliedStep(name=name, before=counts[max(k - 1, 0)], after=counts[k], details=details[k])
        for k, name in enumerate(names)
    ]
    return Mix(examples=examples, steps=tuple(applied), fingerprint=fingerprint(examples))


def _told(counts: Counter[int], steps: Sequence[tuple[str, Operator, dict[str, Any]]]) -> str:
    return ", ".join([f"{counts[0]} read", *(f"{counts[k]} after {n}" for k, (n, _, _) in enumerate(steps, start=1))])


def _counted(examples: Iterable[SFTExample], counts: Counter[int], step: int) -> Iterator[SFTExample]:
    for example in examples:
        counts[step] += 1
        yield example


def _parsed_input(raw: Any, where: str, task: Teacher) -> GeneratedInput | RowsInput:
    if not isinstance(raw, Mapping) or not ("rows" in raw) ^ ("generated" in raw):
        raise ConfigError(f"{where} is {raw!r}; allowed: a mapping with either rows or generated")
    if "rows" in raw:
        return build(RowsInput, {"source": None, "teacher": None} | dict(raw), where)
    found = build(GeneratedInput, raw, where)
    if found.generated not in task.sources:
        allowed = ", ".join(task.sources) or "none, as the task generates no demonstrations"
        raise ConfigError(f"{where}.generated is {found.generated!r}; allowed: {allowed}")
    limits = {"accuracy": (0 < found.accuracy <= 1, "0 < value <= 1"), "first": (found.first >= 0, ">= 0")}
    limits |= {"problems": (found.problems > 0, "> 0"), "per_problem": (1 <= found.per_problem <= 1000, "1 to 1000")}
    for key, (fits, allowed) in limits.items():
        if not fits:
            raise ConfigError(f"{where}.{key} is {getattr(found, key)!r}; allowed: {allowed}")
    return found


def _parsed_steps(config: SFTMixConfig) -> list[tuple[str, Operator, dict[str, Any]]]:
    found = []
    for number, raw in enumerate(config.steps):
        where = f"sft_mix.steps[{number}]"
        if not isinstance(raw, Mapping) or len(raw) != 1:
            raise ConfigError(f"{where} is {raw!r}; allowed: a mapping of one operator to its parameters")
        ((name, params),) = raw.items()
        if not isinstance(params, Mapping):
            raise ConfigError(f"{where}.{name} is {params!r}; allowed: the operator's parameters, {{}} for none")
        found.append((str(name), *get_operator(str(name), params, where=where)))
    return found


def _all_inputs(
    inputs: Sequence[GeneratedInput | RowsInput], task: Teacher, problems: Sequence[Problem], seed: int
) -> Iterator[SFTExample]:
    for each in inputs:
        yield from _generated(each, task, problems, seed) if isinstance(each, GeneratedInput) else _read(each)


def _generated(given: GeneratedInput, task: Teacher, problems: Sequence[Problem], seed: int) -> Iterator[SFTExample]:
    fitting = [problem for problem in problems if _within(problem, given)]
    chosen = fitting[given.first : given.first + given.problems]
    if len(chosen) < given.problems:
        raise DataError(
            f"the generated input {given.generated} asks for problems {given.first} to "
            f"{given.first + given.problems - 1} of its difficulty; there are {len(fitting)} among "
            f"task.train_problems = {len(problems)}"
        )
    write = task.writer(given.generated, given.accuracy, chosen)
    for k in range(given.per_problem):
        for problem in chosen:
            rng = random.Random(f"sft_mix/{seed}/{given.generated}/{given.teacher}/{problem.problem_id}/{k}")
            yield replace(write(problem, rng), teacher=given.teacher)


def _within(problem: Problem, given: GeneratedInput) -> bool:
    low, high = given.min_difficulty, given.max_difficulty
    if low is None and high is None:
        return True
    value = problem.difficulty
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def _read(given: RowsInput) -> Iterator[SFTExample]:
    for example in load_rows(given.rows).demonstrations():
        changes = {name: value for name in ("source", "teacher") if (value := getattr(given, name)) is not None}
        yield replace(example, **changes) if changes else example
