"""The form of a response: reasoning opened and closed exactly once, then the answer."""

from dataclasses import dataclass

from klear_core.records import Completion, FinishReason, Verdict

OPEN, CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What is wrong with a response's form (None when nothing is), and what stands after its reasoning."""

    fault: Verdict | None
    answer: str


def check_form(completion: Completion) -> Form:
    """Tell apart truncated, not opened, not closed, and opened or closed more than once or in the wrong place.

    A response cut at the token cap is TRUNCATED whatever it holds, as its end was not its own.
    """
    text = completion.text
    answer = text.rpartition(CLOSE)[2] if CLOSE in text else ""
    if completion.finish_reason is FinishReason.LENGTH:
        return Form(fault=Verdict.TRUNCATED, answer=answer)
    if OPEN not in text:
        return Form(fault=Verdict.MISSING_OPEN, answer=answer)
    if CLOSE not in text:
        return Form(fault=Verdict.MISSING_CLOSE, answer="")
    if text.count(OPEN) != 1 or text.count(CLOSE) != 1 or not text.lstrip().startswith(OPEN):
        return Form(fault=Verdict.BAD_FORMAT, answer=answer)
    return Form(fault=None, answer=answer)
