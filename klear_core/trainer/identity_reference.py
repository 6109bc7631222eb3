"""F(r, A) of every surrogate stated once more, in NumPy from the published formulas: surrogates are held against it.

Nothing here calls the surrogates or shares code with them, so that an error has to be made twice to go unnoticed.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def reinforce(r_K: Floats, a_K: Floats) -> Floats:
    """F = r."""
    return r_K


def ppo_clip(r_K: Floats, a_K: Floats, *, clip_low: float, clip_high: float, dual_clip: float | None) -> Floats:
    """The gradient of -min(r A, clip(r) A) (arXiv 1707.06347 Eq. 7), of max(that, c A) below A = 0 (1912.09729)."""
    clipped_K = ((a_K > 0) & (r_K > 1 + clip_high)) | ((a_K < 0) & (r_K < 1 - clip_low))
    return _dual_clipped(np.where(clipped_K, 0.0, r_K), r_K, a_K, dual_clip)


def gppo(
    r_K: Floats,
    a_K: Floats,
    *,
    clip_low: float,
    clip_high: float,
    beta_low: float,
    beta_high: float,
    dual_clip: float | None,
) -> Floats:
    """The weights of arXiv 2508.07629 Eq. 17-18; with both betas 1 those of Eq. 11-12."""
    f_K = np.where((a_K > 0) & (r_K > 1 + clip_high), beta_high * (1 + clip_high), r_K)
    f_K = np.where((a_K < 0) & (r_K < 1 - clip_low), beta_low * (1 - clip_low), f_K)
    return _dual_clipped(f_K, r_K, a_K, dual_clip)


def cispo(r_K: Floats, a_K: Floats, *, weight_low: float, weight_high: float) -> Floats:
    """The clipped weight of arXiv 2506.13585 on both signs, with absolute bounds."""
    return np.minimum(np.maximum(r_K, weight_low), weight_high)


def _dual_clipped(f_K: Floats, r_K: Floats, a_K: Floats, dual_clip: float | None) -> Floats:
    return f_K if dual_clip is None else np.where((a_K < 0) & (r_K > dual_clip), 0.0, f_K)


# A surrogate that is registered and not stated here fails its tests.
REFERENCES: dict[str, Callable[..., Floats]] = {
    "reinforce": reinforce,
    "ppo_clip": ppo_clip,
    "gppo": gppo,
    "cispo": cispo,
}


def bounds(params: Mapping[str, Any]) -> list[tuple[int, str, float]]:
    """Where clipping or bounding begins: (sign of A, "<" or ">", ratio), for parameters that are on."""
    kinds: dict[str, tuple[tuple[int, ...], str, Callable[[float], float]]] = {
        "clip_high": ((1,), ">", lambda v: 1 + v),
        "clip_low": ((-1,), "<", lambda v: 1 - v),
        "dual_clip": ((-1,), ">", lambda v: v),
        "weight_high": ((1, -1), ">", lambda v: v),
        "weight_low": ((1, -1), "<", lambda v: v),
    }
    found = []
    for name, (signs, side, place) in kinds.items():
        value = params.get(name)
        if value is not None and 0 < place(value) < math.inf:
            found += [(sign, side, place(value)) for sign in signs]
    return found


def pieces(params: Mapping[str, Any], r_K: Floats, a_K: Floats) -> dict[str, int]:
    """Tokens beyond each of the bounds, by a readable name."""
    counts = {}
    for sign, side, bound in bounds(params):
        beyond_K = r_K > bound if side == ">" else r_K < bound
        counts[f"A{'>' if sign > 0 else '<'}0, r{side}{bound:g}"] = int((beyond_K & (sign * a_K > 0)).sum())
    return counts


def undecided(params: Mapping[str, Any], r_K: Floats, resolution: float) -> Bools:
    """Ratios so near to a bound that arithmetic of this relative resolution may place them on either side."""
    near_K = np.zeros(r_K.shape, dtype=bool)
    for _, _, bound in bounds(params):
        near_K |= np.abs(r_K - bound) <= resolution * bound
    return near_K
