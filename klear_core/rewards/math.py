r"""Judges answers to maths problems: boxes, limits and memory here, mathematics in verifier processes.

    with MathVerifier(STANDARD_POLICY, num_workers=2) as verifier:
        verifier.judge(r"\frac{1}{2}", "0.5").verdict  # Verdict.CORRECT

What counts as equal is written in ``math_policy``.  No text of a model can raise here, hang here or end this process.
"""

import functools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import TracebackType

from klear_core.errors import ConfigError
from klear_core.records import Verdict
from klear_core.rewards.math_policy import MathPolicy
from klear_core.rewards.math_text import exponent_digits, last_box, nesting, power_tower, spelled
from klear_core.rewards.simple_math import simple_verdict
from klear_core.rewards.verifier_pool import WorkerPool, WorkerSettings

_JUDGE = "klear_core.rewards.math_judge"
_DECIDED = (Verdict.CORRECT, Verdict.WRONG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the verifier found in one answer."""

    verdict: Verdict  # CORRECT, WRONG, NO_ANSWER, UNPARSABLE, TIMEOUT or GRADER_ERROR
    extracted: str  # the answer as it was written; "" for none
    agrees: bool | None  # whether the simple verifier says the same; None when one of the two does not decide
    reason: str  # why, where the verdict alone does not say it


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often the two verifiers differ."""

    judged: int
    both_decided: int
    disagreements: int

    @property
    def disagreement_rate(self) -> float:
        """Disagreements as a share of the answers that both decided; NaN when there are none."""
        return self.disagreements / self.both_decided if self.both_decided else float("nan")


class MathVerifier:
    """Verifier processes, a memory of judgements, and a count of disagreements. Usable from any number of threads.

    Processes start with the first answer that needs one, and end with ``close`` or with this process.
    """

    def __init__(self, policy: MathPolicy, *, num_workers: int, judge_module: str = _JUDGE) -> None:
        """``judge_module`` is what the processes run; raises ``ConfigError`` when it needs what is not installed."""
        if num_workers < 1:
            raise ConfigError(f"math verifier: num_workers is {num_workers}; allowed: 1 or more")
        self._policy = policy
        self._pool = WorkerPool(
            WorkerSettings(
                module=judge_module,
                options={"max_value_digits": policy.max_value_digits},
                cpu_limit_s=policy.cpu_limit_s,
                deadline_s=policy.deadline_s,
                memory_limit_mib=policy.memory_limit_mib,
            ),
            num_workers=num_workers,
        )
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Judgement] = OrderedDict()
        self._agreement = Agreement(judged=0, both_decided=0, disagreements=0)

    def __enter__(self) -> "MathVerifier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def agreement(self) -> Agreement:
        """Counts since the start, every answer counted as often as it was judged."""
        with self._lock:
            return self._agreement

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the verifier processes that are running."""
        return self._pool.worker_pids()

    def judge(self, gold: str, answer: str) -> Judgement:
        """The judgement of one answer, without its box, against one reference in LaTeX."""
        return self.judge_many([(gold, answer)])[0]

    def judge_many(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        """``judge`` of every (gold, answer), in order, spread over the processes; equal pairs are judged once.

        Raises ``ConfigError`` when math-verify is not installed, and nothing else.
        """
        return self._judge_all(pairs)

    def judge_responses(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        r"""``judge`` of the last \boxed{...} after the last </think> of every (gold, response)."""
        return self._judge_all([(gold, last_box(response)) for gold, response in pairs])

    def close(self) -> None:
        """End the verifier processes."""
        self._pool.close()

    def _judge_all(self, pairs: Sequence[tuple[str, str | None]]) -> list[Judgement]:
        found: list[Judgement | None] = []
        keys: list[tuple[str, str]] = []
        to_ask: dict[tuple[str, str], tuple[str, str]] = {}
        for gold, answer in pairs:
            judgement, key = self._without_looking(gold, answer or ""), (gold, "")
            if judgement is None:
                key = (gold, spelled(answer or ""))
                judgement = self._remembered(key)
                if judgement is None:
                    to_ask[key] = (gold, answer or "")
                elif answer is not None:
                    judgement = replace(judgement, extracted=answer)
            found.append(judgement)
            keys.append(key)
        asked = self._ask(to_ask)
        judgements = [
            judgement or replace(asked[key], extracted=answer or "")
            for judgement, key, (_, answer) in zip(found, keys, pairs, strict=True)
        ]
        self._count(judgements)
        return judgements

    def _without_looking(self, gold: str, answer: str) -> Judgement | None:
        """The judgement of an answer, or by a reference, that no process needs to see."""
        if reason := _limit_passed(gold, self._policy):
            return self._refused(Verdict.GRADER_ERROR, answer, f"the reference: {reason}")
        if not answer.strip():
            return self._refused(Verdict.NO_ANSWER, "", "")
        if reason := _limit_passed(answer, self._policy):
            return self._refused(Verdict.UNPARSABLE, answer, reason)
        return None

    def _refused(self, verdict: Verdict, answer: str, reason: str) -> Judgement:
        # Cut, as it goes into records.
        extracted = answer[: self._policy.max_answer_chars]
        return Judgement(verdict=verdict, extracted=extracted, agrees=None, reason=reason)

    def _ask(self, pairs: dict[tuple[str, str], tuple[str, str]]) -> dict[tuple[str, str], Judgement]:
        """Judgements of the processes by (gold, spelled answer); ``pairs`` holds the texts as they were written."""
        if not pairs:
            return {}
        if find_spec("math_verify") is None:
            raise ConfigError("math verifier: math-verify is not installed; pip install 'klear-ablations[math]'")
        replies = self._pool.ask_many([(spelled(gold), answer) for gold, answer in pairs])
        judgements = {}
        for (key, (gold, answer)), (verdict, reason) in zip(pairs.items(), replies, strict=True):
            simple = simple_verdict(gold, answer)
            agrees = None if simple is None or verdict not in _DECIDED else simple == (verdict is Verdict.CORRECT)
            judgements[key] = Judgement(verdict=verdict, extracted=answer, agrees=agrees, reason=reason)
        self._remember(judgements)
        return judgements

    def _remembered(self, key: tuple[str, str]) -> Judgement | None:
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def _remember(self, judgements: dict[tuple[str, str], Judgement]) -> None:
        """Keep what would be found again; a failed grading may succeed the next time."""
        with self._lock:
            for key, judgement in judgements.items():
                if judgement.verdict is not Verdict.GRADER_ERROR:
                    self._known[key] = judgement
            while len(self._known) > self._policy.cache_entries:
                self._known.popitem(last=False)

    def _count(self, judgements: Sequence[Judgement]) -> None:
        decided = [judgement.agrees for judgement in judgements if judgement.agrees is not None]
        with self._lock:
            before = self._agreement
            self._agreement = Agreement(
                judged=before.judged + len(judgements),
                both_decided=before.both_decided + len(decided),
                disagreements=before.disagreements + decided.count(False),
            )


def _limit_passed(text: str, policy: MathPolicy) -> str:
    """Which limit of looking at a text it passes; "" for none."""
    if len(text) > policy.max_answer_chars:  # before the cache, which would hold on to texts of any length
        return f"{len(text)} characters; allowed: {policy.max_answer_chars}"
    return _limit_of_form_passed(text, policy)


@functools.lru_cache(maxsize=4096)
def _limit_of_form_passed(text: str, policy: MathPolicy) -> str:
    if (depth := nesting(text)) > policy.max_nesting:
        return f"{depth} brackets within each other; allowed: {policy.max_nesting}"
    if (height := power_tower(text)) > policy.max_power_tower:
        return f"a tower of {height} powers; allowed: {policy.max_power_tower}"
    if (digits := exponent_digits(text)) > policy.max_exponent_digits:
        return f"an exponent of {digits} digits; allowed: {policy.max_exponent_digits}"
    return ""
