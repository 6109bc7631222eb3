r"""Per-token policy losses, each defined by its gradient weight F:  dL/d(log pi) = -F(r, A) A,  r = pi / pi_old.

All are pure functions ``(logprobs_NT, old_logprobs_NT, advantages_NT, *, ...) -> loss_NT``: no mask, no mean, no
config.  Log-probabilities are in nats and of one shape with the advantages (ValueError otherwise); half precision is
computed in float32, float64 stays.  Ratios are never clamped: where a weight overflows, infinity is the answer, and
the trainer reports divergence.  At the bounds themselves a ratio counts as inside.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from klear_core.errors import ConfigError
from klear_core.params import Limit, check_against_signature


class SurrogateFn(Protocol):
    """A per-token policy loss; its keyword-only parameters are the schema of an objective's ``params``."""

    def __call__(self, logprobs_NT: Tensor, old_logprobs_NT: Tensor, advantages_NT: Tensor, **params: Any) -> Tensor:
        """Loss per token."""
        ...


_TABLE: dict[str, Callable[..., Tensor]] = {}

_LIMITS: dict[str, Limit] = {
    "clip_low": (lambda v: 0 <= v < 1, "0 <= clip_low < 1"),
    "clip_high": (lambda v: 0 <= v < math.inf, "finite and >= 0"),
    "dual_clip": (lambda v: 1 < v < math.inf, "null (off) or finite and > 1"),
    "beta_low": (lambda v: 0 <= v < math.inf, "finite and >= 0"),
    "beta_high": (lambda v: 0 <= v < math.inf, "finite and >= 0"),
    "weight_low": (lambda v: 0 <= v < math.inf, "finite and >= 0"),
    "weight_high": (lambda v: v >= 0, "at least weight_low; infinity means no bound"),
}


def surrogate(name: str) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Register a surrogate under ``name``; ValueError when the name is taken."""

    def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        if name in _TABLE:
            raise ValueError(f"surrogate {name!r} is registered twice")
        _TABLE[name] = function
        return function

    return register


def surrogate_names() -> list[str]:
    """Names of all surrogates, sorted."""
    return sorted(_TABLE)


def get_surrogate(name: str) -> SurrogateFn:
    """The surrogate of that name; ConfigError lists the known ones."""
    if name not in _TABLE:
        raise ConfigError(f"objective.surrogate is {name!r}; allowed: {', '.join(surrogate_names())}")
    return _TABLE[name]


def check_params(name: str, params: Mapping[str, object]) -> dict[str, float | None]:
    """Check the settings of a surrogate against its signature and limits; ConfigError names the first that fails."""
    checked = check_against_signature(get_surrogate(name), params, where="objective.params", limits=_LIMITS)
    low, high = checked.get("weight_low"), checked.get("weight_high")
    if low is not None and high is not None and high < low:
        raise ConfigError(f"objective.params.weight_high is {high}; allowed: at least weight_low = {low}")
    return checked


@surrogate("reinforce")
def reinforce(logprobs_NT: Tensor, old_logprobs_NT: Tensor, advantages_NT: Tensor) -> Tensor:
    """Importance-weighted REINFORCE.

    F = r   otherwise

    Loss: -r * A
    Source: Williams 1992, doi:10.1007/BF00992696, with importance weights
    """
    logprobs_NT, old_logprobs_NT, advantages_NT = _promote(logprobs_NT, old_logprobs_NT, advantages_NT)
    return _weighted(_ratio(logprobs_NT, old_logprobs_NT, advantages_NT), advantages_NT)


@surrogate("ppo_clip")
def ppo_clip(
    logprobs_NT: Tensor,
    old_logprobs_NT: Tensor,
    advantages_NT: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None,
) -> Tensor:
    """PPO-clip; with ``dual_clip`` also bad answers' tokens stop where the ratio is large, at the loss -dual_clip * A.

    F = 0   if A > 0 and r > 1 + clip_high
        0   if A < 0 and r < 1 - clip_low
        0   if A < 0 and r > dual_clip
        r   otherwise

    Loss: -min(r * A, clip(r, 1 - clip_low, 1 + clip_high) * A)
    Source: arXiv 1707.06347 Eq. 7; Klear Eq. 10; dual clip arXiv 1912.09729
    """
    return _clipped(logprobs_NT, old_logprobs_NT, advantages_NT, clip_low, clip_high, dual_clip, keep_gradient=False)


@surrogate("gppo")
def gppo(
    logprobs_NT: Tensor,
    old_logprobs_NT: Tensor,
    advantages_NT: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    beta_low: float,
    beta_high: float,
    dual_clip: float | None,
) -> Tensor:
    """GPPO, general form: clipped tokens keep a bounded gradient; ``dual_clip`` as in ``ppo_clip``.

    F = beta_high * (1 + clip_high)   if A > 0 and r > 1 + clip_high
        beta_low * (1 - clip_low)     if A < 0 and r < 1 - clip_low
        0                             if A < 0 and r > dual_clip
        r                             otherwise

    Loss: PPO-clip's value, times beta_high or beta_low in the two clipped corners
    Source: arXiv 2508.07629 Eq. 11-12 and 17-18; CE-GPPO arXiv 2509.20712
    """
    return _clipped(
        logprobs_NT,
        old_logprobs_NT,
        advantages_NT,
        clip_low,
        clip_high,
        dual_clip,
        keep_gradient=True,
        beta_low=beta_low,
        beta_high=beta_high,
    )


@surrogate("cispo")
def cispo(
    logprobs_NT: Tensor, old_logprobs_NT: Tensor, advantages_NT: Tensor, *, weight_low: float, weight_high: float
) -> Tensor:
    """CISPO: the weight itself is clipped, to absolute bounds rather than distances from 1.

    F = weight_low    if r < weight_low
        weight_high   if r > weight_high
        r             otherwise

    Loss: -sg(clip(r, weight_low, weight_high)) * A * log pi
    Source: arXiv 2506.13585; Klear Eq. 16
    """
    logprobs_NT, old_logprobs_NT, advantages_NT = _promote(logprobs_NT, old_logprobs_NT, advantages_NT)
    weights_NT = (logprobs_NT.detach() - old_logprobs_NT).exp().clamp(weight_low, weight_high)
    weights_NT = weights_NT.masked_fill(advantages_NT == 0, 0.0)
    # With weight_high = inf a weight may overflow.  Two finite factors carry it, so that log pi = 0 gives the value 0
    # with an infinite gradient, where one infinite factor would give 0 x inf = NaN.
    largest = torch.finfo(weights_NT.dtype).max
    excess_NT = torch.ones_like(weights_NT).masked_fill(weights_NT.isinf(), largest)
    return -advantages_NT * (logprobs_NT * weights_NT.clamp(max=largest) * excess_NT)


def _clipped(
    logprobs_NT: Tensor,
    old_logprobs_NT: Tensor,
    advantages_NT: Tensor,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None,
    *,
    keep_gradient: bool,
    beta_low: float = 1.0,
    beta_high: float = 1.0,
) -> Tensor:
    """PPO-clip and GPPO: -A times r inside, and times a bound in the two corners where clipping acts."""
    logprobs_NT, old_logprobs_NT, advantages_NT = _promote(logprobs_NT, old_logprobs_NT, advantages_NT)
    with torch.no_grad():
        detached_NT = (logprobs_NT - old_logprobs_NT).exp()
        above_NT = (advantages_NT > 0) & (detached_NT > 1 + clip_high)
        below_NT = (advantages_NT < 0) & (detached_NT < 1 - clip_low)
        dual_NT = torch.zeros_like(above_NT)
        if dual_clip is not None:
            dual_NT = (advantages_NT < 0) & (detached_NT > dual_clip)
        bounds_NT = torch.zeros_like(advantages_NT)
        bounds_NT = bounds_NT.masked_fill(above_NT, beta_high * (1 + clip_high))
        bounds_NT = bounds_NT.masked_fill(below_NT, beta_low * (1 - clip_low))
        clipped_NT = above_NT | below_NT
    # exp(x - sg(x)) is 1 with gradient 1: the bound keeps a gradient without dividing by a ratio that may overflow.
    carrier_NT = (logprobs_NT - logprobs_NT.detach()).exp() if keep_gradient else torch.ones_like(logprobs_NT)
    weights_NT = torch.where(
        clipped_NT, bounds_NT * carrier_NT, _ratio(logprobs_NT, old_logprobs_NT, advantages_NT, clipped_NT | dual_NT)
    )
    if dual_clip is not None:
        weights_NT = weights_NT.masked_fill(dual_NT, dual_clip)
    return _weighted(weights_NT, advantages_NT)


def _ratio(
    logprobs_NT: Tensor, old_logprobs_NT: Tensor, advantages_NT: Tensor, unused_NT: Tensor | None = None
) -> Tensor:
    """pi / pi_old, and 1 without gradient where it is not used: an infinity there would turn 0 x inf into NaN."""
    unused_NT = advantages_NT == 0 if unused_NT is None else unused_NT | (advantages_NT == 0)
    return (logprobs_NT - old_logprobs_NT).masked_fill(unused_NT, 0.0).exp()


def _weighted(weights_NT: Tensor, advantages_NT: Tensor) -> Tensor:
    return -weights_NT * advantages_NT


def _promote(*tensors: Tensor) -> tuple[Tensor, ...]:
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) != 1:
        raise ValueError(f"logprobs, old_logprobs and advantages differ in shape: {sorted(shapes)}")
    dtype = torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
    return tuple(tensor.to(dtype) for tensor in tensors)
