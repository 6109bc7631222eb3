"""One optimizer step on one mini-batch under the surrogate objective."""

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from klear_core.batch import TokenScores, TrainBatch
from klear_core.config import RunConfig
from klear_core.objectives.diagnostics import update_record
from klear_core.objectives.policy_loss import policy_loss
from klear_core.objectives.surrogates import SurrogateFn
from klear_core.trainer.metrics import Minibatch, Update, first_nonfinite
from klear_core.trainer.optim import Optimizer


def update_policy(
    minibatch: Minibatch,
    config: RunConfig,
    surrogate: SurrogateFn,
    optimizer: Optimizer,
    forward: Callable[..., TokenScores],
) -> Update:
    """A mini-batch without rows left still steps, moved by AdamW's momentum; one that is not finite is left out.

    The gradients of its micro-batches add up.  A mini-batch that nobody has scored yet is the first of its step: its
    old log-probabilities are those of its own forward passes, so its ratios are exactly 1.
    """
    optimizer.zero_grad()
    if not len(minibatch.batch.advantages_N):
        info = optimizer.step(optimizer.clip())
        nothing_K = minibatch.batch.old_logprobs_NT.new_empty(0)
        return Update(info=info, loss=0.0, record=None, sampler_gaps_K=nothing_K, nonfinite="")
    seen = [_accumulate(minibatch, rows_N, config, surrogate, forward) for rows_N in minibatch.micro_batches]
    part = TrainBatch.concatenate([one.part for one in seen])
    record = update_record(
        torch.cat([one.logprobs_NT for one in seen]),
        part.old_logprobs_NT,
        part.advantages_N,
        part.response_mask_NT,
        torch.cat([one.entropy_NT for one in seen]),
        surrogate=surrogate,
        params=config.objective.params,
    )
    loss, norm = float(torch.stack([one.loss for one in seen]).sum()), optimizer.clip()
    nonfinite = first_nonfinite(loss=loss, ratio=record.ratios_K, grad_norm=norm, advantage=part.advantages_N)
    return Update(
        info=optimizer.step(norm, skip=bool(nonfinite)),
        loss=loss,
        record=record,
        sampler_gaps_K=(part.old_logprobs_NT - part.sampler_logprobs_NT)[part.response_mask_NT],
        nonfinite=nonfinite,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one micro-batch was and gave; nothing carries a gradient."""

    part: TrainBatch
    logprobs_NT: Tensor
    entropy_NT: Tensor  # of the sampling policy
    loss: Tensor  # scalar: its summand of the mini-batch's loss


def _accumulate(
    minibatch: Minibatch,
    rows_N: Tensor,
    config: RunConfig,
    surrogate: SurrogateFn,
    forward: Callable[..., TokenScores],
) -> _Seen:
    """Forward and backward of one micro-batch, under the denominators of the whole step."""
    part = minibatch.batch.rows(rows_N)
    entropy_NT = None if minibatch.entropy_NT is None else minibatch.entropy_NT[rows_N]
    scores = forward(part, entropy=entropy_NT is None)
    logprobs_NT = scores.logprobs_NT
    if entropy_NT is None:
        part = dataclasses.replace(part, old_logprobs_NT=logprobs_NT.detach())
        entropy_NT = scores.entropy_NT
        assert entropy_NT is not None
    output = policy_loss(
        logprobs_NT,
        part.old_logprobs_NT,
        part.advantages_N,
        part.response_mask_NT,
        surrogate=surrogate,
        params=config.objective.params,
        reduction=config.loss.reduction,
        denominators=minibatch.denominators,
        group_index_N=part.group_index_N,
        max_tokens=config.rl.max_response_tokens,
    )
    torch.autograd.backward(output.total)
    return _Seen(part=part, logprobs_NT=logprobs_NT.detach(), entropy_NT=entropy_NT, loss=output.total.detach())
