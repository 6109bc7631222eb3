import pytest

from klear_core.records import Completion, FinishReason, Verdict
from klear_core.rewards.format import check_form


def completion(text, finish=FinishReason.STOP):
    return Completion(token_ids=(1,), logprobs=(0.0,), entropies=None, text=text, finish_reason=finish)


@pytest.mark.parametrize(
    ("text", "fault", "answer"),
    [
        ("<think>3+4=7</think>\\boxed{7}", None, "\\boxed{7}"),
        ("<think></think>x", None, "x"),
        ("\n <think>x</think> y", None, " y"),
        ("x</think>y", Verdict.MISSING_OPEN, "y"),
        ("y", Verdict.MISSING_OPEN, ""),
        ("", Verdict.MISSING_OPEN, ""),
        ("<think>x", Verdict.MISSING_CLOSE, ""),
        ("<think><think>x", Verdict.MISSING_CLOSE, ""),
        ("x<think>y</think>z", Verdict.BAD_FORMAT, "z"),
        ("<think>x</think></think>y", Verdict.BAD_FORMAT, "y"),
        ("<think><think>x</think>y", Verdict.BAD_FORMAT, "y"),
        ("</think><think>x", Verdict.BAD_FORMAT, "<think>x"),
        ("<THINK>x</THINK>y", Verdict.MISSING_OPEN, ""),
    ],
)
def test_each_fault_of_form_is_told_apart(text, fault, answer):
    form = check_form(completion(text))
    assert (form.fault, form.answer) == (fault, answer)


def test_a_response_cut_at_the_cap_is_truncated_even_with_the_answer():
    form = check_form(completion("<think></think>\\boxed{7}", FinishReason.LENGTH))
    assert form.fault is Verdict.TRUNCATED
