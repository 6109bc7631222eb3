import pytest

from klear_core.records import Completion, FinishReason, Verdict
from klear_core.rewards.boxed import grade


def completion(text, finish=FinishReason.STOP):
    return Completion(token_ids=(1,), logprobs=(0.0,), entropies=None, text=text, finish_reason=finish)


@pytest.mark.parametrize(
    ("text", "verdict", "extracted"),
    [
        ("<think>3+4=7</think>\\boxed{7}", Verdict.CORRECT, "7"),
        ("<think></think>\\boxed{ 7 }", Verdict.CORRECT, "7"),
        ("<think></think>\\boxed{1}\\boxed{7}", Verdict.CORRECT, "7"),
        ("<think></think>\\boxed{7}\\boxed{1}", Verdict.WRONG, "1"),
        ("<think></think>\\boxed{17}", Verdict.WRONG, "17"),
        ("<think>\\boxed{7}</think>", Verdict.NO_ANSWER, ""),
        ("<think></think>7", Verdict.NO_ANSWER, ""),
        ("<think></think>\\boxed{}", Verdict.NO_ANSWER, ""),
        ("<think></think>\\boxed{7", Verdict.NO_ANSWER, ""),
        ("\\boxed{7}", Verdict.BAD_FORMAT, ""),
        ("</think>\\boxed{7}", Verdict.BAD_FORMAT, "7"),
        ("x<think></think>\\boxed{7}", Verdict.BAD_FORMAT, "7"),
        ("<think></think></think>\\boxed{7}", Verdict.BAD_FORMAT, "7"),
        ("<think><think></think>\\boxed{7}", Verdict.BAD_FORMAT, "7"),
        ("", Verdict.BAD_FORMAT, ""),
    ],
)
def test_each_form_gets_its_verdict(text, verdict, extracted):
    reward = grade(completion(text), "7")
    assert (reward.verdict, reward.extracted) == (verdict, extracted)
    assert reward.value == float(verdict is Verdict.CORRECT)


def test_a_response_cut_at_the_cap_earns_nothing_even_with_the_answer():
    reward = grade(completion("<think></think>\\boxed{7}", FinishReason.LENGTH), "7")
    assert (reward.value, reward.verdict) == (0.0, Verdict.TRUNCATED)
