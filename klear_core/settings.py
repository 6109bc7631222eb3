"""Strict building of nested dataclasses from plain data, and reading them by dotted keys."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from klear_core.errors import ConfigError

_T = TypeVar("_T")
_INTEGERS = 10**18


def look_up(config: object, key: str) -> Any:
    """Value of a dotted key such as ``rl.learning_rate``; ConfigError when there is none."""
    value: Any = config
    for name in key.split("."):
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif dataclasses.is_dataclass(value) and name in {field.name for field in dataclasses.fields(value)}:
            value = getattr(value, name)
        else:
            raise ConfigError(f"there is no setting {key!r}")
    return value


def build(kind: type[_T], raw: Mapping[str, Any], path: str = "") -> _T:
    """Build dataclass ``kind`` from plain data; ConfigError on unknown or missing keys and wrong types."""
    hints = typing.get_type_hints(kind)
    where = f"{path}." if path else ""
    for key in raw:
        if key not in hints:
            raise ConfigError(f"{where}{key} is not a setting; allowed: {', '.join(sorted(hints))}")
    missing = [key for key in hints if key not in raw]
    if missing:
        raise ConfigError(f"{where}{missing[0]} is missing")
    return kind(**{key: _convert(hint, raw[key], where + key) for key, hint in hints.items()})


def _convert(hint: Any, value: Any, path: str) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return None if value is None else _convert(options[0], value, path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} is {value!r}; allowed: a group of settings")
        return build(hint, value, path)
    if typing.get_origin(hint) is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} is {value!r}; allowed: a mapping")
        return dict(value)
    if typing.get_origin(hint) is list:
        if not isinstance(value, list):
            raise ConfigError(f"{path} is {value!r}; allowed: a list")
        return list(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        allowed = "true or false" if hint is bool else f"a value of type {hint.__name__}"
        raise ConfigError(f"{path} is {value!r}; allowed: {allowed}")
    if hint is int and abs(value) >= _INTEGERS:
        raise ConfigError(f"{path} has {len(str(abs(value)))} digits; allowed: at most 18")
    return value


def to_plain(config: Any) -> dict[str, Any]:
    """Nested dictionaries that ``build`` turns back into an equal dataclass."""
    return dataclasses.asdict(config)
