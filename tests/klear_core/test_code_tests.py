"""Tests are read in all forms of Klear's code data, and what is not understood is refused."""

import json

import pytest

from klear_core.code_tests import UnsupportedTestsError, read_tests
from klear_core.errors import DataError
from klear_core.records import CodeTests


def test_inputs_and_outputs_are_the_tests_of_a_whole_program():
    tests = read_tests(json.dumps({"inputs": ["1", "2"], "outputs": ["1", "2"]}))
    assert tests == CodeTests(kind="stdin", entry="", inputs=("1", "2"), outputs=("1", "2"))


@pytest.mark.parametrize("given", [[1, [2, 3]], "1\n[2, 3]"])
def test_fn_name_makes_them_calls(given):
    tests = read_tests(json.dumps({"fn_name": "f", "inputs": [given], "outputs": [4]}))
    assert (tests.kind, tests.entry) == ("function", "f")
    assert json.loads(tests.inputs[0]) == [1, [2, 3]]
    assert tests.outputs == ("4",)


@pytest.mark.parametrize(
    "source",
    [
        "assert f(1, [2]) == 3\nassert f(0, []) == 0",
        "assert 3 == f(1, [2]), 'message'\nassert f(0, []) == 0",
        "def check(candidate):\n    assert candidate(1, [2]) == 3\n    assert candidate(0, []) == 0\ncheck(f)",
        "def check(c):\n    assert c(1, [2]) == 3\n    assert c(0, []) == 0\ncheck(Solution().f)",
        "assert Solution().f(1, [2]) == 3\nassert Solution().f(0, []) == 0",
        "s = Solution()\nassert s.f(1, [2]) == 3\nassert s.f(0, []) == 0",
    ],
)
def test_assertions_become_calls_and_values(source):
    tests = read_tests(json.dumps({"functional": source}))
    assert tests.entry == "f"
    assert (tests.inputs, tests.outputs) == (("[1, [2]]", "[0, []]"), ("3", "0"))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("assert f()", "true"),
        ("assert not f()", "false"),
        ("assert f() is None", "null"),
        ("assert f() == (1,)", "[1]"),
    ],
)
def test_short_forms_of_assertions_are_understood(source, value):
    assert read_tests(json.dumps({"functional": source})).outputs == (value,)


@pytest.mark.parametrize(
    "source",
    [
        "assert f(1) > 2",
        "assert f(1) != 2",
        "assert f(1) == f(2)",
        "assert f(x) == 2",
        "assert f(a=1) == 2",
        "assert f(*[1]) == 2",
        "assert f(1) == 2 == 2",
        "assert f(1) == 2 and f(2) == 3",
        "assert f(1).count(2) == 3",
        "assert 'a'.upper() == 'A'",
        "assert f(1)[0] == 2",
        "assert f({1}) == 2",
        "assert f(1) == {1, 2}",
        "assert abs(f(1) - 2) < 1e-6",
        "assert sorted(f(1)) == [2]",
        "assert (lambda: 1)() == 1",
        "assert " + "-" * 5000 + "1 == f(1)",
    ],
)
def test_an_assertion_of_another_form_is_named(source):
    with pytest.raises(UnsupportedTestsError, match="functional"):
        read_tests(json.dumps({"functional": source}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON"),
        ("[" * 100000, "no JSON"),
        ("[]", "no JSON object"),
        ("{}", "need inputs and outputs"),
        ('{"inputs": [], "outputs": []}', "need inputs and outputs"),
        ('{"inputs": ["1"], "outputs": ["1", "2"]}', "need inputs and outputs"),
        ('{"inputs": [1], "outputs": ["1"]}', "are texts"),
        ('{"fn_name": "a b", "inputs": [[1]], "outputs": [1]}', "fn_name"),
        ('{"fn_name": 3, "inputs": [[1]], "outputs": [1]}', "fn_name"),
        ('{"fn_name": "f", "inputs": ["x"], "outputs": [1]}', "arguments"),
        ('{"fn_name": "f", "inputs": [3], "outputs": [1]}', "arguments"),
        ('{"functional": "assert f("}', "no Python"),
        ('{"functional": 3}', "no Python"),
        ('{"functional": "x = 1"}', "nothing"),
        ('{"functional": "assert f(1) == 1\\nassert g(1) == 1"}', "one function"),
    ],
)
def test_tests_that_are_not_understood_are_refused(text, told):
    with pytest.raises(DataError, match=told):
        read_tests(text)


def test_pytest_is_a_known_form_that_cannot_be_taken_apart():
    with pytest.raises(UnsupportedTestsError, match="tests are pytest"):
        read_tests(json.dumps({"pytest": "def test_f():\n    assert f(1) == 2"}))


@pytest.mark.parametrize("outputs", [["x"], ["[1"], ["[" * 100000], ["9" * 5000]])
def test_an_expected_text_that_is_no_json_is_a_text(outputs):
    tests = read_tests(json.dumps({"fn_name": "f", "inputs": [[1]], "outputs": outputs}))
    assert [json.loads(output) for output in tests.outputs] == outputs
