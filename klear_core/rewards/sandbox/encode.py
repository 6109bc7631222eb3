"""Returned values as JSON text, without calling anything that the program could have replaced."""

from collections import Counter, OrderedDict, defaultdict
from json.encoder import encode_basestring_ascii as _quote
from typing import Any

_MAX_DEPTH = 64
_MAX_DECIMAL_BITS = 4096  # longer integers are written in hexadecimal, for which there is no length limit
_LONG_INTEGER = "\u0000int"
_int, _float, _items = int.__repr__, float.__repr__, dict.items
_DICTIONARIES = frozenset({dict, OrderedDict, defaultdict, Counter})


def encode(value: Any, depth: int = 0) -> str:
    """JSON text of None, bool, int, float, str, list, tuple and dict, with the dictionaries of ``collections``.

    TypeError for every other type, subclasses too.

    A tuple is written as a list; NaN and infinities as ``json`` writes them; a long integer as ``{"\\u0000int": hex}``.
    """
    kind = type(value)
    if depth > _MAX_DEPTH:
        raise TypeError("the returned value is nested too deeply")
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return _int(value) if value.bit_length() <= _MAX_DECIMAL_BITS else f'{{{_quote(_LONG_INTEGER)}: "{value:x}"}}'
    if kind is float:
        text = _float(value)
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, text)
    if kind is str:
        return str(_quote(value))
    if kind is list or kind is tuple:
        return "[" + ", ".join([encode(item, depth + 1) for item in value]) + "]"
    if kind in _DICTIONARIES:
        return "{" + ", ".join([f"{_key(key)}: {encode(item, depth + 1)}" for key, item in _items(value)]) + "}"
    raise TypeError(f"a value of type {kind.__name__} was returned")


def _key(key: Any) -> str:
    if type(key) is str and key != _LONG_INTEGER:
        return str(_quote(key))
    if type(key) is int:
        return f'"{_int(key)}"'
    raise TypeError(f"a dictionary with keys of type {type(key).__name__}, or with a reserved one, was returned")
