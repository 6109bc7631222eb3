"""A function's keyword-only parameters as the schema of the settings that a config may give it."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from klear_core.errors import ConfigError

Limit = tuple[Callable[[Any], bool], str]  # (test, what is allowed)


def check_against_signature(
    function: Callable[..., Any], params: Mapping[str, object], *, where: str, limits: Mapping[str, Limit]
) -> dict[str, Any]:
    """``params`` with numbers in the type of the signature; ConfigError names the first key that does not fit.

    Every keyword-only parameter must be given.  ``where`` names the settings in messages, ``limits`` holds what is
    allowed beyond the type; None is allowed where the annotation says so.
    """
    hints = typing.get_type_hints(function)
    signature = inspect.signature(function).parameters.values()
    names = [parameter.name for parameter in signature if parameter.kind is parameter.KEYWORD_ONLY]
    for key in params:
        if key not in names:
            allowed = ", ".join(names) or "none"
            raise ConfigError(f"{where}.{key} is {params[key]!r}, but {key} is not a parameter; allowed: {allowed}")
    checked = {}
    for name in names:
        if name not in params:
            raise ConfigError(f"{where}.{name} is missing; needed: {', '.join(names)}")
        checked[name] = _check_value(f"{where}.{name}", params[name], hints[name], limits.get(name))
    return checked


def _check_value(key: str, value: Any, hint: Any, limit: Limit | None) -> Any:
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    if value is None and type(None) in options:
        return None
    kind = next(option for option in options if option is not type(None))
    null = " or null" if type(None) in options else ""
    told, fits = _fits(kind, value)
    if not fits:
        raise ConfigError(f"{key} is {value!r}; allowed: {told}{null}")
    if limit is not None and not limit[0](value):
        raise ConfigError(f"{key} is {value!r}; allowed: {limit[1]}")
    return kind(value) if kind in (int, float) else value


def _fits(kind: Any, value: Any) -> tuple[str, bool]:
    """What an annotation allows, in words, and whether ``value`` is that."""
    if kind in (int, float):
        accepted = (int, float) if kind is float else (int,)
        return f"a number of type {kind.__name__}", isinstance(value, accepted) and not isinstance(value, bool)
    if kind is bool:
        return "true or false", isinstance(value, bool)
    if kind is str:
        return "a text", isinstance(value, str)
    if kind == list[str]:
        return "a list of texts", isinstance(value, list) and all(isinstance(item, str) for item in value)
    raise TypeError(f"parameters of type {kind} cannot be checked")
