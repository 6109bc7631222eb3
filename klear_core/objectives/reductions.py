"""Reductions from a field over tokens to a scalar; every denominator is an argument, counted once a step.

Summed over the micro-batches of an optimizer step, each reduction gives the value of the whole step exactly: a mean
of micro-batch means would be another objective.  Padded positions contribute nothing, whatever they hold.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from klear_core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Denominators:
    """Counts of one optimizer step, over all its rows or over those that the caller counts."""

    tokens: int
    sequences: int
    groups: int  # groups with at least one row
    group_tokens_P: Tensor  # int64; tokens of each group, 0 for a group without rows


def step_denominators(response_lengths_N: Tensor, group_index_N: Tensor, *, num_groups: int) -> Denominators:
    """Count tokens, sequences and groups; ``group_index_N`` lies in [0, num_groups)."""
    none_P = torch.zeros(num_groups, dtype=torch.int64, device=group_index_N.device)
    group_tokens_P = none_P.index_add(0, group_index_N, response_lengths_N.long())
    return Denominators(
        tokens=int(response_lengths_N.sum()),
        sequences=len(response_lengths_N),
        groups=len(set(group_index_N.tolist())),
        group_tokens_P=group_tokens_P,
    )


class Reduction(Protocol):
    """Mean of a field over tokens; each reduction uses those of the keywords that define it."""

    __name__: str

    def __call__(
        self,
        loss_NT: Tensor,
        mask_NT: Tensor,
        *,
        denominators: Denominators,
        group_index_N: Tensor,
        max_tokens: int,
    ) -> Tensor:
        """Scalar with the gradient of ``loss_NT``."""
        ...


_TABLE: dict[str, Reduction] = {}


def reduction(function: Reduction) -> Reduction:
    """Register a reduction under its name; ValueError when the name is taken."""
    name = function.__name__
    if name in _TABLE:
        raise ValueError(f"reduction {name!r} is registered twice")
    _TABLE[name] = function
    return function


def reduction_names() -> list[str]:
    """Names of all reductions, sorted."""
    return sorted(_TABLE)


def get_reduction(name: str) -> Reduction:
    """The reduction of that name; ConfigError lists the known ones."""
    if name not in _TABLE:
        raise ConfigError(f"loss.reduction is {name!r}; allowed: {', '.join(reduction_names())}")
    return _TABLE[name]


@reduction
def token_mean(
    loss_NT: Tensor, mask_NT: Tensor, *, denominators: Denominators, group_index_N: Tensor, max_tokens: int
) -> Tensor:
    """Sum over response tokens / tokens of the step (DAPO, arXiv 2503.14476 Eq. 8)."""
    return _masked(loss_NT, mask_NT).sum() / max(1, denominators.tokens)


@reduction
def group_token_mean(
    loss_NT: Tensor, mask_NT: Tensor, *, denominators: Denominators, group_index_N: Tensor, max_tokens: int
) -> Tensor:
    """Mean over groups of (sum over a group's tokens / its tokens): Klear Eq. 7, 11 and 13.

    A group without tokens contributes 0 and counts as a group.
    """
    tokens_N = denominators.group_tokens_P[group_index_N].clamp(min=1)
    return (_masked(loss_NT, mask_NT).sum(1) / tokens_N).sum() / max(1, denominators.groups)


@reduction
def sequence_mean(
    loss_NT: Tensor, mask_NT: Tensor, *, denominators: Denominators, group_index_N: Tensor, max_tokens: int
) -> Tensor:
    """Mean over sequences of the mean over each sequence's tokens (GRPO, arXiv 2402.03300 Eq. 3).

    A sequence without tokens contributes 0 and counts as a sequence.
    """
    lengths_N = mask_NT.sum(1).clamp(min=1)
    return (_masked(loss_NT, mask_NT).sum(1) / lengths_N).sum() / max(1, denominators.sequences)


@reduction
def fixed_length(
    loss_NT: Tensor, mask_NT: Tensor, *, denominators: Denominators, group_index_N: Tensor, max_tokens: int
) -> Tensor:
    """Sum over response tokens / (sequences x max_tokens): no weight depends on a length (arXiv 2503.20783)."""
    return _masked(loss_NT, mask_NT).sum() / (max(1, denominators.sequences) * max_tokens)


def _masked(loss_NT: Tensor, mask_NT: Tensor) -> Tensor:
    # A product with the mask would keep the NaN that padding may hold.
    return loss_NT.masked_fill(~mask_NT, 0.0)
