r"""Answers a second: the maths verifier with one worker against bare math-verify in a warm process.

    python tests/benchmarks/math_reward.py --rounds 9

Ordinary answers (integers, decimals, fractions, roots, expressions, pairs, intervals, sets), half of them right, four
to a reference as in a group of samples, and new ones in every round, so no memory of either side answers.  The sides
take turns; a round of ours counts spelling, pipes and the second verifier, with this process asleep while the worker
works, so both use one core.
"""

import argparse
import logging
import random
import statistics
import time
from collections.abc import Callable

from math_verify import parse, verify
from measured import Metric, ratio, tell

from klear_core.records import Verdict
from klear_core.rewards.math import MathVerifier
from klear_core.rewards.math_policy import STANDARD_POLICY, scorer_identity

# Of three numbers: the reference, what is equal to it, and what is not.
FORMS: list[Callable[[int, int, int], tuple[str, str, str]]] = [
    lambda a, b, c: (f"{a * b}", f"{a * b}", f"{a * b + c}"),
    lambda a, b, c: (f"{a}{b}", f"{a}{b}.0", f"-{a}{b}"),
    lambda a, b, c: (rf"\frac{{{a}}}{{{b}}}", rf"\frac{{{a * c}}}{{{b * c}}}", rf"\frac{{{a + c}}}{{{b}}}"),
    lambda a, b, c: (f"{a}.5", rf"\frac{{{2 * a + 1}}}{{2}}", f"{a}.{c}7"),
    lambda a, b, c: (rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b}}}", rf"{b}\sqrt{{{a + c}}}"),
    lambda a, b, c: (rf"\frac{{{a}\pi}}{{{b}}}", rf"\frac{{{a}}}{{{b}}}\pi", rf"\frac{{{c}\pi}}{{{a + b}}}"),
    lambda a, b, c: (f"({a},{b})", rf"\left({a},{b}\right)", f"({b},{a + c})"),
    lambda a, b, c: (f"[{a},{a + b})", rf"\left[{a}, {a + b}\right)", f"({a},{a + b}]"),
    lambda a, b, c: (rf"\{{{a},{a + b}\}}", f"{a + b}, {a}", f"{a}, {a + b + c}"),
    lambda a, b, c: (f"{a}x^2+{b}x", f"x({a}x+{b})", f"{a}x^2-{b}x"),
]


def ordinary_pairs(draw: random.Random, references: int) -> list[tuple[str, str]]:
    """(gold, answer), four answers a reference, half of them right."""
    pairs = []
    for k in range(references):
        gold, right, wrong = FORMS[k % len(FORMS)](draw.randint(2, 999), draw.randint(2, 999), draw.randint(2, 99))
        pairs += [(gold, right), (gold, gold), (gold, wrong), (gold, f"{draw.randint(1000, 99999)}")]
    return pairs


def bare(pairs: list[tuple[str, str]]) -> list[bool]:
    """What math-verify says, used as its documentation does."""
    return [verify(parse(f"${gold}$"), parse(rf"\boxed{{{answer}}}")) for gold, answer in pairs]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--references", type=int, default=100)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    draw = random.Random(0)
    ours: list[float] = []
    theirs: list[float] = []
    equal = answers = 0
    with MathVerifier(STANDARD_POLICY, num_workers=1) as verifier:
        for k in range(options.rounds + 1):
            pairs = ordinary_pairs(draw, options.references)
            started = time.perf_counter()
            judgements = verifier.judge_many(pairs)
            between = time.perf_counter()
            verdicts = bare(pairs)
            ended = time.perf_counter()
            if k == 0:
                continue  # both warm up
            ours.append(len(pairs) / (between - started))
            theirs.append(len(pairs) / (ended - between))
            answers += len(pairs)
            found = [judgement.verdict is Verdict.CORRECT for judgement in judgements]
            equal += sum(left == right for left, right in zip(found, verdicts, strict=True))
    ratios = sorted(left / right for left, right in zip(ours, theirs, strict=True))
    print(", ".join(f"{name} {version}" for name, version in scorer_identity().items()))
    print(f"{options.rounds} alternating rounds of {4 * options.references} answers, medians")
    print(f"  ours, one worker   {statistics.median(ours):7.0f} answers/s")
    print(f"  math-verify, bare  {statistics.median(theirs):7.0f} answers/s")
    print(f"  ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); aim: at least 0.80")
    print(f"  equal verdicts {equal / answers:.1%} of {answers}")
    equal_share = Metric(name="equal verdicts", value=equal / answers, unit="share", better="higher")
    tell(
        [ratio("ours / math-verify", ratios), equal_share], rounds=options.rounds, answers=answers, **scorer_identity()
    )


if __name__ == "__main__":
    main()
