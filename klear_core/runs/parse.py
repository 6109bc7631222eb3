"""Plain JSON data as a record of the schema, strictly: what another version or a damaged file holds is not guessed at."""

import dataclasses
import functools
import types
import typing
from typing import Any, TypeVar

from klear_core.runs.schema import SCHEMA_VERSION

_T = TypeVar("_T")


def parse(kind: type[_T], raw: Any, path: str = "") -> _T:
    """``raw`` as the dataclass ``kind``; ValueError names the first field that is unknown, missing or of a wrong type."""
    if not isinstance(raw, dict):
        raise ValueError(f"{path or 'it'} holds no JSON object")
    hints = _hints(kind)  # type: ignore[arg-type]
    version = raw.get("schema_version")
    if "schema_version" in hints and version != SCHEMA_VERSION:
        raise ValueError(f"schema_version is {version!r}; allowed: {SCHEMA_VERSION}")
    where = f"{path}." if path else ""
    for key in raw:
        if key not in hints:
            raise ValueError(f"{where}{key} is no field")
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in raw:
            raise ValueError(f"{where}{field.name} is missing")
    return kind(**{key: _value(hints[key], value, where + key) for key, value in raw.items()})


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Types of the fields, worked out once: a store holds thousands of records of one kind."""
    return typing.get_type_hints(kind)


def _value(hint: Any, value: Any, path: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        options = [option for option in inner if option is not type(None)]
        return None if value is None else _value(options[0], value, path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return parse(hint, value, path)
    if origin is list and isinstance(value, list):
        return [_value(inner[0], each, f"{path}[{index}]") for index, each in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: _value(inner[1], each, f"{path}.{key}") for key, each in value.items()}
    kind = origin or hint
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{path} is {value!r}; allowed: a value of type {kind.__name__}")
    return value
