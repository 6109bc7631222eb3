r"""Grader of answers in ``<think> ... </think> \boxed{...}`` against an exact reference."""

import re

from klear_core.records import Completion, FinishReason, Reward, Verdict

_BOX = re.compile(r"\\boxed\{([^{}]*)\}")


def grade(completion: Completion, answer: str) -> Reward:
    """Hard reward: 1 for the right answer in the right form, 0 otherwise; the verdict says which of the ways it failed.

    The reasoning is opened and closed exactly once; the answer is the last box after it, compared as text without
    surrounding blanks.  A response cut at the token cap is TRUNCATED whatever it holds, as its end was not its own.
    """
    if completion.finish_reason is FinishReason.LENGTH:
        return Reward(value=0.0, verdict=Verdict.TRUNCATED, extracted="")
    text = completion.text
    reasoning, _, rest = text.partition("</think>")
    boxes = _BOX.findall(rest)
    extracted = boxes[-1].strip() if boxes else ""
    if text.count("<think>") != 1 or text.count("</think>") != 1 or not reasoning.startswith("<think>"):
        return Reward(value=0.0, verdict=Verdict.BAD_FORMAT, extracted=extracted)
    if not extracted:
        return Reward(value=0.0, verdict=Verdict.NO_ANSWER, extracted="")
    correct = extracted == answer
    return Reward(value=float(correct), verdict=Verdict.CORRECT if correct else Verdict.WRONG, extracted=extracted)
