"""What clipping did: corners of (sign of A, side of the band), gradient mass, effective sample size, entropy.

The band is one reference for all objectives, also for those that have none of their own, so that arms compare.
Gradient weights come from autograd of the surrogate itself: no second formula has to agree with it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from klear_core.objectives.surrogates import SurrogateFn

REFERENCE_BAND = (0.8, 1.28)  # a ratio at a bound is inside


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRecord:
    """The K response tokens with A != 0 that one update saw, before it moved the weights."""

    ratios_K: Tensor
    advantages_K: Tensor
    used_K: Tensor  # |F A|: the gradient that the loss sends to log pi
    unclipped_K: Tensor  # |r A|: what it would send without clipping
    entropies_K: Tensor  # of the sampling policy, nats


def update_record(
    logprobs_NT: Tensor,
    old_logprobs_NT: Tensor,
    advantages_N: Tensor,
    mask_NT: Tensor,
    entropy_NT: Tensor,
    *,
    surrogate: SurrogateFn,
    params: Mapping[str, Any],
) -> UpdateRecord:
    """Collect one update; ``entropy_NT`` is that of the sampling policy. Nothing returned carries a gradient."""
    chosen_NT = mask_NT & (advantages_N != 0)[:, None]
    advantages_K = advantages_N[:, None].expand(mask_NT.shape)[chosen_NT]
    # As in the surrogates: in half precision the ratio itself would be too coarse to place against the band.
    dtype = torch.promote_types(torch.promote_types(logprobs_NT.dtype, old_logprobs_NT.dtype), torch.float32)
    logprobs_K = logprobs_NT.detach()[chosen_NT].to(dtype)
    old_logprobs_K = old_logprobs_NT.detach()[chosen_NT].to(dtype)
    ratios_K = (logprobs_K - old_logprobs_K).exp()
    return UpdateRecord(
        ratios_K=ratios_K,
        advantages_K=advantages_K,
        used_K=token_gradient(surrogate, params, logprobs_K, old_logprobs_K, advantages_K).abs(),
        unclipped_K=(ratios_K * advantages_K).abs(),
        entropies_K=entropy_NT.detach()[chosen_NT],
    )


def step_diagnostics(records: Sequence[UpdateRecord]) -> dict[str, float]:
    """Diagnostics over the pooled tokens of the given updates; NaN where nothing defines a value.

    Fractions are shares of the pooled tokens.  ``ess`` is (sum r)^2 / (K sum r^2), 1 for equal policies.
    """
    names = _result_names()
    if not records or not sum(len(record.ratios_K) for record in records):
        return dict.fromkeys(names, math.nan)
    pooled = {
        field.name: torch.cat([getattr(record, field.name) for record in records]).double()
        for field in fields(UpdateRecord)
    }
    ratios_K, used_K, unclipped_K = pooled["ratios_K"], pooled["used_K"], pooled["unclipped_K"]
    low, high = REFERENCE_BAND
    above_K, below_K = ratios_K > high, ratios_K < low
    outside_K = above_K | below_K
    positive_K = pooled["advantages_K"] > 0
    values = [outside_K.double().mean()]
    for sign_K in (positive_K, ~positive_K):
        for side_K in (above_K, below_K):
            corner_K = sign_K & side_K
            values.append(corner_K.double().mean())
            values.append(used_K[corner_K].sum() / used_K.sum())
            values.append(unclipped_K[corner_K].sum() / unclipped_K.sum())
    entropies_K = pooled["entropies_K"]
    values += [entropies_K[~outside_K].mean(), entropies_K[outside_K].mean()]
    values.append(ratios_K.sum() ** 2 / (len(ratios_K) * (ratios_K**2).sum()))
    # torch.quantile refuses more than 16 million elements; sorting does not.
    sorted_K = ratios_K.sort().values
    values += [sorted_K[round(level * (len(sorted_K) - 1))] for level in (0.01, 0.5, 0.99, 1.0)]
    return dict(zip(names, torch.stack(values).tolist(), strict=True))


def gradient_weight(
    surrogate: SurrogateFn, params: Mapping[str, Any], ratios: Sequence[float], advantage: float
) -> Tensor:
    """F(r, A) of a surrogate at every ratio, float64, for an advantage that is not 0."""
    logprobs_K = torch.tensor(list(ratios), dtype=torch.float64).log()
    advantages_K = torch.full_like(logprobs_K, advantage)
    return -token_gradient(surrogate, params, logprobs_K, torch.zeros_like(logprobs_K), advantages_K) / advantages_K


def token_gradient(
    surrogate: SurrogateFn, params: Mapping[str, Any], logprobs_K: Tensor, old_logprobs_K: Tensor, advantages_K: Tensor
) -> Tensor:
    """dL/d(log pi) per token, -F A, by autograd of the surrogate itself."""
    with torch.enable_grad():
        leaf_K = logprobs_K.detach().requires_grad_()
        loss_K = surrogate(leaf_K, old_logprobs_K, advantages_K, **params)
        (gradient_K,) = torch.autograd.grad(loss_K.sum(), leaf_K)
    return gradient_K


def _result_names() -> list[str]:
    corners = [
        f"corner_{sign}_{side}_{what}"
        for sign in ("pos", "neg")
        for side in ("above", "below")
        for what in ("fraction", "mass", "mass_unclipped")
    ]
    tail = ["entropy_inside", "entropy_outside", "ess", "ratio_p01", "ratio_p50", "ratio_p99", "ratio_max"]
    return ["band_fraction", *corners, *tail]
