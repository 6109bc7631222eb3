"""Advantage estimators against the statistics module, and what they are invariant to."""

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from klear_core.advantages import advantage, advantage_names, check_params, get_advantage
from klear_core.errors import ConfigError

CASES = [("grpo", {"ddof": 0}), ("grpo", {"ddof": 1}), ("dr_grpo", {}), ("rloo", {})]
all_cases = pytest.mark.parametrize(("name", "params"), CASES)


def estimate(name, params, rewards, valid=None):
    rewards = torch.as_tensor(rewards, dtype=torch.float64)
    valid = torch.ones_like(rewards, dtype=torch.bool) if valid is None else torch.as_tensor(valid)
    return get_advantage(name)(rewards, valid, **params)


def reference(name, params, group):
    """One group of valid rewards in plain floats."""
    if len(group) < 2 or len(set(group)) == 1:
        return [0.0] * len(group)
    mean = statistics.fmean(group)
    if name == "dr_grpo":
        return [value - mean for value in group]
    if name == "rloo":
        return [value - (sum(group) - value) / (len(group) - 1) for value in group]
    deviation = statistics.stdev(group) if params["ddof"] else statistics.pstdev(group)
    return [(value - mean) / deviation for value in group]


def test_every_estimator_has_a_reference_here():
    assert {name for name, _ in CASES} == set(advantage_names())


@all_cases
@given(
    groups=st.lists(
        st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0]), st.booleans()), min_size=5, max_size=5),
        min_size=1,
        max_size=6,
    )
)
def test_estimates_match_the_reference_under_any_mask(name, params, groups):
    rewards = [[value for value, _ in group] for group in groups]
    valid = [[keep for _, keep in group] for group in groups]
    found = estimate(name, params, rewards, valid)
    for row, group in zip(found.tolist(), groups, strict=True):
        expected = iter(reference(name, params, [value for value, keep in group if keep]))
        for value, (_, keep) in zip(row, group, strict=True):
            assert math.isclose(value, next(expected) if keep else 0.0, rel_tol=1e-9, abs_tol=1e-12)


@all_cases
@pytest.mark.parametrize("value", [0.1, 0.7, 1.0, -0.3, 1e8])
def test_groups_without_variance_get_exact_zeros(name, params, value):
    assert (estimate(name, params, [[value] * 7]) == 0).all()


@all_cases
def test_single_members_and_empty_groups_get_zero(name, params):
    valid = [[True, False, False], [False, False, False]]
    assert (estimate(name, params, [[1.0, 0.0, 0.5], [1.0, 0.0, 0.5]], valid) == 0).all()
    assert (estimate(name, params, [[1.0], [0.0]]) == 0).all()


@all_cases
def test_invalid_rewards_enter_no_statistic_even_when_they_are_not_numbers(name, params):
    clean = estimate(name, params, [[1.0, 0.0, 0.5]])
    found = estimate(name, params, [[1.0, 0.0, 0.5, math.nan, math.inf]], [[True, True, True, False, False]])
    torch.testing.assert_close(found[:, :3], clean)
    assert (found[:, 3:] == 0).all()


@all_cases
def test_a_shift_of_all_rewards_changes_nothing(name, params):
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.5], [0.25, 1.0, 1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(estimate(name, params, rewards + 3.0), estimate(name, params, rewards))


@pytest.mark.parametrize("ddof", [0, 1])
def test_grpo_ignores_the_scale_of_rewards(ddof):
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(estimate("grpo", {"ddof": ddof}, rewards * 7), estimate("grpo", {"ddof": ddof}, rewards))


def test_ddof_changes_advantages_of_eight_by_the_known_factor():
    rewards = [[1.0, 0, 0, 0, 1, 0, 0, 0]]
    ratio = estimate("grpo", {"ddof": 1}, rewards) / estimate("grpo", {"ddof": 0}, rewards)
    torch.testing.assert_close(ratio, torch.full_like(ratio, (7 / 8) ** 0.5))


@all_cases
def test_advantages_of_a_group_sum_to_zero_and_follow_a_permutation(name, params):
    rewards = torch.rand(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = estimate(name, params, rewards)
    torch.testing.assert_close(found.sum(1), torch.zeros(5, dtype=torch.float64), atol=1e-12, rtol=0)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(estimate(name, params, rewards[:, order]), found[:, order])


def test_the_type_of_the_rewards_is_kept():
    rewards = torch.tensor([[1.0, 0.0]])
    assert get_advantage("grpo")(rewards, rewards >= 0, ddof=0).dtype == torch.float32


@all_cases
def test_a_valid_reward_that_is_no_number_shows_instead_of_becoming_zero(name, params):
    found = estimate(name, params, [[1.0, math.nan, 0.0], [1.0, 0.5, 0.0]])
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


@all_cases
def test_whole_number_rewards_are_refused_rather_than_cut(name, params):
    with pytest.raises(ValueError, match="whole numbers"):
        get_advantage(name)(torch.tensor([[1, 0]]), torch.ones(1, 2, dtype=torch.bool), **params)


def test_wrong_shapes_names_and_settings_are_refused():
    with pytest.raises(ValueError, match="must share"):
        get_advantage("rloo")(torch.zeros(2, 3), torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ConfigError, match="allowed: dr_grpo, grpo, rloo"):
        get_advantage("gae")
    with pytest.raises(ConfigError, match="ddof is 2; allowed: 0 or 1"):
        check_params("grpo", {"ddof": 2})
    for value in (True, 1.0, "1", None):
        with pytest.raises(ConfigError, match="a number of type int"):
            check_params("grpo", {"ddof": value})
    with pytest.raises(ConfigError, match="ddof is missing"):
        check_params("grpo", {})
    with pytest.raises(ValueError, match="twice"):
        advantage(get_advantage("rloo"))
