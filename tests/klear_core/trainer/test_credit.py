"""Which completions count and what they earn."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from klear_core.advantages import dr_grpo, grpo
from klear_core.records import Reward, Verdict
from klear_core.trainer.credit import assign_credit

LOST = Reward(value=math.nan, verdict=Verdict.GRADER_ERROR, extracted="")


def reward(value, solved=None):
    is_right = value == 1 if solved is None else solved
    return Reward(value=value, verdict=Verdict.CORRECT if is_right else Verdict.WRONG, extracted="")


def credit(rewards, group_filter="off", estimate=grpo, params=None):
    return assign_credit(rewards, estimate, {"ddof": 0} if params is None else params, group_filter=group_filter)


def test_a_completion_whose_grading_failed_leaves_its_groups_statistics_and_the_loss():
    with_it = credit([[reward(1.0), LOST, reward(0.0), reward(0.0)]])
    without = credit([[reward(1.0), reward(0.0), reward(0.0)]])
    assert with_it.advantages_PG[0, [0, 2, 3]].tolist() == pytest.approx(without.advantages_PG[0].tolist())
    assert with_it.advantages_PG[0, 1] == 0
    assert with_it.counted_PG.tolist() == [[True, False, True, True]]


def test_a_group_that_could_not_be_graded_at_all_counts_for_nothing():
    found = credit([[LOST, LOST], [reward(1.0), reward(0.0)]])
    assert torch.isfinite(found.advantages_PG).all()
    assert found.counted_PG.tolist() == [[False, False], [True, True]]


def test_the_acc_filter_throws_away_partly_right_groups_that_the_soft_reward_could_learn_from():
    partly = [reward(0.25), reward(0.75)]
    mixed = [reward(0.25), reward(1.0)]
    solved = [reward(1.0), reward(1.0)]
    kept, filtered = credit([partly, mixed, solved]), credit([partly, mixed, solved], "acc")
    assert (kept.advantages_PG != 0).any(1).tolist() == [True, True, False]
    assert (filtered.advantages_PG != 0).any(1).tolist() == [False, True, False]
    assert filtered.dropped_P.tolist() == [True, False, True]
    assert not filtered.counted_PG[0].any()
    assert filtered.advantages_PG[1].tolist() == kept.advantages_PG[1].tolist()


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=4, max_size=4), min_size=1, max_size=6))
def test_under_a_hard_reward_the_acc_filter_changes_no_advantage(values):
    rewards = [[reward(value) for value in group] for group in values]
    kept, filtered = credit(rewards), credit(rewards, "acc")
    assert kept.advantages_PG.tolist() == filtered.advantages_PG.tolist()
    assert filtered.dropped_P.tolist() == [len(set(group)) == 1 for group in values]


@given(st.lists(st.lists(st.integers(0, 16), min_size=4, max_size=4), min_size=1, max_size=6))
def test_p_and_2p_minus_1_are_one_reward_under_grpo_and_not_without_its_deviation(passed):
    shares = [[reward(count / 16, solved=count == 16) for count in group] for group in passed]
    signed = [[reward(2 * count / 16 - 1, solved=count == 16) for count in group] for group in passed]
    torch.testing.assert_close(credit(shares).advantages_PG, credit(signed).advantages_PG, atol=1e-5, rtol=1e-5)
    plain = [credit(each, estimate=dr_grpo, params={}).advantages_PG for each in (shares, signed)]
    torch.testing.assert_close(2 * plain[0], plain[1], atol=1e-5, rtol=1e-5)


def test_the_filter_looks_at_valid_completions_only():
    found = credit([[reward(1.0), LOST], [reward(0.5), LOST], [reward(1.0), reward(0.5)]], "acc")
    assert found.dropped_P.tolist() == [True, True, False]
