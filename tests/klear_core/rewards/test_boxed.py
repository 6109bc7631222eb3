import pytest

from klear_core.records import Verdict
from klear_core.rewards.boxed import judge_exact


@pytest.mark.parametrize(
    ("text", "verdict", "found"),
    [
        ("\\boxed{7}", Verdict.CORRECT, "7"),
        ("so \\boxed{ 7 }.", Verdict.CORRECT, "7"),
        ("\\boxed{1}\\boxed{7}", Verdict.CORRECT, "7"),
        ("\\boxed{7}\\boxed{1}", Verdict.WRONG, "1"),
        ("\\boxed{17}", Verdict.WRONG, "17"),
        ("\\boxed{07}", Verdict.WRONG, "07"),
        ("7", Verdict.NO_ANSWER, ""),
        ("\\boxed{}", Verdict.NO_ANSWER, ""),
        ("\\boxed{7", Verdict.NO_ANSWER, ""),
        ("", Verdict.NO_ANSWER, ""),
    ],
)
def test_the_last_box_decides_as_text(text, verdict, found):
    assert judge_exact(text, "7") == (verdict, found)
