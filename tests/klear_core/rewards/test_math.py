"""The maths reward as a whole: the verdicts of the policy, limits, memory and counts."""

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from klear_core.errors import ConfigError
from klear_core.records import Verdict
from klear_core.rewards import math as math_reward
from klear_core.rewards.math import MathVerifier
from klear_core.rewards.math_policy import STANDARD_POLICY
from tests.klear_core.rewards.math_cases import CORRECT, LISTED, OWN, RESPONSES, UNPARSABLE, WRONG

HOSTILE = "tests.klear_core.rewards.hostile_judge"


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier(STANDARD_POLICY, num_workers=1) as made:
        yield made


@pytest.mark.parametrize(("gold", "answer", "verdict"), LISTED)
def test_what_is_known_to_go_wrong_in_verifiers_goes_right(verifier, gold, answer, verdict):
    assert verifier.judge(gold, answer).verdict is verdict


@pytest.mark.parametrize(("gold", "answer", "verdict"), OWN)
def test_the_policy_decides(verifier, gold, answer, verdict):
    assert verifier.judge(gold, answer).verdict is verdict


@pytest.mark.parametrize(("gold", "response", "verdict"), RESPONSES)
def test_the_last_box_of_a_response_decides(verifier, gold, response, verdict):
    assert verifier.judge_responses([(gold, response)])[0].verdict is verdict


@pytest.mark.parametrize("answer", ["9^{9^9}", "(" * 3000 + ")" * 3000, "9" * 399, "x^{" * 100, "1000000000!"])
def test_what_is_too_big_to_look_at_is_refused_at_once(verifier, answer):
    verifier.judge("1", "2")
    started = time.monotonic()
    assert verifier.judge("1", answer).verdict in (UNPARSABLE, WRONG)
    assert time.monotonic() - started < 0.5


def test_the_two_verifiers_agree_on_every_case():
    cases = [(gold, answer) for gold, answer, _ in [*LISTED, *OWN]]
    with MathVerifier(STANDARD_POLICY, num_workers=2) as verifier:
        judgements = verifier.judge_many(cases)
        assert verifier.agreement.judged == len(cases)
        assert verifier.agreement.both_decided == sum(each.agrees is not None for each in judgements) > 30
        assert verifier.agreement.disagreement_rate == 0
    assert [each.verdict for each in judgements] == [verdict for _, _, verdict in [*LISTED, *OWN]]


def test_a_disagreement_is_counted(monkeypatch):
    monkeypatch.setattr(math_reward, "simple_verdict", lambda gold, answer: answer == "2" or None)
    with MathVerifier(STANDARD_POLICY, num_workers=1, judge_module=HOSTILE) as verifier:
        assert math.isnan(verifier.agreement.disagreement_rate)
        assert [each.agrees for each in verifier.judge_many([("1", "2"), ("2", "2"), ("3", "3")])] == [
            False,
            True,
            None,
        ]
        assert verifier.agreement == math_reward.Agreement(judged=3, both_decided=2, disagreements=1)
        assert verifier.agreement.disagreement_rate == 0.5


def test_one_answer_in_many_spellings_is_judged_once():
    with MathVerifier(STANDARD_POLICY, num_workers=1, judge_module=HOSTILE) as verifier:
        spellings = [r"\dfrac12", r"\frac{1}{2}", r"$\frac 1 2$"]
        judgements = verifier.judge_many([("x", each) for each in spellings])
        again = verifier.judge("x", r"\tfrac12")
    assert [each.extracted for each in judgements] == spellings
    assert (again.verdict, again.extracted) == (WRONG, r"\tfrac12")


def test_the_memory_of_judgements_is_bounded_and_keeps_no_failed_grading():
    policy = replace(STANDARD_POLICY, cache_entries=3, cpu_limit_s=0.2, deadline_s=1.0)
    with MathVerifier(policy, num_workers=1, judge_module=HOSTILE) as verifier:
        verifier.judge_many([("x", str(k)) for k in range(10)])
        verifier.judge("x", "raise")
        assert list(verifier._known) == [("x", "7"), ("x", "8"), ("x", "9")]
        verifier.judge("x", "7")
        verifier.judge("x", "10")
        assert list(verifier._known) == [("x", "9"), ("x", "7"), ("x", "10")]


def test_a_failed_grading_is_not_a_wrong_answer_and_spares_the_others():
    with MathVerifier(STANDARD_POLICY, num_workers=2, judge_module=HOSTILE) as verifier:
        judgements = verifier.judge_many([("a", "a"), ("a", "exit"), ("a", "raise"), ("a", "bomb"), ("b", "b")])
    expected = [CORRECT, Verdict.GRADER_ERROR, Verdict.GRADER_ERROR, Verdict.TIMEOUT, CORRECT]
    assert [each.verdict for each in judgements] == expected
    assert all(each.reason for each in judgements[1:4])


def test_a_verifier_serves_several_threads():
    found: dict[int, list[Verdict]] = {}
    with MathVerifier(STANDARD_POLICY, num_workers=2) as verifier:

        def work(k: int) -> None:
            found[k] = [each.verdict for each in verifier.judge_many([(str(k), str(j)) for j in range(4)])]

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {k: [CORRECT if j == k else WRONG for j in range(4)] for k in range(4)}


def test_nothing_starts_for_answers_that_need_no_looking_at():
    with MathVerifier(STANDARD_POLICY, num_workers=2) as verifier:
        judgements = verifier.judge_responses([("1", "no box"), ("1", r"\boxed{" + "1" * 500 + "}"), ("1" * 500, "")])
        assert verifier.worker_pids == []
    assert [each.verdict for each in judgements] == [Verdict.NO_ANSWER, UNPARSABLE, Verdict.GRADER_ERROR]
    assert [len(each.extracted) for each in judgements] == [0, 400, 0]


def test_without_math_verify_the_first_use_says_what_to_install(monkeypatch):
    monkeypatch.setattr(math_reward, "find_spec", lambda name: None)
    with (
        MathVerifier(STANDARD_POLICY, num_workers=1) as verifier,
        pytest.raises(ConfigError, match=r"pip install 'klear-ablations\[math\]'$"),
    ):
        verifier.judge("1", "2")


def test_no_workers_are_no_verifier():
    with pytest.raises(ConfigError, match="num_workers is 0; allowed: 1 or more"):
        MathVerifier(STANDARD_POLICY, num_workers=0)
