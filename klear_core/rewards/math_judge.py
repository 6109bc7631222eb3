r"""The verdict on one spelled answer: the judge that verifier processes run."""

import re

from klear_core.records import Verdict
from klear_core.rewards.math_forms import Comparison, UnreadableReferenceError
from klear_core.rewards.math_trees import IncomparableError, TooBigError, UnreadableError

_UNEVALUATED = re.compile(
    r"\\(?:i*int|oint|sum|prod|coprod|lim|limsup|liminf)(?![a-zA-Z])"
    r"|\\frac\{ ?(?:d|\\partial) ?[a-zA-Z]?\}\{ ?(?:d|\\partial) ?[a-z]"
)


def judge(gold: str, answer: str, *, max_value_digits: int) -> tuple[Verdict, str]:
    """Verdict and reason for two texts in the spelling of ``math_text.spelled``."""
    unevaluated = {match[0] for match in _UNEVALUATED.finditer(answer)}
    if unevaluated - {match[0] for match in _UNEVALUATED.finditer(gold)}:
        return Verdict.WRONG, "restates the problem instead of its value"
    comparison = Comparison(max_value_digits)
    try:
        same = comparison.same(gold, answer)
    except UnreadableReferenceError:
        # What can be read by itself need not be readable as what its counterpart is.
        if comparison.reads(gold):
            return Verdict.WRONG, ""
        return Verdict.GRADER_ERROR, "the reference is no mathematics that the verifier can read"
    except UnreadableError:
        if comparison.reads(answer):
            return Verdict.WRONG, ""
        return Verdict.UNPARSABLE, "no mathematics that the verifier can read"
    except IncomparableError as error:
        # Not an error of the grading: a model that can cause one at will would have a way out of being wrong.
        return Verdict.UNPARSABLE, f"no value that can be compared with the reference: {error}"
    except TooBigError:
        return Verdict.UNPARSABLE, f"a value of more than {max_value_digits} digits"
    return (Verdict.CORRECT, "") if same else (Verdict.WRONG, "")
