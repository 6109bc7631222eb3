import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.data.function_code import write_response
from klear_core.data.function_problems import draw_problem
from klear_core.data.functions import INPUTS, Operation, describe, evaluate, parse, run
from klear_core.data.splits import SPLITS
from klear_core.errors import DataError

draws = st.fixed_dictionaries(
    {
        "data_seed": st.integers(0, 50),
        "split": st.sampled_from(SPLITS),
        "index": st.integers(0, 10_000),
        "max_pieces": st.integers(1, 4),
        "num_tests": st.integers(8, 24),
    }
)


def program_of(response):
    """The function that a response defines: the text of its fence, executed."""
    text = response.split("\n```python\n")[1].removesuffix("\n```")
    names = {}
    exec(text, names)
    return names["f"]


@given(draw=draws)
def test_the_code_of_a_function_means_what_its_description_means(draw):
    function = parse(draw_problem(**draw).prompt)
    program = program_of(write_response(function))
    assert [program(x) for x in INPUTS] == [evaluate(function, x) for x in INPUTS]


@given(draw=draws)
def test_a_description_is_read_back_as_it_was_written(draw):
    prompt = draw_problem(**draw).prompt
    assert describe(parse(prompt)) == prompt


def test_division_and_remainder_are_those_of_python():
    for x in INPUTS:
        for k in range(2, 10):
            assert run((Operation(word="div", constant=k),), x) == x // k
            assert run((Operation(word="mod", constant=k),), x) == x % k


def test_an_example_has_the_values_that_a_reader_expects():
    function = parse("f(x): x<3: double, add 4; x<9: square; else: flip 5")
    assert [evaluate(function, x) for x in (-9, 2, 3, 8, 9, 18)] == [-14, 8, 9, 64, -4, -13]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "f(x):",
        "f(x): triple",
        "f(x): add",
        "f(x): double 3",
        "f(x): add 10",
        "f(x): double,add 3",
        "f(x): x<3: double",
        "f(x): else: double",
        "f(x): x<3: double; add 4",
        "f(x): x<3: double; else: add 4\n",
        "f(x): else: double; x<3: square",
        "g(x): double",
    ],
)
def test_what_describes_no_function_is_refused(text):
    with pytest.raises(DataError, match="describes no function"):
        parse(text)


def test_an_unknown_word_is_refused():
    with pytest.raises(DataError, match="'triple' is no operation"):
        run((Operation(word="triple", constant=None),), 3)
