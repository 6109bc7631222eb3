"""From completions to rewards, with the real sandbox behind it."""

import math

import pytest

from klear_core.records import CodeTests, Completion, FinishReason, Problem, TestKind, Verdict
from klear_core.rewards.code import CodeJudge
from klear_core.rewards.grader import Grader, Scoring
from klear_core.rewards.sandbox.limits import Ended, Limits, TestRun
from klear_core.rewards.sandbox.pool import Sandbox

LIMITS = Limits(
    cpu_s=1.0,
    wall_s=10.0,
    memory_mb=256,
    output_kb=64,
    stderr_kb=4,
    threads=8,
    open_files=32,
    max_timeouts=2,
)
DOUBLE = Problem(
    problem_id="d",
    domain="code",
    prompt="double",
    answer="",
    source="test",
    difficulty=1,
    tests=CodeTests(
        kind=TestKind.FUNCTION,
        entry="f",
        inputs=("[0]", "[1]", "[2]", "[3]"),
        outputs=("0", "2", "4", "6"),
    ),
)
SEVEN = Problem(problem_id="s", domain="maths", prompt="7?", answer="7", source="test", difficulty=1)
# As the released code scores: correct 1, wrong -1, missing close -0.5, missing open -2.
RELEASED = dict.fromkeys(Verdict, -1.0) | {
    Verdict.CORRECT: 1.0,
    Verdict.MISSING_CLOSE: -0.5,
    Verdict.MISSING_OPEN: -2.0,
}
PAPER = {verdict: float(verdict is Verdict.CORRECT) for verdict in Verdict}


def program(body):
    return f"<think>x</think>\n```python\ndef f(x):\n    {body}\n```"


def completion(text, finish=FinishReason.STOP):
    return Completion(token_ids=(1,), logprobs=(0.0,), entropies=None, text=text, finish_reason=finish)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS) as opened:
        yield opened


def grade(sandbox, problem, text, *, scores=PAPER, soft=True, finish=FinishReason.STOP):
    grader = Grader(Scoring(scores=scores, soft=soft), code=CodeJudge(sandbox))
    (reward,) = grader.grade([problem], [completion(text, finish)])
    return reward


@pytest.mark.parametrize(
    ("body", "letters", "soft", "hard", "signed"),
    [
        ("return 2 * x", "PPPP", 1.0, 1.0, 1.0),
        ("return 2 * x if x < 2 else 0", "PPWW", 0.5, 0.0, 0.0),
        ("return 6 // x", "RWWW", 0.0, 0.0, -1.0),
        ("return 1 / 0", "RRRR", 0.0, 0.0, -1.0),
        ("return 2 * x if x else __import__('os')._exit(0)", "RPPP", 0.75, 0.0, 0.5),
    ],
)
def test_a_program_is_worth_its_share_of_tests_or_nothing(sandbox, body, letters, soft, hard, signed):
    graded = grade(sandbox, DOUBLE, program(body))
    assert (graded.tests, graded.value, graded.pass_rate) == (letters, soft, letters.count("P") / 4)
    assert graded.verdict is (Verdict.CORRECT if letters == "PPPP" else Verdict.WRONG)
    assert grade(sandbox, DOUBLE, program(body), soft=False).value == hard
    assert grade(sandbox, DOUBLE, program(body), scores=RELEASED).value == signed


@pytest.mark.parametrize(
    ("text", "verdict", "released"),
    [
        ("def f(x): return 2 * x", Verdict.MISSING_OPEN, -2.0),
        ("<think>```python\ndef f(x): return 2 * x\n```", Verdict.MISSING_CLOSE, -0.5),
        ("<think>```python\ndef f(x): return 2 * x\n```</think>", Verdict.NO_ANSWER, -1.0),
        ("<think></think></think>\n```python\ndef f(x): return 2 * x\n```", Verdict.BAD_FORMAT, -1.0),
    ],
)
def test_a_wrong_form_has_a_score_of_its_own_and_passes_no_test(sandbox, text, verdict, released):
    graded = grade(sandbox, DOUBLE, text, scores=RELEASED)
    assert (graded.verdict, graded.value, graded.pass_rate, graded.tests) == (verdict, released, 0.0, "")


def test_a_truncated_response_is_truncated_whatever_it_holds(sandbox):
    graded = grade(sandbox, DOUBLE, program("return 2 * x"), finish=FinishReason.LENGTH)
    assert (graded.verdict, graded.value) == (Verdict.TRUNCATED, 0.0)


def test_answers_and_programs_are_graded_side_by_side_in_their_order(sandbox):
    grader = Grader(Scoring(scores=PAPER, soft=True), code=CodeJudge(sandbox))
    texts = ["<think></think>\\boxed{7}", program("return x + x"), "<think></think>\\boxed{8}", "no"]
    rewards = grader.grade([SEVEN, DOUBLE, SEVEN, DOUBLE], [completion(text) for text in texts])
    verdicts = [Verdict.CORRECT, Verdict.CORRECT, Verdict.WRONG, Verdict.MISSING_OPEN]
    assert [reward.verdict for reward in rewards] == verdicts
    assert math.isnan(rewards[0].pass_rate)
    assert rewards[1].pass_rate == 1.0


class Broken:
    """A sandbox whose machine fails one test in two."""

    isolation = "broken"

    def run_all(self, programs):
        return [
            [
                TestRun(ended=Ended.LOST if k % 2 else Ended.ANSWERED, output=b"0", error="", cpu_s=0.0, wall_s=0.0)
                for k, _ in enumerate(each.inputs)
            ]
            for each in programs
        ]


def test_a_program_whose_grading_failed_is_invalid_and_not_wrong():
    graded = grade(Broken(), DOUBLE, program("return 0"))
    assert graded.verdict is Verdict.GRADER_ERROR
    assert not graded.is_valid
    assert math.isnan(graded.value)
    assert math.isnan(graded.pass_rate)
    assert graded.tests == "PIWI"
