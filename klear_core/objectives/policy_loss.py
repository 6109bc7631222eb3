"""Surrogate and reduction to one loss: the only place where they meet."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from klear_core.batch import LossOutput
from klear_core.objectives.reductions import Denominators, get_reduction
from klear_core.objectives.surrogates import SurrogateFn


def policy_loss(
    logprobs_NT: Tensor,
    old_logprobs_NT: Tensor,
    advantages_N: Tensor,
    mask_NT: Tensor,
    *,
    surrogate: SurrogateFn,
    params: Mapping[str, Any],
    reduction: str,
    denominators: Denominators,
    group_index_N: Tensor,
    max_tokens: int,
) -> LossOutput:
    """The loss of a micro-batch under the denominators of its optimizer step.

    Log-probabilities are in nats, ``mask_NT`` is True at response tokens, ``max_tokens`` is the token cap that
    ``fixed_length`` divides by.  What padded positions hold, NaN included, reaches neither value nor gradient.
    """
    padding_NT = ~mask_NT
    loss_NT = surrogate(
        logprobs_NT.masked_fill(padding_NT, 0.0),
        old_logprobs_NT.masked_fill(padding_NT, 0.0),
        advantages_N[:, None].expand(mask_NT.shape),
        **params,
    )
    total = get_reduction(reduction)(
        loss_NT, mask_NT, denominators=denominators, group_index_N=group_index_N, max_tokens=max_tokens
    )
    return LossOutput(total=total, parts={"policy": total.detach()})
