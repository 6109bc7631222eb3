"""Advantage estimators: rewards of P problems x G completions to advantages of the same shape.

Completions that are not valid (a grader failed, say) get 0 and enter no statistic.  A group with one valid member, or
whose rewards are all equal, gets exact zeros: it holds no information.  A valid reward that is NaN makes its whole
group NaN, so that a broken grader shows.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from klear_core.errors import ConfigError
from klear_core.params import Limit, check_against_signature

Estimator = Callable[..., Tensor]

_TABLE: dict[str, Estimator] = {}
_LIMITS: dict[str, Limit] = {"ddof": (lambda v: v in (0, 1), "0 or 1")}


def advantage(function: Estimator) -> Estimator:
    """Register an estimator under its name; ValueError when the name is taken."""
    name = function.__name__
    if name in _TABLE:
        raise ValueError(f"advantage {name!r} is registered twice")
    _TABLE[name] = function
    return function


def advantage_names() -> list[str]:
    """Names of all estimators, sorted."""
    return sorted(_TABLE)


def get_advantage(name: str) -> Estimator:
    """The estimator of that name; ConfigError lists the known ones."""
    if name not in _TABLE:
        raise ConfigError(f"advantage.name is {name!r}; allowed: {', '.join(advantage_names())}")
    return _TABLE[name]


def check_params(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Check an estimator's settings against its signature and limits; ConfigError names the first that fails."""
    return check_against_signature(get_advantage(name), params, where="advantage.params", limits=_LIMITS)


@advantage
def grpo(rewards_PG: Tensor, valid_PG: Tensor, *, ddof: int) -> Tensor:
    """(R - mean) / std within the group (arXiv 2402.03300; Klear Eq. 4 with ddof 0, its release with ddof 1)."""
    centred_PG, count_P1, informative_PG = _centre(rewards_PG, valid_PG)
    variance_P1 = (centred_PG**2).sum(1, keepdim=True) / (count_P1 - ddof).clamp(min=1)
    scaled_PG = centred_PG / variance_P1.sqrt().masked_fill(variance_P1 == 0, 1.0)
    return scaled_PG.masked_fill(~informative_PG, 0.0).to(rewards_PG.dtype)


@advantage
def dr_grpo(rewards_PG: Tensor, valid_PG: Tensor) -> Tensor:
    """R - mean within the group, not divided by the deviation (arXiv 2503.20783)."""
    centred_PG, _, informative_PG = _centre(rewards_PG, valid_PG)
    return centred_PG.masked_fill(~informative_PG, 0.0).to(rewards_PG.dtype)


@advantage
def rloo(rewards_PG: Tensor, valid_PG: Tensor) -> Tensor:
    """R - mean of the other members of the group (arXiv 2402.14740), which is (R - mean) n / (n - 1)."""
    centred_PG, count_P1, informative_PG = _centre(rewards_PG, valid_PG)
    scaled_PG = centred_PG * count_P1 / (count_P1 - 1).clamp(min=1)
    return scaled_PG.masked_fill(~informative_PG, 0.0).to(rewards_PG.dtype)


def _centre(rewards_PG: Tensor, valid_PG: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rewards minus their group's mean, valid members a group, and which entries carry information."""
    if rewards_PG.shape != valid_PG.shape or rewards_PG.dim() != 2:
        raise ValueError(f"rewards {tuple(rewards_PG.shape)} and mask {tuple(valid_PG.shape)} must share a [P, G]")
    if not rewards_PG.is_floating_point():
        raise ValueError(f"rewards are {rewards_PG.dtype}, in which advantages would be cut to whole numbers")
    values_PG = rewards_PG.double().masked_fill(~valid_PG, 0.0)
    count_P1 = valid_PG.sum(1, keepdim=True)
    mean_P1 = values_PG.sum(1, keepdim=True) / count_P1.clamp(min=1)
    # Equality is tested on the rewards themselves: the rounded mean of equal rewards may differ from each of them.
    highest_P1 = rewards_PG.double().masked_fill(~valid_PG, -torch.inf).amax(1, keepdim=True)
    lowest_P1 = rewards_PG.double().masked_fill(~valid_PG, torch.inf).amin(1, keepdim=True)
    # Written as a negation because every comparison with NaN is false: NaN must come out as NaN, not as 0.
    informative_PG = valid_PG & ~(highest_P1 <= lowest_P1)
    return (values_PG - mean_P1).masked_fill(~valid_PG, 0.0), count_P1, informative_PG
