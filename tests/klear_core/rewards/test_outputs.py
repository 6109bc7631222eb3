"""Outputs and returned values meet what was expected on text and JSON only."""

import json
import math
import sys
from collections import Counter, OrderedDict, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.rewards.outputs import same_text, same_value
from klear_core.rewards.sandbox.encode import encode

_HUGE = st.integers() | st.integers(-(2**20000), 2**20000).map(lambda n: n**3)
_LEAVES = st.none() | st.booleans() | _HUGE | st.floats(allow_nan=False) | st.text()
_KEYS = st.text().filter(lambda key: key != "\0int")
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
_NUMBERS = st.integers(-(10**12), 10**12) | st.decimals(-(10**9), 10**9, places=4)


def _same_object(a, b):
    return same_value(encode(a).encode(), encode(b))


@given(_VALUES)
def test_a_value_is_the_same_after_it_was_encoded_and_read(value):
    assert _same_object(value, value)


@given(_VALUES)
def test_a_value_is_not_the_same_beside_another(value):
    assert not _same_object([value], value)
    assert not _same_object([value], [value, value])
    assert not _same_object({"a": value}, {"b": value})


@given(_VALUES, _VALUES)
def test_sameness_does_not_depend_on_the_side(a, b):
    assert _same_object(a, b) == _same_object(b, a)


@given(_HUGE)
def test_an_integer_of_any_length_is_itself_only(number):
    assert _same_object(number, number)
    assert not _same_object(number, number + 1)
    assert not _same_object(number, str(number) if abs(number) < 10**4000 else "")


@given(st.integers(-(10**4000), 10**4000))
def test_a_long_integer_is_the_one_of_plain_json(number):
    assert same_value(encode(number).encode(), json.dumps(number))


@given(_VALUES)
def test_a_tuple_is_a_list(value):
    assert _same_object((value, (value,)), [value, [value]])


@pytest.mark.parametrize("got", ["NaN", "[NaN]", '{"a": NaN}'])
def test_nan_equals_nothing(got):
    assert not same_value(got.encode(), got)
    assert not same_value(got.encode(), "0")


@pytest.mark.parametrize(
    ("got", "wanted", "same"),
    [
        (True, 1, False),
        (False, 0, False),
        (1, True, False),
        (None, 0, False),
        (None, False, False),
        (0.0, -0.0, True),
        (1, 1.0, True),
        (2**53 + 1, float(2**53), False),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        ("1", 1, False),
        ([], {}, False),
        ([1, 2], [2, 1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({1: "x"}, {"1": "x"}, True),
        ("é", "e\u0301", False),
        ("\ud800", "\ud800", True),
        ("\0", "", False),
    ],
)
def test_values_are_compared_by_what_they_are(got, wanted, same):
    assert _same_object(got, wanted) is same


@pytest.mark.parametrize("text", ["", "x", "[1", "1 2", "nul", "[" * 100000, "9" * 5000, '{"\\u0000int": "zz"}'])
def test_what_is_no_json_equals_nothing(text):
    assert not same_value(text.encode(), text)
    assert not same_value(b"1", text)


def test_bytes_that_are_no_text_equal_nothing():
    assert not same_value(b"\xff", "1")
    assert not same_text(b"\xff", "\ufffd")
    assert not same_text(b"42\xff", "42")


def test_an_answer_of_any_depth_is_only_wrong():
    deep = "[" * 900 + "]" * 900
    assert not same_value(deep.encode(), "[[1]]")


class _Number(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    "value",
    [
        _Number(3),
        {1},
        b"x",
        1j,
        object(),
        range(3),
        {None: 1},
        {1.5: 1},
        {"\0int": "ff"},
        iter([]),
        type("S", (str,), {})(),
    ],
)
def test_only_plain_values_are_encoded(value):
    with pytest.raises(TypeError):
        encode(value)


def test_too_deep_a_value_is_refused_and_a_cycle_too():
    cycle = []
    cycle.append(cycle)
    with pytest.raises(TypeError, match="deeply"):
        encode(cycle)


def test_the_dictionaries_of_collections_are_dictionaries():
    for value in (Counter("abca"), OrderedDict(a=2, b=1, c=1), defaultdict(int, a=2, b=1, c=1)):
        assert _same_object(value, {"a": 2, "b": 1, "c": 1})


@pytest.mark.parametrize(
    ("output", "expected", "same"),
    [
        ("42", "42\n", True),
        ("42 \t\n\n \n", "42", True),
        ("42\r\n", "42", True),
        ("1.50", "1.5", True),
        ("1e3", "1000", True),
        ("-0.0", "0", True),
        ("+5", "5", True),
        (".5", "0.5", True),
        ("1  2", "1 2.0", True),
        ("0.3333333", "0.3333334", False),
        ("007", "7", False),
        ("0011", "11", False),
        ("0011", "0011", True),
        ("1\n2", "1 2", False),
        ("\n42", "42", False),
        ("  42", "42", True),
        ("nan", "NaN", False),
        ("nan", "nan", True),
        ("inf", "Infinity", False),
        ("1e999", "1e999", True),
        ("1e999", "2e999", False),
        ("True", "1", False),
        ("YES", "Yes", False),
        ("1_000", "1000", False),
        ("４２", "42", False),
        ("", "", True),
        ("", "\n", True),
        ("", "0", False),
        ("42\x00", "42", False),
        ("1\x0b2", "1 2", False),
        ("9" * 500, "9" * 500 + ".0", False),
    ],
)
def test_printed_text_is_compared_by_lines_and_numbers(output, expected, same):
    assert same_text(output.encode(), expected) is same


@given(_NUMBERS, _NUMBERS)
def test_numbers_are_compared_exactly(a, b):
    assert same_text(str(a).encode(), str(b)) is (a == b)


@given(st.binary(max_size=200), st.text(max_size=200))
def test_no_bytes_break_the_comparison(output, expected):
    assert same_text(output, expected) in (True, False)
    assert same_value(output, expected) in (True, False)


@given(st.text(max_size=200))
def test_a_text_is_the_same_as_itself_whatever_it_holds(text):
    assert same_text(text.encode("utf-8", "replace"), text.encode("utf-8", "replace").decode())


def test_an_expensive_text_costs_no_time():
    for text in ("9" * 10**6, "1." + "0" * 10**6, "1 " * 10**5, "-" * 10**6, "1e" + "9" * 10**6):
        assert not same_text(text.encode(), "x" + text)
    assert sys.get_int_max_str_digits() > 0
