"""Controls alter what they say and nothing else."""

import pytest

from klear_core.records import Reward, Verdict
from klear_core.trainer.control import sampling_stream, toss_coins


def rewards(count, value=0.25):
    verdict = Verdict.CORRECT
    return [Reward(value=value, verdict=verdict, extracted="7", pass_rate=1.0) for _ in range(count)]


def test_the_stream_of_every_other_sweep_is_stream_0(make_config):
    assert sampling_stream(make_config().control) == "train"
    assert sampling_stream(make_config("control=stream_3").control) == "train/3"


def test_a_coin_is_fair_and_a_function_of_its_key_alone():
    groups = [rewards(500) for _ in range(20)]
    names = [f"p{k}" for k in range(20)]
    tossed = toss_coins(groups, names, seed=1, step=4)
    assert tossed == toss_coins(groups, names, seed=1, step=4)
    assert toss_coins(groups[3:4], names[3:4], seed=1, step=4)[0] == tossed[3]
    assert tossed != toss_coins(groups, names, seed=2, step=4)
    assert tossed != toss_coins(groups, names, seed=1, step=5)
    values = [reward.value for group in tossed for reward in group]
    assert set(values) == {0.0, 1.0}
    assert sum(values) / len(values) == pytest.approx(0.5, abs=4 * 0.5 / len(values) ** 0.5)


def test_a_coin_replaces_the_value_and_leaves_what_the_grader_found():
    (group,) = toss_coins([rewards(8)], ["p"], seed=0, step=1)
    assert {(reward.verdict, reward.pass_rate, reward.extracted) for reward in group} == {(Verdict.CORRECT, 1.0, "7")}
