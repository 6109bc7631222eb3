"""Every case of the policy against the math-verify that is found, which need not be the installed one.

    pip install --target OTHER 'math-verify[antlr4_9_3]==0.5.2'
    PYTHONPATH=OTHER python -m tests.klear_core.rewards.check_math_cases

A script, as an older math-verify brings an antlr that Hydra, and so pytest's fixtures, cannot share.  Prints the
versions and each case with another verdict; ends with 1 when there is one.
"""

import sys

from klear_core.rewards.math import MathVerifier
from klear_core.rewards.math_policy import STANDARD_POLICY, scorer_identity
from tests.klear_core.rewards.math_cases import LISTED, OWN, RESPONSES


def main() -> int:
    """Check and print."""
    answers, responses = [*LISTED, *OWN], RESPONSES
    with MathVerifier(STANDARD_POLICY, num_workers=1) as verifier:
        judgements = verifier.judge_many([(gold, answer) for gold, answer, _ in answers])
        judgements += verifier.judge_responses([(gold, response) for gold, response, _ in responses])
        agreement = verifier.agreement
    others = 0
    for (gold, text, verdict), judgement in zip([*answers, *responses], judgements, strict=True):
        if judgement.verdict is not verdict:
            others += 1
            print(f"{gold!r} <- {text!r}: {judgement.verdict}, not {verdict}; {judgement.reason}")
    print(", ".join(f"{name} {version}" for name, version in scorer_identity().items()))
    print(f"{len(judgements)} cases, {others} with another verdict")
    print(f"both verifiers decided {agreement.both_decided}, disagreements {agreement.disagreements}")
    return int(others > 0)


if __name__ == "__main__":
    sys.exit(main())
