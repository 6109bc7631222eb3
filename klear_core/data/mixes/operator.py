"""What an operator of a mix is, and the table of all of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeVar

from klear_core.errors import ConfigError
from klear_core.params import Limit, check_against_signature
from klear_core.records import Problem, SFTExample

Details = dict[str, Any]  # what an operator found, by name: plain values that JSON holds


class Operator(Protocol):
    """Takes demonstrations and gives those of them that stay; its keyword-only parameters are its YAML form.

    It streams where it can.  What it found (``details``) is complete once its output is exhausted.  It draws random
    numbers only from generators named by ``context.name``, so the same mix is the same on every machine.
    """

    __name__: str

    def __call__(
        self, examples: Iterable[SFTExample], context: "MixContext", details: Details, **params: Any
    ) -> Iterator[SFTExample]:
        """See above."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MixContext:
    """What operators may look at beside the demonstrations."""

    name: str  # of the mix with its seed: the beginning of the name of every generator
    questions: tuple[str, ...]  # prompts of the evaluations, none of which may be trained on
    # Accuracy and problems -> a solver of that mean accuracy; None where no task offers one.
    solver: Callable[[float, list[Problem]], Callable[[Problem, Random], SFTExample]] | None = None
    problems: tuple[Problem, ...] = ()  # the training problems of the task, for the solver


_OPERATORS: dict[str, Operator] = {}
_LIMITS: dict[str, Mapping[str, Limit]] = {}
_Function = TypeVar("_Function", bound=Callable[..., Iterator[SFTExample]])


def operator(name: str, **limits: Limit) -> Callable[[_Function], _Function]:
    """Register a function as operator ``name``; ``limits`` says what each parameter may be beyond its type."""

    def register(function: _Function) -> _Function:
        if name in _OPERATORS:
            raise ValueError(f"operator {name} is registered already")
        _OPERATORS[name], _LIMITS[name] = function, limits
        return function

    return register


def operator_names() -> list[str]:
    """Names of all operators, sorted."""
    return sorted(_OPERATORS)


def get_operator(name: str, params: Mapping[str, object], *, where: str) -> tuple[Operator, dict[str, Any]]:
    """An operator with its checked parameters; ConfigError, which begins with ``where``, names what does not fit."""
    found = _OPERATORS.get(name)
    if found is None:
        raise ConfigError(f"{where} is {name!r}; allowed: {', '.join(operator_names())}")
    return found, check_against_signature(found, params, where=f"{where}.{name}", limits=_LIMITS[name])
