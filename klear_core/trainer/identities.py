"""Algebraic identities on one stored batch: what must agree to rounding, however training goes on from there.

Whole runs are never compared: one sampled token that flips on rounding parts two trajectories.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from klear_core.config import ObjectiveConfig
from klear_core.objectives.diagnostics import token_gradient
from klear_core.runs.schema import IdentityCheck
from klear_core.trainer.identity_batch import IdentityBatch
from klear_core.trainer.identity_reference import REFERENCES, Floats, pieces, undecided
from klear_core.trainer.identity_sides import Policies, Step, gradients, reference, reference_step, trainer_step

TOLERANCES = {torch.float32: 1e-6, torch.float64: 1e-12}
_ROUNDINGS = 8  # relative errors of one rounding, within which a ratio may fall on either side of a bound
_RESCORED = 1e-5  # how far, relative, another batch shape may move a ratio from the stored one
_GROUPS = 8  # problems that the checks of weights step on: those with the most tokens in the corners


def all_checks(
    stored: IdentityBatch, policies: Policies, presets: Sequence[ObjectiveConfig]
) -> Iterator[IdentityCheck]:
    """Every check of every preset in both precisions; ``stored`` is the batch as read back from its file."""
    stated = [preset for preset in presets if preset.surrogate in REFERENCES]
    part = stored.richest(_GROUPS)
    empty = [name for name, count in stored.corners().items() if not count]
    for dtype in TOLERANCES:
        off_policy = [check_tokens(stored, preset, dtype) for preset in stated]
        off_policy += check_between(stored, dtype)
        off_policy += check_steps(part, policies, stated, dtype)
        yield from (_not_exercised(row, empty) for row in off_policy)
        yield from (check_tokens_on_policy(stored, preset, dtype) for preset in presets)
        yield from check_steps_on_policy(part, policies, presets, dtype)
    yield from (_unstated(preset) for preset in presets if preset not in stated)


def check_tokens(stored: IdentityBatch, preset: ObjectiveConfig, dtype: torch.dtype) -> IdentityCheck:
    """dL/d(log pi) of every token, with each policy once as the new one, against -F A of the reference."""
    tokens = [torch.cat(both) for both in zip(stored.tokens(), stored.reversed().tokens(), strict=True)]
    found_K = gradients(preset, tokens, dtype)
    expected_K, ratios_K, advantages_K = reference(preset, tokens, dtype)
    clear_K = ~undecided(preset.params, ratios_K, _ROUNDINGS * torch.finfo(dtype).eps)
    return _row(
        name="gradient per token",
        objective=preset.name,
        compared="autograd of the surrogate | -F(r, A) A in NumPy float64 from the published formula",
        dtype=dtype,
        tokens=int(clear_K.sum()),
        counts=pieces(preset.params, ratios_K[clear_K], advantages_K[clear_K]),
        difference=_difference(found_K[clear_K], expected_K[clear_K]),
        note="every token twice, with each policy once as the new one",
    )


def check_tokens_on_policy(stored: IdentityBatch, preset: ObjectiveConfig, dtype: torch.dtype) -> IdentityCheck:
    """dL/d(log pi) of every token at r = 1 against REINFORCE's."""
    tokens = stored.on_policy().tokens()
    found_K = gradients(preset, tokens, dtype)
    return _row(
        name="gradient per token at r = 1",
        objective=preset.name,
        compared="autograd of the surrogate | -A, REINFORCE's",
        dtype=dtype,
        tokens=len(found_K),
        difference=_difference(found_K, -tokens[2].double().numpy()),
    )


def check_between(stored: IdentityBatch, dtype: torch.dtype) -> Iterator[IdentityCheck]:
    """What settings make one objective out of another, each against that other one's own formula."""
    tokens = stored.tokens()
    new_K, old_K, advantages_K = (field.to(dtype) for field in tokens)
    band: dict[str, float | None] = {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": None}
    cases: tuple[tuple[str, str, dict[str, float | None], Callable[..., Tensor]], ...] = (
        ("general GPPO with betas 0 | PPO-clip's loss", "gppo", band | {"beta_low": 0.0, "beta_high": 0.0}, _ppo),
        ("general GPPO with betas 1 | Klear Eq. 11-12", "gppo", band | {"beta_low": 1.0, "beta_high": 1.0}, _gppo),
        ("clip-higher with equal bounds | PPO-clip's loss", "ppo_clip", band | {"clip_high": 0.2}, _ppo),
    )
    for compared, surrogate, params, printed in cases:
        setting = ObjectiveConfig(name=surrogate, surrogate=surrogate, params=params, note="")
        bounds = {name: params[name] for name in ("clip_low", "clip_high")}
        expected_K = token_gradient(printed, bounds, new_K, old_K, advantages_K)
        yield _row(
            name="identity between objectives",
            objective="",
            compared=f"{compared}, by autograd",
            dtype=dtype,
            tokens=len(new_K),
            counts=_count(stored, setting),
            difference=_difference(gradients(setting, tokens, dtype), expected_K.double().numpy()),
        )


def check_steps(
    stored: IdentityBatch, policies: Policies, presets: Sequence[ObjectiveConfig], dtype: torch.dtype
) -> Iterator[IdentityCheck]:
    """One update of the trainer against one whose gradient is assembled from the reference's weights.

    Where no token reaches a piece of F, the policies are exchanged, which makes every ratio its inverse.
    """
    both = ((stored, policies.new, ""), (stored.reversed(), policies.old, "the start is the new policy"))
    for preset in presets:
        fitting = [sides for sides in both if all(_count(sides[0], preset).values())]
        side, model, note = [*fitting, *both][0]
        kept = _without_undecided(side, preset)
        yield from _step_rows(
            when="after one step",
            preset=preset,
            found=trainer_step(kept, policies, preset, model, dtype, on_policy=False),
            expected=reference_step(kept, policies, preset, model, dtype, on_policy=False),
            dtype=dtype,
            tokens=len(kept.tokens()[0]),
            counts=_count(kept, preset),
            note=note,
        )


def check_steps_on_policy(
    stored: IdentityBatch, policies: Policies, presets: Sequence[ObjectiveConfig], dtype: torch.dtype
) -> Iterator[IdentityCheck]:
    """One update a rollout: all ratios are exactly 1 and every objective makes the step of REINFORCE."""
    side, tokens = stored.on_policy(), len(stored.tokens()[0])
    plain = ObjectiveConfig(name="reinforce", surrogate="reinforce", params={}, note="")
    expected = reference_step(side, policies, plain, policies.old, dtype, on_policy=True)
    farthest = 0.0
    for preset in presets:
        found = trainer_step(side, policies, preset, policies.old, dtype, on_policy=True)
        if found.ratios_K is not None:
            farthest = max(farthest, float((found.ratios_K - 1).abs().max()))
        yield from _step_rows(
            when="after the first update, r = 1",
            preset=preset,
            found=found,
            expected=expected,
            dtype=dtype,
            tokens=tokens,
            counts={},
            note="",
        )
    yield _row(
        name="ratio at the first update",
        objective="",
        compared="largest |r - 1| in the trainer, over all objectives | 0",
        dtype=dtype,
        tokens=tokens,
        difference=farthest,
        tolerance=0.0,
    )


def _step_rows(
    *,
    when: str,
    preset: ObjectiveConfig,
    found: Step,
    expected: Step,
    dtype: torch.dtype,
    tokens: int,
    counts: Mapping[str, int],
    note: str,
) -> Iterator[IdentityCheck]:
    for name, one, other in (
        ("gradient of the weights", found.gradients, expected.gradients),
        ("weights", found.weights, expected.weights),
    ):
        # Not max() alone, which passes over a NaN that is not the first.
        apart = [_difference(one[key].double().numpy(), other[key].double().numpy()) for key in other]
        yield _row(
            name=f"{name} {when}",
            objective=preset.name,
            compared="update of the trainer | loss = sum(sg(F A) (-log pi)) / the same denominators, F A as above",
            dtype=dtype,
            tokens=tokens,
            counts=counts,
            difference=float(np.max(apart)),
            note=note,
        )


def _ppo(new_K: Tensor, old_K: Tensor, advantages_K: Tensor, *, clip_low: float, clip_high: float) -> Tensor:
    """-min(r A, clip(r) A) as printed (arXiv 1707.06347 Eq. 7)."""
    ratios_K = (new_K - old_K).exp()
    return -torch.minimum(ratios_K * advantages_K, ratios_K.clamp(1 - clip_low, 1 + clip_high) * advantages_K)


def _gppo(new_K: Tensor, old_K: Tensor, advantages_K: Tensor, *, clip_low: float, clip_high: float) -> Tensor:
    """GPPO as printed, with bound / sg(r) r (arXiv 2508.07629 Eq. 11-12)."""
    ratios_K = (new_K - old_K).exp()
    carried_K = ratios_K / ratios_K.detach()
    kept_K = torch.where((advantages_K < 0) & (ratios_K < 1 - clip_low), (1 - clip_low) * carried_K, ratios_K)
    kept_K = torch.where((advantages_K > 0) & (ratios_K > 1 + clip_high), (1 + clip_high) * carried_K, kept_K)
    return -kept_K * advantages_K


def _without_undecided(side: IdentityBatch, preset: ObjectiveConfig) -> IdentityBatch:
    """Leave out tokens that a forward pass of another batch shape could move over a bound, where F jumps."""
    batch = side.batch
    ratios_NT = (side.new_logprobs_NT.double() - batch.old_logprobs_NT.double()).exp()
    near_NT = torch.from_numpy(undecided(preset.params, ratios_NT.numpy(), _RESCORED))
    mask_NT = batch.response_mask_NT & ~near_NT
    return dataclasses.replace(side, batch=dataclasses.replace(batch, response_mask_NT=mask_NT))


def _count(side: IdentityBatch, preset: ObjectiveConfig) -> dict[str, int]:
    _, ratios_K, advantages_K = reference(preset, side.tokens(), torch.float64)
    return pieces(preset.params, ratios_K, advantages_K)


def _difference(found: Floats, expected: Floats) -> float:
    """The largest, relative where the reference passes 1 in size; NaN stays NaN."""
    return float((np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max(initial=0.0))


def _not_exercised(row: IdentityCheck, empty_corners: Sequence[str]) -> IdentityCheck:
    """A row that passed proves little where a corner of the batch is empty."""
    if not empty_corners or row.state != "passed":
        return row
    told = f"the batch has no token in the corner {', '.join(empty_corners)}"
    return dataclasses.replace(row, state="not exercised", note="; ".join(filter(None, (row.note, told))))


def _unstated(preset: ObjectiveConfig) -> IdentityCheck:
    note = f"F of the surrogate {preset.surrogate} is not stated in klear_core/trainer/identity_reference.py"
    return _row(
        name="gradient per token",
        objective=preset.name,
        compared="autograd of the surrogate | nothing",
        dtype=torch.float64,
        tokens=0,
        difference=0.0,
        note=note,
    )


def _row(
    *,
    name: str,
    objective: str,
    compared: str,
    dtype: torch.dtype,
    tokens: int,
    difference: float,
    counts: Mapping[str, int] | None = None,
    tolerance: float | None = None,
    note: str = "",
) -> IdentityCheck:
    allowed = TOLERANCES[dtype] if tolerance is None else tolerance
    empty = [piece for piece, count in (counts or {}).items() if not count]
    state = "passed" if difference <= allowed else "failed"
    if state == "passed" and (empty or not tokens):
        state = "not exercised"
        note = "; ".join(filter(None, (note, f"no token with {' or '.join(empty) or 'A != 0'}")))
    return IdentityCheck(
        name=name,
        objective=objective,
        compared=compared,
        dtype=str(dtype).removeprefix("torch."),
        tokens=tokens,
        pieces=dict(counts or {}),
        difference=difference if tokens else math.nan,
        tolerance=allowed,
        state=state,
        note=note,
    )
