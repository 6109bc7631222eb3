"""From rewards to advantages: which completions count, which groups are filtered out, and what the others earn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from klear_core.records import Reward, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What a step's completions earned; P problems, G completions each."""

    advantages_PG: Tensor  # 0 where the completion does not count
    counted_PG: Tensor  # bool: in the loss and its denominators
    dropped_P: Tensor  # bool: groups that the filter left out


def assign_credit(
    rewards: Sequence[Sequence[Reward]],
    estimate: Callable[..., Tensor],
    params: Mapping[str, Any],
    *,
    group_filter: str,
) -> Credit:
    """Advantages of all groups. A completion whose grading failed leaves its group's statistics and the loss.

    ``group_filter`` "acc" keeps the groups in which some completions are CORRECT and others are not, as the released
    code does (arXiv 2508.07629): under a soft reward it also throws away groups that only have partly right ones.
    """
    valid_PG = torch.tensor([[reward.is_valid for reward in group] for group in rewards])
    # An invalid completion's NaN must not reach any arithmetic.
    rewards_PG = torch.tensor([[reward.value if reward.is_valid else 0.0 for reward in group] for group in rewards])
    advantages_PG = estimate(rewards_PG, valid_PG, **params)
    dropped_P = torch.zeros(len(rewards), dtype=torch.bool)
    if group_filter == "acc":
        solved_PG = torch.tensor([[reward.verdict is Verdict.CORRECT for reward in group] for group in rewards])
        some_P = (solved_PG & valid_PG).any(1)
        all_P = (solved_PG | ~valid_PG).all(1)
        dropped_P = ~some_P | all_P
    counted_PG = valid_PG & ~dropped_P[:, None]
    return Credit(advantages_PG=advantages_PG.masked_fill(~counted_PG, 0.0), counted_PG=counted_PG, dropped_P=dropped_P)
