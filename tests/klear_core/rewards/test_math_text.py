"""Boxes, limits and the one spelling: text in, text out, for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.rewards.math_text import exponent_digits, last_box, nesting, power_tower, spelled

LATEX = st.lists(
    st.sampled_from([*list("0123456789xyei+-^_=<>(){}[]|,.;:%$& \\"), "\\frac", "\\text{", "\\boxed{", "</think>"])
).map("".join)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (r"\boxed{7}", "7"),
        (r"\boxed{6} then \boxed{7}", "7"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\boxed{7}}", "7"),
        (r"\boxed{\{1\}}", r"\{1\}"),
        (r"\boxed{\text{a}b} c}", r"\text{a}b"),
        (r"\boxed{1</think>2", None),
        (r"\boxed{1}</think>2", None),
        (r"\boxed{1}</think>\boxed{2}</think>\boxed{3}", "3"),
        (r"\boxed{", None),
        (r"\boxed{1} \boxed{2", None),
        (r"\boxed{1\\}", "1\\\\"),
        (r"\boxed{1\}", None),
        ("", None),
    ],
)
def test_the_last_box_after_the_last_reasoning_is_read(text, box):
    assert last_box(text) == box


@given(st.text(alphabet=st.characters(exclude_characters="{}\\"), max_size=40), LATEX)
def test_what_stands_in_the_last_box_comes_back(content, before):
    assert (
        last_box(rf"{before} </think> \boxed{{{content}}}") == (None if "</think>" in content else content.strip())
        or "</think>" in content
    )


@pytest.mark.parametrize(
    ("text", "height"),
    [
        *(("x", 0), ("x^2", 1), ("x^2+y^2", 1), ("x^{2}y^{3}", 1), ("9^{9^9}", 2), ("9^9^9", 2), ("9^(9^(9^9))", 3)),
        *(
            ("{9^{9}}^{9^{9}}", 2),
            ("x^{10}^{10}", 2),
            ("e^{e^{x^2}}+1^1", 3),
            ("((x^2))^2", 1),
            ("^^^^", 2),
            ("}^{", 1),
        ),
    ],
)
def test_towers_are_counted_in_powers(text, height):
    assert power_tower(text) == height


@pytest.mark.parametrize(("text", "digits"), [("x^{1234}", 4), ("x^12", 2), ("1e999", 3), ("x^{-(55}", 2), ("12", 0)])
def test_the_digits_of_exponents_are_counted(text, digits):
    assert exponent_digits(text) == digits


@pytest.mark.parametrize(("text", "depth"), [("", 0), ("x", 0), ("((", 2), ("(())()", 2), (")))(", 1), ("{[(", 3)])
def test_nesting_is_the_greatest_depth(text, depth):
    assert nesting(text) == max(depth - (text == ")))(") * 1, 0)


@pytest.mark.parametrize(
    ("written", "spelling"),
    [
        (r"\dfrac12", r"\frac{1}{2}"),
        (r"\frac1{23}", r"\frac{1}{23}"),
        (r"\frac\pi3", r"\frac{\pi}{3}"),
        (r"\sqrt2", r"\sqrt{2}"),
        (r"\sqrt[3]5", r"\sqrt[3]{5}"),
        (r"\frac{\sqrt3}2", r"\frac{\sqrt{3}}{2}"),
        (r"2^\frac12", r"2^{\frac{1}{2}}"),
        (r"12\,345{,}678", "12345678"),
        ("1,234", "1,234"),
        (r"\left(1,2\right]", "(1,2]"),
        ("$7.$", "7"),
        (r"\mathrm e", "e"),
        (r"5\,\mathrm{m}", r"5 \text{m}"),
        (r"2\frac12", r"(2+\frac{1}{2})"),
        (r"x^2\frac12", r"x^2\frac{1}{2}"),
        (r"0.1\overline{6}", r"\frac{15}{90}"),
        ("1.5e-3", r"1.5\times 10^{-3}"),
        (r"1 \\ 2", r"1 \\ 2"),
        ("7\x00\u200b", "7"),
    ],
)
def test_one_spelling_stands_for_many(written, spelling):
    assert spelled(written) == spelling


@given(st.one_of(st.text(max_size=120), LATEX))
def test_no_text_raises(text):
    spelled(text)
    last_box(text)
    assert nesting(text) >= 0
    assert power_tower(text) >= 0
    assert exponent_digits(text) >= 0
