"""One optimizer step on one mini-batch under the surrogate objective."""

import dataclasses
import math
from collections.abc import Callable

import torch

from klear_core.batch import TokenScores
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

    A mini-batch that nobody has scored yet is the first of its step: its old log-probabilities are those of its own
    forward pass, so its ratios are exactly 1.
    """
    part = minibatch.batch
    optimizer.zero_grad()
    if not len(part.advantages_N):
        info = optimizer.step(optimizer.clip())
        return Update(info=info, loss=0.0, record=None, sampler_gap=math.nan, nonfinite="")
    entropy_NT = minibatch.entropy_NT
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
    record = update_record(
        logprobs_NT.detach(),
        part.old_logprobs_NT,
        part.advantages_N,
        part.response_mask_NT,
        entropy_NT,
        surrogate=surrogate,
        params=config.objective.params,
    )
    gap_NT = (part.old_logprobs_NT - part.sampler_logprobs_NT).abs()
    loss, norm = float(output.total.detach()), optimizer.clip()
    nonfinite = first_nonfinite(loss=loss, ratio=record.ratios_K, grad_norm=norm, advantage=part.advantages_N)
    return Update(
        info=optimizer.step(norm, skip=bool(nonfinite)),
        loss=loss,
        record=record,
        sampler_gap=float(gap_NT[part.response_mask_NT].max()),
        nonfinite=nonfinite,
    )
