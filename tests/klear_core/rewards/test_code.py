"""Programs are found in answers, and a program is judged once."""

import json

import pytest

from klear_core.code_tests import read_tests
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


_TESTS = read_tests(json.dumps({"inputs": ["1", "2"], "outputs": ["1", "2"]}))


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
    others = read_tests(json.dumps({"inputs": ["1", "2"], "outputs": ["1", "1"]}))
    assert judge.judge_all([("x", _TESTS), ("x", others)]) == [(_V.PASS, _V.WRONG), (_V.PASS, _V.PASS)]


def test_what_the_machine_has_failed_is_not_remembered():
    sandbox = _Sandbox(_run(b"1"), _run(ended=limits.Ended.LOST))
    judge = code.CodeJudge(sandbox)
    assert judge.judge_all([("x", _TESTS)]) == [(_V.PASS, _V.INFRASTRUCTURE)]
    sandbox.answers = (_run(b"1"), _run(b"2"))
    assert judge.judge_all([("x", _TESTS)]) == [(_V.PASS, _V.PASS)]


def test_the_pass_rate_is_the_share_of_tests():
    assert code.pass_rate((_V.PASS, _V.WRONG, _V.TIMEOUT, _V.PASS)) == 0.5
