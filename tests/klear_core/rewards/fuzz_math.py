r"""Adversarial answers against the maths verifier: whatever comes, a verdict in time, and nothing left running.

    python -m tests.klear_core.rewards.fuzz_math --answers 10000

Random tokens, deep nesting, huge powers, long and unbalanced texts, every part of unicode and control characters, each
against an ordinary reference.  Prints counts; ends with 1 when an answer raised, took longer than the deadlines
allow, or a process is left.
"""

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass

from klear_core.records import Verdict
from klear_core.rewards.math import MathVerifier
from klear_core.rewards.math_policy import STANDARD_POLICY
from tests.klear_core.rewards.math_cases import CORRECT, LISTED, OWN
from tests.klear_core.rewards.processes import is_running

REFERENCES = sorted({gold for gold, _, verdict in [*LISTED, *OWN] if verdict is CORRECT})
TOKENS = [
    *(r"\frac", r"\dfrac", r"\sqrt", r"\sqrt[3]", r"\text", r"\mathrm", r"\binom", r"\left", r"\right", r"\boxed"),
    *(r"\int", r"\sum", r"\lim", r"\prod", r"\log", r"\ln", r"\sin", r"\tan^{-1}", r"\Gamma", r"\zeta", r"\det"),
    *(r"\pi", r"\infty", r"\pm", r"\cup", r"\in", r"\le", r"\ne", r"\{", r"\}", r"\\", r"\%", r"\$", r"\,", r"\;"),
    *(r"\begin{pmatrix}", r"\end{pmatrix}", r"\begin{cases}", "&", "{", "}", "(", ")", "[", "]", "|", "^", "_", "!"),
    *("+", "-", "*", "/", "=", "<", ">", ",", ";", ":", ".", "'", '"', "$", "~", "#", "@", "`", " ", "\n", "\t"),
    *("0", "1", "2", "7", "10", "99", "1e9", "0.5", ".", "x", "y", "n", "i", "e", "C", "f(x)", "million", "cm", "and"),
    *("\x00", "\x1b[31m", "\ud800", "\u200b", "\u202e", "−", "π", "½", "𝟙", "٣", "＋", "√", "²", "é", "中", "\uffff"),
    *("__import__('os')", "lambda", "exit()", "%s", "{0}", "</think>", "<think>", "1" * 40, "9" * 120),
]
HEAVY = [
    *("9^{9^9}", "9^{9999}", "(9^{99})^{99}", "((9^{9})^{9})^{9}", "99999!", "9999!!", "((9!)!)!", "2^{2^{2^{9}}}"),
    *(r"\binom{999999}{499999}", r"\binom{99999}{4999}^{99}", "(x+y+z+w)^{200}", "(1+x)^{999}-(1-x)^{999}"),
    *(r"\sqrt{\sqrt{\sqrt{2+\sqrt{3+\sqrt{5}}}}}", r"\prod_{k=1}^{10000} k", r"\log_{1.0000001} 99999999"),
    *(r"\sin(10^{9999})", r"e^{e^{e^{9}}}", r"\sqrt[9999]{9}", r"x^{9999}-y^{9999}", r"\frac{1}{7^{9999}}"),
    *(r"\arctan(\tan(10^{50}))", r"\cos(\cos(\cos(\cos(x+y))))", "x^5-x-1=0", "x^7+y^7=z^7", r"\zeta(99)", "7^{1/7^7}"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What came of a number of answers."""

    verdicts: Counter[Verdict]
    errors: Counter[str]  # reasons of GRADER_ERROR
    exceptions: Counter[str]
    correct: tuple[tuple[str, str], ...]
    slowest_s: float
    too_slow: int
    left_running: int
    disagreements: int
    both_decided: int
    wall_s: float


def answer(draw: random.Random) -> str:
    """One adversarial answer."""
    kind = draw.randrange(8)
    if kind == 0:
        return "".join(draw.choices(TOKENS, k=draw.randint(1, 12)))
    if kind == 1:
        return "".join(draw.choices(TOKENS, k=draw.randint(12, 120)))
    if kind == 2:
        heavy = draw.choice(HEAVY)
        return draw.choice(["{}", "-{}", "({})+1", r"\frac{{{}}}{{2}}", r"\sqrt{{{}}}", "x={}", "[0,{})"]).format(heavy)
    if kind == 3:
        left, right = draw.choice([("(", ")"), ("{", "}"), (r"\sqrt{", "}"), (r"\frac{1}{1+", "}"), ("x^{", "}")])
        depth = draw.choice([5, 20, 49, 60, 500])
        return left * depth + draw.choice(TOKENS) + right * (depth - draw.choice([0, 0, 1]))
    if kind == 4:
        return "".join(chr(draw.randrange(draw.choice([0x80, 0x3000, 0x110000]))) for _ in range(20))
    if kind == 5:
        text = draw.choice(REFERENCES)
        at = draw.randrange(len(text) + 1)
        return text[:at] + draw.choice(TOKENS) + text[at + draw.randrange(2) :]
    if kind == 6:
        operands, operators = ["x", "y", "2", "3", "17", "sin"], ["+", "-", r"\cdot ", "^", "/", ",", "=", "_"]
        return "".join(draw.choice(operands) + draw.choice(operators) for _ in range(draw.randint(2, 40)))
    return draw.choice(TOKENS) * draw.choice([1, 40, 400, 5000])


def fuzz(answers: int, *, seed: int, num_workers: int) -> Findings:
    """Judge that many answers, one by one; the draw depends on ``seed`` only."""
    draw = random.Random(seed)
    verdicts: Counter[Verdict] = Counter()
    errors: Counter[str] = Counter()
    correct: list[tuple[str, str]] = []
    exceptions: Counter[str] = Counter()
    slowest_s, too_slow = 0.0, 0
    allowed_s = 2 * STANDARD_POLICY.deadline_s + 5.0  # an answer is asked twice at most, each time of a new process
    started = time.monotonic()
    with MathVerifier(STANDARD_POLICY, num_workers=num_workers) as verifier:
        for _ in range(answers):
            gold, text = draw.choice(REFERENCES), answer(draw)
            before = time.monotonic()
            # Half of them in a box, where braces are looked at first.
            try:
                if draw.randrange(2):
                    judgement = verifier.judge(gold, text)
                else:
                    (judgement,) = verifier.judge_responses([(gold, rf"<think></think> \boxed{{{text}}}")])
            except Exception as error:
                exceptions[repr(error)] += 1
                continue
            took_s = time.monotonic() - before
            slowest_s = max(slowest_s, took_s)
            too_slow += took_s > allowed_s
            verdicts[judgement.verdict] += 1
            if judgement.verdict is Verdict.GRADER_ERROR:
                errors[judgement.reason] += 1
            if judgement.verdict is Verdict.CORRECT:
                correct.append((gold, text))
        agreement, pids = verifier.agreement, verifier.worker_pids
    return Findings(
        verdicts=verdicts,
        errors=errors,
        exceptions=exceptions,
        correct=tuple(correct),
        slowest_s=slowest_s,
        too_slow=too_slow,
        left_running=sum(is_running(pid) for pid in pids),
        disagreements=agreement.disagreements,
        both_decided=agreement.both_decided,
        wall_s=time.monotonic() - started,
    )


def main() -> int:
    """Fuzz and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show-correct", action="store_true", help="print the answers that were found correct")
    options = parser.parse_args()
    found = fuzz(options.answers, seed=options.seed, num_workers=1)
    print(f"{options.answers} answers in {found.wall_s:.0f} s, the slowest {found.slowest_s:.2f} s")
    for verdict, count in found.verdicts.most_common():
        print(f"  {verdict:14s} {count:6d}")
    for reason, count in found.errors.most_common():
        print(f"  grading failed {count:6d}  {reason}")
    for exception, count in found.exceptions.most_common():
        print(f"  exception {count:6d}  {exception}")
    print(f"exceptions {found.exceptions.total()}, too slow {found.too_slow}, left running {found.left_running}")
    print(f"both verifiers decided {found.both_decided}, disagreements {found.disagreements}")
    for gold, text in found.correct if options.show_correct else ():
        print(f"  {gold!r} <- {text!r}")
    return int(bool(found.exceptions or found.too_slow or found.left_running))


if __name__ == "__main__":
    sys.exit(main())
