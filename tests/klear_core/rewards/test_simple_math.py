"""The second verifier: what it decides is exact, and it decides nothing else."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.rewards.simple_math import simple_verdict
from tests.klear_core.rewards.math_cases import CORRECT, LISTED, OWN, WRONG


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("0.5", r"\frac{1}{2}"),
        ("0.5", r"\dfrac12"),
        ("-0.5", "-1/2"),
        ("2.5", r"2\frac12"),
        ("-2.5", r"-2\frac{1}{2}"),
        ("12345", "12,345.0"),
        ("12345", r"12\,345"),
        ("12345", "12{,}345"),
        ("50", r"50\%"),
        ("0.5", r"50\%"),
        ("50%", "0.5"),
        (r"\sqrt{2}", r"\sqrt{2} "),
        ("\u22123", "-3"),
    ],
)
def test_equal_numbers_and_equal_texts_are_decided(gold, answer):
    assert simple_verdict(gold, answer) is True
    assert simple_verdict(answer, gold) is True


@pytest.mark.parametrize(("gold", "answer"), [("1", "0.9999999"), (r"\frac13", "0.3333333"), ("3", "-3"), ("50%", "5")])
def test_different_numbers_are_decided(gold, answer):
    assert simple_verdict(gold, answer) is False


@pytest.mark.parametrize(
    ("gold", "answer"),
    [("2", r"\sqrt4"), ("1", "x"), ("x", "y"), ("1", ""), ("", ""), ("1", r"\frac10"), ("7", "1 1/2"), ("7", "٧")],
)
def test_anything_else_is_left_open(gold, answer):
    assert simple_verdict(gold, answer) is None


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_fractions_are_equal_where_python_says_so(left, right):
    def written(number: Fraction) -> str:
        return rf"{'-' * (number < 0)}\frac{{{abs(number.numerator)}}}{{{number.denominator}}}"

    assert simple_verdict(written(left), written(right)) is (left == right)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_a_decimal_is_the_fraction_that_it_writes(number):
    ratio = Fraction(number)
    assert simple_verdict(f"{number:f}", f"{ratio.numerator}/{ratio.denominator}") is True


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_raises(gold, answer):
    assert simple_verdict(gold, answer) in (True, False, None)


def test_what_it_decides_is_the_verdict_of_the_cases():
    for gold, answer, verdict in [*LISTED, *OWN]:
        decided = simple_verdict(gold, answer)
        if decided is not None and verdict in (CORRECT, WRONG):
            assert decided == (verdict is CORRECT), (gold, answer)


def test_it_stands_on_its_own():
    source = __import__("pathlib").Path(simple_verdict.__code__.co_filename).read_text(encoding="utf-8")
    assert re.findall(r"^(?:from|import) (\S+)", source, re.MULTILINE) == ["re", "fractions"]
