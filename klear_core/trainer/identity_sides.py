"""The two sides of every identity: what the trainer and its surrogates compute, and what the reference says."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from klear_core.config import ObjectiveConfig, RunConfig
from klear_core.objectives.diagnostics import token_gradient
from klear_core.objectives.reductions import get_reduction
from klear_core.objectives.surrogates import get_surrogate
from klear_core.trainer.identity_batch import IdentityBatch
from klear_core.trainer.identity_reference import REFERENCES, Floats
from klear_core.trainer.metrics import Minibatch
from klear_core.trainer.micro_batches import score_parts
from klear_core.trainer.rl import RLTrainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What a step needs: the two models of the batch, the settings, and how a trainer of a model is made."""

    old: Any
    new: Any
    config: RunConfig
    make_trainer: Callable[[RunConfig, Any], RLTrainer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Gradients, scaled down to the allowed norm, and weights after one optimizer step, by parameter."""

    gradients: dict[str, Tensor]
    weights: dict[str, Tensor]
    ratios_K: Tensor | None  # None on the side of the reference


def gradients(preset: ObjectiveConfig, tokens: Sequence[Tensor], dtype: torch.dtype) -> Floats:
    """dL/d(log pi) by autograd of the surrogate in ``dtype``; ``tokens`` as of ``IdentityBatch.tokens``."""
    new_K, old_K, advantages_K = (field.to(dtype) for field in tokens)
    gradient_K = token_gradient(get_surrogate(preset.surrogate), preset.params, new_K, old_K, advantages_K)
    return gradient_K.double().numpy()


def reference(preset: ObjectiveConfig, tokens: Sequence[Tensor], dtype: torch.dtype) -> tuple[Floats, Floats, Floats]:
    """-F A, ratios and advantages in float64. The log-ratio alone is rounded as in ``dtype``: that loss of digits is
    the subtraction's and not the surrogate's.
    """
    new_K, old_K, advantages_K = (field.to(dtype) for field in tokens)
    ratios_K = np.exp((new_K - old_K).double().numpy())
    signed_K = advantages_K.double().numpy()
    weights_K = REFERENCES[preset.surrogate](ratios_K, signed_K, **preset.params)
    return -weights_K * signed_K, ratios_K, signed_K


def trainer_step(
    side: IdentityBatch, policies: Policies, preset: ObjectiveConfig, model: Any, dtype: torch.dtype, *, on_policy: bool
) -> Step:
    """One update of the trainer on all rows, from a copy of ``model``; on-policy it scores them itself."""
    trainer, own, minibatch = _prepare(side, policies, preset, model, dtype)
    if not on_policy:
        # Entropies only go into the log; that there are some says that the batch is scored.
        minibatch = dataclasses.replace(minibatch, entropy_NT=torch.zeros_like(minibatch.batch.old_logprobs_NT))
    update = trainer.update(minibatch)
    return _after(own, None if update.record is None else update.record.ratios_K)


def reference_step(
    side: IdentityBatch, policies: Policies, preset: ObjectiveConfig, model: Any, dtype: torch.dtype, *, on_policy: bool
) -> Step:
    """The same with loss = sum(sg(F A) (-log pi)) under the same denominators, F A from the reference."""
    trainer, own, minibatch = _prepare(side, policies, preset, model, dtype)
    part, mask_NT = minibatch.batch, minibatch.batch.response_mask_NT
    trainer.optimizer.zero_grad()
    # In the trainer's micro-batches, as rows that go through the model in other company are rounded otherwise.
    logprobs_NT = score_parts(part, minibatch.micro_batches, trainer.forward, entropy=False).logprobs_NT
    old_NT = logprobs_NT.detach() if on_policy else part.old_logprobs_NT
    advantages_NT = part.advantages_N[:, None].expand(mask_NT.shape)
    tokens = [field[mask_NT] for field in (logprobs_NT.detach(), old_NT, advantages_NT)]
    weights_NT = torch.zeros_like(old_NT)
    weights_NT[mask_NT] = torch.from_numpy(reference(preset, tokens, dtype)[0]).to(dtype)
    total = get_reduction(policies.config.loss.reduction)(
        weights_NT * logprobs_NT,
        mask_NT,
        denominators=minibatch.denominators,
        group_index_N=part.group_index_N,
        max_tokens=policies.config.rl.max_response_tokens,
    )
    torch.autograd.backward(total)
    trainer.optimizer.step(trainer.optimizer.clip())
    return _after(own, None)


def _prepare(
    side: IdentityBatch, policies: Policies, preset: ObjectiveConfig, model: Any, dtype: torch.dtype
) -> tuple[RLTrainer, Any, Minibatch]:
    own = copy.deepcopy(model).to(dtype)
    if dtype == torch.float64:
        _keep_double(own)
    own.train()
    trainer = policies.make_trainer(dataclasses.replace(policies.config, objective=preset), own)
    names = ("old_logprobs_NT", "sampler_logprobs_NT", "advantages_N")
    batch = dataclasses.replace(side.batch, **{name: getattr(side.batch, name).to(dtype) for name in names})
    return trainer, own, trainer.select(batch, torch.arange(len(batch.advantages_N)))


def _keep_double(model: Any) -> None:
    """Replace the norms of transformers, which compute in float32 whatever the model's dtype is."""
    for parent in list(model.modules()):
        for name, norm in list(parent.named_children()):
            if type(norm).__name__.endswith("RMSNorm"):
                exact = torch.nn.RMSNorm(norm.weight.shape, eps=norm.variance_epsilon, dtype=torch.float64)
                exact.weight = norm.weight
                setattr(parent, name, exact)


def _after(model: Any, ratios_K: Tensor | None) -> Step:
    named = dict(model.named_parameters())
    return Step(
        gradients={name: value.grad.clone() for name, value in named.items()},
        weights={name: value.detach().clone() for name, value in named.items()},
        ratios_K=ratios_K,
    )
