"""From completions to rewards: form first, then tests or the reference answer, then what the verdict is worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from klear_core.records import Completion, Problem, Reward, Verdict
from klear_core.rewards.boxed import judge_exact
from klear_core.rewards.code import CodeJudge, TestVerdict, Verdicts, extract_program, pass_rate
from klear_core.rewards.format import Form, check_form
from klear_core.rewards.math import MathVerifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An answer held against its reference."""

    verdict: Verdict
    found: str
    agrees: bool | None  # whether a second verifier says the same, None when one of the two does not decide


# (reference, text after the reasoning) -> what it is.
Judge = Callable[[Sequence[tuple[str, str]]], list[Judged]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What a verdict is worth. ``soft`` spreads a program's score by its pass rate p: wrong + p (correct - wrong).

    With correct 1 and wrong 0 that is p, the paper's soft reward; with wrong -1 it is 2p - 1, the released code's.
    """

    scores: Mapping[Verdict, float]  # of every verdict but GRADER_ERROR, which has none
    soft: bool


def exact(pairs: Sequence[tuple[str, str]]) -> list[Judged]:
    """Every answer against its reference as text."""
    found = [judge_exact(text, reference) for reference, text in pairs]
    return [Judged(verdict=verdict, found=answer, agrees=None) for verdict, answer in found]


def by(verifier: MathVerifier) -> Judge:
    """Every answer against its reference as mathematics."""

    def judge(pairs: Sequence[tuple[str, str]]) -> list[Judged]:
        found = verifier.judge_responses(pairs)
        return [Judged(verdict=each.verdict, found=each.extracted, agrees=each.agrees) for each in found]

    return judge


class Grader:
    """Grades completions of problems of both kinds: with tests, and with a reference answer."""

    def __init__(
        self,
        scoring: Scoring,
        *,
        code: CodeJudge | None = None,
        answers: Judge = exact,
        answers_told: str = "exact answers",
    ) -> None:
        """``code`` runs programs and may be None where no problem has tests; ``answers`` judges the others."""
        self._answers_told = answers_told
        self._scoring = scoring
        self.code = code
        self._answers = answers

    @property
    def told(self) -> str:
        """How programs are isolated and answers compared, for the records."""
        return self.code.sandbox.isolation if self.code is not None else self._answers_told

    def grade(self, problems: Sequence[Problem], completions: Sequence[Completion]) -> list[Reward]:
        """One reward for each completion of the problem beside it."""
        forms = [check_form(completion) for completion in completions]
        whole = [k for k, form in enumerate(forms) if form.fault is None]
        rewards: dict[int, Reward] = {k: self._fault(problems[k], form) for k, form in enumerate(forms) if form.fault}
        rewards |= self._graded_programs([k for k in whole if problems[k].tests is not None], problems, forms)
        rewards |= self._graded_answers([k for k in whole if problems[k].tests is None], problems, forms)
        return [rewards[k] for k in range(len(completions))]

    def _fault(self, problem: Problem, form: Form) -> Reward:
        assert form.fault is not None
        return self._reward(form.fault, "", problem)

    def _graded_programs(
        self, chosen: Sequence[int], problems: Sequence[Problem], forms: Sequence[Form]
    ) -> dict[int, Reward]:
        programs = {k: extract_program(forms[k].answer) for k in chosen}
        found = {k: self._reward(Verdict.NO_ANSWER, "", problems[k]) for k in chosen if not programs[k].strip()}
        asked = [k for k in chosen if k not in found]
        if not asked:
            return found
        assert self.code is not None, "problems with tests need a sandbox"
        submissions = [(programs[k], tests) for k in asked if (tests := problems[k].tests) is not None]
        for k, verdicts in zip(asked, self.code.judge_all(submissions), strict=True):
            found[k] = self._program_reward(verdicts)
        return found

    def _program_reward(self, verdicts: Verdicts) -> Reward:
        letters = "".join(verdicts)
        if TestVerdict.INFRASTRUCTURE in verdicts:
            return Reward(value=float("nan"), verdict=Verdict.GRADER_ERROR, extracted="", tests=letters)
        rate, scores = pass_rate(verdicts), self._scoring.scores
        verdict = Verdict.CORRECT if rate == 1 else Verdict.WRONG
        value = scores[verdict]
        if self._scoring.soft:
            value = scores[Verdict.WRONG] + rate * (scores[Verdict.CORRECT] - scores[Verdict.WRONG])
        return Reward(value=value, verdict=verdict, extracted="", pass_rate=rate, tests=letters)

    def _graded_answers(
        self, chosen: Sequence[int], problems: Sequence[Problem], forms: Sequence[Form]
    ) -> dict[int, Reward]:
        judged = self._answers([(problems[k].answer, forms[k].answer) for k in chosen])
        return {
            k: self._reward(each.verdict, each.found, problems[k], each.agrees)
            for k, each in zip(chosen, judged, strict=True)
        }

    def _reward(self, verdict: Verdict, found: str, problem: Problem, agrees: bool | None = None) -> Reward:
        is_lost = verdict is Verdict.GRADER_ERROR
        value = float("nan") if is_lost else self._scoring.scores[verdict]
        # A response without a program passes no test; an answer has no tests to pass.
        rate = 0.0 if problem.tests is not None and not is_lost else float("nan")
        return Reward(value=value, verdict=verdict, extracted=found, pass_rate=rate, agrees=agrees)
