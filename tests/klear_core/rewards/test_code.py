"""Tests are read in both forms of Klear's data, programs are found in answers, and a program is judged once."""

import json

import pytest

from klear_core.errors import DataError
from klear_core.records import CodeTests
from klear_core.rewards import code
from klear_core.rewards.sandbox import limits

_V = code.TestVerdict


def _run(output=b"", *, ended=limits.Ended.ANSWERED):
    return limits.TestRun(ended=ended, output=output, error="", cpu_s=0.0, wall_s=0.0)


class _Sandbox:
    """Answers every test with ``answers``, and keeps what it was asked."""

    def __init__(self, *answers):
        self.answers = answers
        self.programs = []

    def run_all(self, programs):
        self.programs += programs
        return [[*self.answers][: len(program.inputs)] for program in programs]


_TESTS = code.read_tests(json.dumps({"inputs": ["1", "2"], "outputs": ["1", "2"]}))


def test_inputs_and_outputs_are_the_tests_of_a_whole_program():
    assert CodeTests(kind="stdin", entry="", inputs=("1", "2"), outputs=("1", "2")) == _TESTS


@pytest.mark.parametrize("given", [[1, [2, 3]], "1\n[2, 3]"])
def test_fn_name_makes_them_calls(given):
    tests = code.read_tests(json.dumps({"fn_name": "f", "inputs": [given], "outputs": [4]}))
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
    tests = code.read_tests(json.dumps({"functional": source}))
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
    assert code.read_tests(json.dumps({"functional": source})).outputs == (value,)


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
    with pytest.raises(DataError, match="functional"):
        code.read_tests(json.dumps({"functional": source}))


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
        code.read_tests(text)


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("no block", ""),
        ("```python\nx\n```", "x\n"),
        ("```\na\n```\nthen\n```py\nb\n```", "b\n"),
        ("``` python\r\nx\r\n```\r\n", "x\r\n"),
        ("```cpp\nx\n```", ""),
        ("```python\nunfinished", ""),
        ("  ```python3\n  x\n  ```", "  x\n"),
        ("```python\nx = '''```'''\n```", "x = '''```'''\n"),
        ("```python\n```", ""),
    ],
)
def test_the_last_block_is_the_program(text, program):
    assert code.extract_program(text) == program


@pytest.mark.parametrize("ended", limits.Ended)
def test_only_an_answer_can_pass(ended):
    verdict = code.judge(_run(b"1", ended=ended), "1", _TESTS.kind)
    assert (verdict is _V.PASS) == (ended is limits.Ended.ANSWERED)
    assert (verdict is _V.INFRASTRUCTURE) == (ended in limits.INFRASTRUCTURE)


def test_a_program_is_run_once_whether_in_a_batch_or_later():
    sandbox = _Sandbox(_run(b"1"), _run(b"3"))
    judge = code.CodeJudge(sandbox)
    first = judge.judge_all([("x", _TESTS), ("y", _TESTS), ("x", _TESTS)])
    assert first == [(_V.PASS, _V.WRONG)] * 3
    assert judge.judge_all([("y", _TESTS)]) == first[:1]
    assert sorted(program.source for program in sandbox.programs) == ["x", "y"]
    assert judge.runs == 2


def test_a_program_is_run_again_at_other_tests():
    sandbox = _Sandbox(_run(b"1"), _run(b"1"))
    judge = code.CodeJudge(sandbox)
    others = code.read_tests(json.dumps({"inputs": ["1", "2"], "outputs": ["1", "1"]}))
    assert judge.judge_all([("x", _TESTS), ("x", others)]) == [(_V.PASS, _V.WRONG), (_V.PASS, _V.PASS)]


def test_what_the_machine_has_failed_is_not_remembered():
    sandbox = _Sandbox(_run(b"1"), _run(ended=limits.Ended.LOST))
    judge = code.CodeJudge(sandbox)
    assert judge.judge_all([("x", _TESTS)]) == [(_V.PASS, _V.INFRASTRUCTURE)]
    sandbox.answers = (_run(b"1"), _run(b"2"))
    assert judge.judge_all([("x", _TESTS)]) == [(_V.PASS, _V.PASS)]


def test_the_pass_rate_is_the_share_of_tests():
    assert code.pass_rate((_V.PASS, _V.WRONG, _V.TIMEOUT, _V.PASS)) == 0.5
