"""Graders as a config asks for them."""

import random

import pytest

from ablations.grading import check_grading, has_tests, open_grader
from ablations.tasks import load_problems
from klear_core.data.tasks import get_task
from klear_core.errors import ConfigError
from klear_core.records import Completion, FinishReason, Verdict
from tests.e2e import own_data

FEW = {"task.train_problems": 2, "rl.problems_per_step": 2, "rl.updates_per_rollout": 2}


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


def test_rows_of_both_kinds_are_graded_each_by_its_own(make_config, tmp_path):
    rows = own_data.own_rows(own_data.sums(10, 1)) + own_data.code_rows(0, 1)
    data = own_data.write_data(tmp_path) | {"train": own_data.write_lines(tmp_path / "mixed.jsonl", rows)}
    settings = [word for word in own_data.arguments(data, None) if word.partition("=")[0] not in ("scale", *FEW)]
    config = make_config(*settings, *(f"{key}={value}" for key, value in FEW.items()), "reward.verifier=math_verify")
    assert has_tests(config)
    problems = load_problems(config, "train")
    program = "<think>a</think>```python\nprint(int(input()) + {})\n```"
    texts = {"<think>a</think>\\boxed{13.0}": 1.0, "<think>a</think>\\boxed{14}": 0.0}
    pairs = [(problems[0], text, worth) for text, worth in texts.items()]
    pairs += [(problems[1], program.format(k), worth) for k, worth in ((1, 1.0), (2, 0.0))]
    completions = [
        Completion(token_ids=(1,), logprobs=(0.0,), entropies=None, text=text, finish_reason=FinishReason.STOP)
        for _, text, _ in pairs
    ]
    with open_grader(config) as grader:
        rewards = grader.grade([problem for problem, _, _ in pairs], completions)
    assert [reward.value for reward in rewards] == [worth for _, _, worth in pairs]
    assert check_grading(config) == ""
