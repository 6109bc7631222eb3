"""Graders as a config asks for them."""

import random

import pytest

from ablations.grading import check_grading, open_grader
from ablations.tasks import load_problems
from klear_core.data.tasks import get_task
from klear_core.errors import ConfigError
from klear_core.records import Completion, FinishReason, Verdict


def answers(config, count=60):
    """Problems with demonstrations of a teacher that errs in half of them."""
    problems = load_problems(config, "train")[:count]
    solve, rng = get_task(config.task).half_right(problems), random.Random(0)
    texts = [solve(problem, rng).response for problem in problems]
    return problems, [
        Completion(token_ids=(1,), logprobs=(0.0,), entropies=None, text=text, finish_reason=FinishReason.STOP)
        for text in texts
    ]


def test_a_maths_verifier_judges_digits_as_the_exact_comparison_does(make_config):
    graded = {}
    for verifier in ("exact", "math_verify"):
        config = make_config(f"reward.verifier={verifier}")
        with open_grader(config) as grader:
            graded[verifier] = grader.grade(*answers(config))
            assert ("math-policy" in grader.told) == (verifier == "math_verify")
    assert [r.verdict for r in graded["exact"]] == [r.verdict for r in graded["math_verify"]]
    assert {r.verdict for r in graded["exact"]} == {Verdict.CORRECT, Verdict.WRONG}
    assert all(r.agrees for r in graded["math_verify"])  # the second verifier says the same of every digit
    assert all(r.agrees is None for r in graded["exact"])


def test_programs_are_graded_in_the_sandbox_that_the_config_describes(make_config):
    config = make_config("task=functions", "reward=soft")
    with open_grader(config) as grader:
        rewards = grader.grade(*answers(config))
        assert grader.code.sandbox.limits.memory_mb == config.sandbox.memory_mb
    assert {r.verdict for r in rewards} == {Verdict.CORRECT, Verdict.WRONG}
    assert all(r.value == r.pass_rate for r in rewards)
    assert any(0 < r.pass_rate < 1 for r in rewards)


def test_what_cannot_be_graded_here_is_refused_before_the_start(make_config, monkeypatch):
    assert check_grading(make_config("task=functions")) == ""
    monkeypatch.setattr("ablations.grading.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'klear-ablations\[math\]'"):
        check_grading(make_config("reward.verifier=math_verify"))


def test_running_without_isolation_is_said(make_config, monkeypatch):
    from klear_core.rewards.sandbox import backends

    def nothing_holds(name, prefix, layers, limits, readable):
        if layers:
            raise ConfigError("a probe could read a file")
        return proven(name, prefix, layers, limits, readable)

    proven = backends._proven
    monkeypatch.setattr(backends, "_proven", nothing_holds)
    with pytest.raises(ConfigError, match="programs cannot be run in isolation here"):
        check_grading(make_config("task=functions"))
    config = make_config("task=functions", "sandbox.allow_unisolated=true")
    assert "WITHOUT ISOLATION" in check_grading(config)
    with open_grader(config) as grader:
        assert grader.told.startswith("UNISOLATED")
