"""Whether the reference of every question scores 1 under the scorer that its answers meet: no model is asked."""

from collections.abc import Iterable, Iterator

from klear_core.errors import DataError
from klear_core.eval.questions import ReadRow
from klear_core.records import CodeTests, Completion, FinishReason, Problem, TestKind, Verdict
from klear_core.rewards.code import TestVerdict, judge
from klear_core.rewards.format import CLOSE, OPEN
from klear_core.rewards.grader import Grader
from klear_core.rewards.sandbox.limits import Ended, TestRun


def gold_response(answer: str) -> str:
    r"""A response that gives the reference answer, well formed: reasoning, then ``\boxed{}``."""
    return f"{OPEN}{CLOSE}\\boxed{{{answer}}}"


def faults(rows: Iterable[ReadRow], grader: Grader) -> Iterator[tuple[str, str]]:
    """(place, fault) of every row, "" where its reference scores 1.

    An answer is graded as a model's would be. A program has no reference solution in LiveCodeBench's format, so each
    expected output is compared with itself by the rule that outputs meet: it must be one that some program can give.
    """
    for row in rows:
        if row.problem is None:
            yield row.place, row.fault.removeprefix(f"{row.place}: ")
        elif row.problem.tests is not None:
            yield row.place, _fault_of_tests(row.problem.tests)
        else:
            yield row.place, _fault_of_answer(row.problem, grader)


def _fault_of_answer(problem: Problem, grader: Grader) -> str:
    completion = Completion(
        token_ids=(),
        logprobs=(),
        entropies=None,
        text=gold_response(problem.answer),
        finish_reason=FinishReason.STOP,
    )
    (reward,) = grader.grade([problem], [completion])
    if reward.verdict is Verdict.CORRECT:
        return ""
    return f"the reference {problem.answer[:80]!r} is graded {reward.verdict}, not {Verdict.CORRECT}"


def _fault_of_tests(tests: CodeTests) -> str:
    for number, expected in enumerate(tests.outputs, start=1):
        run = TestRun(ended=Ended.ANSWERED, output=_encoded(expected), error="", cpu_s=0.0, wall_s=0.0)
        if judge(run, expected, tests.kind) is not TestVerdict.PASS:
            what = "text" if tests.kind is TestKind.STDIN else "JSON value"
            return f"test {number} expects {expected[:80]!r}, a {what} that does not equal itself"
    return ""


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def check_all(rows: Iterable[ReadRow], grader: Grader) -> tuple[int, list[tuple[str, str]]]:
    """Number of rows and the faults among them; DataError when there are no rows."""
    found = list(faults(rows, grader))
    if not found:
        raise DataError("no row belongs to the benchmark; allowed: at least one, in its window of contest days")
    return len(found), [(place, fault) for place, fault in found if fault]
