r"""Answers in ``\boxed{}`` compared as text: exact, for tasks whose answers have one spelling only."""

import re

from klear_core.records import Verdict

_BOX = re.compile(r"\\boxed\{([^{}]*)\}")


def judge_exact(answer_text: str, reference: str) -> tuple[Verdict, str]:
    """CORRECT when the last box of ``answer_text`` is ``reference`` without surrounding blanks; and what was found.

    ``answer_text`` is what stands after the reasoning.
    """
    boxes = _BOX.findall(answer_text)
    found = boxes[-1].strip() if boxes else ""
    if not found:
        return Verdict.NO_ANSWER, ""
    return Verdict.CORRECT if found == reference else Verdict.WRONG, found
