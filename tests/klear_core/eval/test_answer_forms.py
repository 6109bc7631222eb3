r"""References of AIME and HMMT in many spellings, right and wrong, as a model may box them."""

import dataclasses
from fractions import Fraction

import pytest

from klear_core.eval.gold import gold_response
from klear_core.eval.tasks import get_benchmark
from klear_core.records import Completion, FinishReason, Problem, Verdict
from klear_core.rewards.grader import Grader, by
from klear_core.rewards.math import MathVerifier
from klear_core.rewards.math_policy import STANDARD_POLICY
from tests.klear_core.eval.test_livecodebench import HARD
from tests.klear_core.eval.test_questions import FILES, load_questions, published

ANY = Problem(problem_id="p", domain="math", prompt="?", answer="", source="", difficulty=None)


@pytest.fixture(scope="module")
def grader():
    with MathVerifier(STANDARD_POLICY, num_workers=1) as verifier:
        yield Grader(HARD, answers=by(verifier))


def verdicts(grader, pairs):
    problems = [dataclasses.replace(ANY, answer=gold) for gold, _ in pairs]
    completions = [
        Completion(
            token_ids=(), logprobs=(), entropies=None, text=gold_response(answer), finish_reason=FinishReason.STOP
        )
        for _, answer in pairs
    ]
    return [reward.verdict for reward in grader.grade(problems, completions)]


def spelled(value):
    """Spellings of an integer, all of which are it."""
    yield from (str(value), f"{value}.", f" {value} ", f"{value}.0", f"\\text{{{value}}}", f"\\mathbf{{{value}}}")
    yield from (f"x = {value}", f"${value}$", f"\\frac{{{2 * value}}}{{2}}", f"\\boxed{{{value}}}", f"{value}\\,")
    yield f"+{value}" if value >= 0 else f"-{-value}"


def missed(value):
    """What is near an integer and another number."""
    yield from (str(value + 1), f"-{value + 1}", f"{value}.5", f"\\frac{{{value}}}{{7}}", f"{value}, {value + 1}")
    yield from (f"{value}^2 + 1", f"({value}, 0)", f"{value} + 1 = {value + 1}", "\\text{none}")


INTEGERS = (2, 73, 588, 104, 999)


def test_every_spelling_of_an_integer_is_right_and_every_near_miss_wrong(grader):
    right = [(str(value), form) for value in INTEGERS for form in spelled(value)]
    found = verdicts(grader, right)
    assert [pair for pair, verdict in zip(right, found, strict=True) if verdict is not Verdict.CORRECT] == []
    wrong = [(str(value), form) for value in INTEGERS for form in missed(value)]
    found = verdicts(grader, wrong)
    assert [pair for pair, verdict in zip(wrong, found, strict=True) if verdict is Verdict.CORRECT] == []


# reference, right answers, wrong answers: the forms of HMMT's answers.
FORMS = {
    "\\frac{1}{576}": (
        ["1/576", "\\dfrac{1}{576}", "\\tfrac1{576}", "\\frac{2}{1152}"],
        ["576", "0.0017", "\\frac{1}{575}"],
    ),
    "\\sqrt{23}-2\\sqrt{3}": (
        ["-2\\sqrt{3}+\\sqrt{23}", "\\sqrt{23}-\\sqrt{12}", "\\sqrt{23} - 2 \\cdot \\sqrt3"],
        ["2\\sqrt{3}-\\sqrt{23}", "\\sqrt{23}+2\\sqrt{3}", "1.3317"],
    ),
    "1-\\frac{2}{\\pi}": (["\\frac{\\pi-2}{\\pi}", "-\\frac{2}{\\pi}+1"], ["\\frac{2}{\\pi}-1", "1-\\frac{2}{3.14}"]),
    "\\frac{7+\\sqrt{3}}{2}": (["\\frac{1}{2}(7+\\sqrt3)", "3.5+\\frac{\\sqrt{3}}{2}"], ["\\frac{7-\\sqrt{3}}{2}"]),
    "2^{99}": (["2\\cdot 2^{98}", "\\frac{2^{100}}{2}", str(2**99)], ["2^{98}", "99^2"]),
    "3375": (["3{,}375", "3,375", "15^3", "3\\,375"], ["3.375", "3,376"]),
}


def test_expressions_are_judged_by_their_value(grader):
    pairs = [(gold, form, True) for gold, (right, _) in FORMS.items() for form in (gold, *right)]
    pairs += [(gold, form, False) for gold, (_, wrong) in FORMS.items() for form in wrong]
    found = verdicts(grader, [(gold, form) for gold, form, _ in pairs])
    bad = [pair for pair, verdict in zip(pairs, found, strict=True) if (verdict is Verdict.CORRECT) != pair[2]]
    assert bad == []


@pytest.mark.slow
@pytest.mark.parametrize("task", FILES)
def test_the_published_references_are_right_respelled_and_wrong_shifted(task, grader):
    golds = [each.answer for each in load_questions(get_benchmark(task), published(task), count=None).problems]
    respelled = [(gold, form) for gold in golds for form in (f"x = {gold}", f"${gold}$", f"\\displaystyle {gold}")]
    assert verdicts(grader, respelled) == [Verdict.CORRECT] * len(respelled)
    shifted = [(gold, f"{gold} + 1") for gold in golds if "," not in gold]
    integers = [gold for gold in golds if gold.isdecimal()]
    shifted += [(gold, str(Fraction(int(gold)) + 1)) for gold in integers]
    assert len(shifted) >= 30
    assert Verdict.CORRECT not in verdicts(grader, shifted)
