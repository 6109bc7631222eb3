"""The settings that change a result, flat, and what differs between two runs' settings. Nothing here imports torch."""

from collections.abc import Mapping
from typing import Any

from klear_core.config import RESULT_PARTS


def flatten_settings(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of every setting that changes a result, seed included."""
    result: dict[str, Any] = {"seed": plain.get("seed")}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping) and value:
            for name, inner in value.items():
                walk(f"{prefix}.{name}", inner)
        else:
            result[prefix] = value

    for part in RESULT_PARTS:
        if part in plain:
            walk(part, plain[part])
    return result


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(key, value in first, value in second) of every setting that changes a result and is not the same."""
    one, two = (flatten_settings(plain) for plain in (first, second))
    keys = [*one, *(key for key in two if key not in one)]
    return [
        (key, _show(one, key), _show(two, key))
        for key in keys
        if key not in one or key not in two or one[key] != two[key]
    ]


def _show(flat: Mapping[str, Any], key: str) -> str:
    return str(flat[key]) if key in flat else "not set"
