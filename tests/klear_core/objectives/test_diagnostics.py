"""What clipping did, against loops over tokens in plain floats."""

import dataclasses
import math

import pytest
import torch

from klear_core.objectives.diagnostics import (
    REFERENCE_BAND,
    UpdateRecord,
    gradient_weight,
    step_diagnostics,
    update_record,
)
from klear_core.objectives.surrogates import get_surrogate
from klear_core.runs import schema

PPO = ("ppo_clip", {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": None})
CISPO = ("cispo", {"weight_low": 0.8, "weight_high": 1.28})
GPPO = ("gppo", {"clip_low": 0.2, "clip_high": 0.28, "beta_low": 0.5, "beta_high": 1.0, "dual_clip": 1.5})


def make_update(seed=0, N=10, T=7):
    generator = torch.Generator().manual_seed(seed)
    old = -2 * torch.rand(N, T, generator=generator)
    advantages = torch.randn(N, generator=generator)
    advantages[::4] = 0.0
    return {
        "logprobs": old + 0.4 * torch.randn(N, T, generator=generator),
        "old": old,
        "advantages": advantages,
        "mask": torch.rand(N, T, generator=generator) < 0.8,
        "entropy": torch.rand(N, T, generator=generator),
    }


def record_of(update, objective):
    name, params = objective
    return update_record(
        update["logprobs"],
        update["old"],
        update["advantages"],
        update["mask"],
        update["entropy"],
        surrogate=get_surrogate(name),
        params=params,
    )


def tokens(updates):
    for update in updates:
        for n, row in enumerate(update["mask"].tolist()):
            for t, keep in enumerate(row):
                if keep and update["advantages"][n] != 0:
                    ratio = math.exp(update["logprobs"][n, t].item() - update["old"][n, t].item())
                    yield ratio, update["advantages"][n].item(), update["entropy"][n, t].item()


def ppo_f(r, a):
    return 0.0 if (a > 0 and r > 1.28) or (a < 0 and r < 0.8) else r


def gppo_f(r, a):
    if a > 0 and r > 1.28:
        return 1.28
    if a < 0 and r < 0.8:
        return 0.4
    return 0.0 if a < 0 and r > 1.5 else r


def cispo_f(r, a):
    return min(max(r, 0.8), 1.28)


@pytest.mark.parametrize(("objective", "f"), [(PPO, ppo_f), (GPPO, gppo_f), (CISPO, cispo_f)])
def test_corners_masses_and_entropies_match_a_loop_over_tokens(objective, f):
    updates = [make_update(0), make_update(1), make_update(2)]
    found = step_diagnostics([record_of(update, objective) for update in updates])
    rows = list(tokens(updates))
    inside = {"pos_above": (1, 1), "pos_below": (1, -1), "neg_above": (-1, 1), "neg_below": (-1, -1)}
    used = sum(abs(f(r, a) * a) for r, a, _ in rows)
    unclipped = sum(abs(r * a) for r, a, _ in rows)
    for corner, (sign, side) in inside.items():
        here = [(r, a) for r, a, _ in rows if a * sign > 0 and (r > 1.28 if side > 0 else r < 0.8)]
        assert here, corner
        assert found[f"corner_{corner}_fraction"] == pytest.approx(len(here) / len(rows), rel=1e-9)
        assert found[f"corner_{corner}_mass"] == pytest.approx(sum(abs(f(r, a) * a) for r, a in here) / used, abs=1e-6)
        mass = sum(abs(r * a) for r, a in here) / unclipped
        assert found[f"corner_{corner}_mass_unclipped"] == pytest.approx(mass, rel=1e-5)
    outside = [e for r, _, e in rows if r > 1.28 or r < 0.8]
    within = [e for r, _, e in rows if 0.8 <= r <= 1.28]
    assert found["band_fraction"] == pytest.approx(len(outside) / len(rows))
    assert found["entropy_outside"] == pytest.approx(sum(outside) / len(outside), rel=1e-5)
    assert found["entropy_inside"] == pytest.approx(sum(within) / len(within), rel=1e-5)
    ratios = [r for r, _, _ in rows]
    assert found["ess"] == pytest.approx(sum(ratios) ** 2 / (len(ratios) * sum(r * r for r in ratios)), rel=1e-5)
    assert found["ratio_max"] == pytest.approx(max(ratios), rel=1e-5)
    assert found["ratio_p50"] == pytest.approx(sorted(ratios)[round((len(ratios) - 1) / 2)], rel=1e-5)


def test_corner_fractions_sum_to_the_band_fraction():
    found = step_diagnostics([record_of(make_update(3), PPO)])
    corners = [found[f"corner_{corner}_fraction"] for corner in schema.CORNERS]
    assert sum(corners) == pytest.approx(found["band_fraction"])


def test_equal_policies_have_full_effective_sample_size_and_empty_corners():
    update = make_update()
    found = step_diagnostics([record_of(update | {"logprobs": update["old"]}, PPO)])
    assert found["ess"] == pytest.approx(1.0)
    assert found["band_fraction"] == 0.0
    assert math.isnan(found["entropy_outside"])
    assert (found["ratio_p01"], found["ratio_p99"]) == (1.0, 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_ratio_at_a_bound_of_the_band_is_inside(dtype):
    # Ratios are set directly, since exp(log r) may round across a bound.
    bounds_K = torch.tensor(REFERENCE_BAND, dtype=dtype)
    outward_K = torch.nextafter(bounds_K, torch.tensor([-math.inf, math.inf], dtype=dtype))
    for ratios_K, outside in ((bounds_K, 0.0), (outward_K, 1.0)):
        ones_K = torch.ones_like(ratios_K)
        record = UpdateRecord(
            ratios_K=ratios_K, advantages_K=ones_K, used_K=ones_K, unclipped_K=ones_K, entropies_K=ones_K
        )
        assert step_diagnostics([record])["band_fraction"] == outside


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_ratios_are_computed_in_single(dtype):
    update = make_update()
    half = update | {key: update[key].to(dtype) for key in ("logprobs", "old")}
    single = half | {key: half[key].float() for key in ("logprobs", "old")}
    for name in ("ratios_K", "used_K", "unclipped_K"):
        assert torch.equal(getattr(record_of(half, PPO), name), getattr(record_of(single, PPO), name))


def test_records_carry_no_gradient_and_leave_the_inputs_alone():
    update = make_update()
    leaf = update["logprobs"].clone().requires_grad_()
    record = record_of(update | {"logprobs": leaf * 1.0}, PPO)
    assert not any(getattr(record, field.name).requires_grad for field in dataclasses.fields(UpdateRecord))
    assert leaf.grad is None


def test_gradients_are_taken_even_where_the_caller_switched_them_off():
    with torch.no_grad():
        found = step_diagnostics([record_of(make_update(), PPO)])
    assert found == step_diagnostics([record_of(make_update(), PPO)])


def test_padding_reaches_no_diagnostic_whatever_it_holds():
    update = make_update()
    dirty = dict(update)
    for key in ("logprobs", "old", "entropy"):
        dirty[key] = update[key].masked_fill(~update["mask"], math.nan)
    assert step_diagnostics([record_of(dirty, CISPO)]) == step_diagnostics([record_of(update, CISPO)])


def test_nothing_to_measure_is_nan_and_names_are_those_of_the_records():
    found = step_diagnostics([])
    assert all(math.isnan(value) for value in found.values())
    assert set(found) <= set(schema.STEP_FIELDS)
    promised = [
        name for name in schema.STEP_FIELDS if name.startswith(("band_", "corner_", "entropy_", "ess", "ratio_"))
    ]
    assert set(promised) == set(found)
    still = make_update()
    zero = step_diagnostics([record_of(still | {"advantages": torch.zeros(10)}, PPO)])
    assert all(math.isnan(value) for value in zero.values())


def test_the_band_is_the_one_the_records_name():
    assert REFERENCE_BAND == schema.REFERENCE_BAND


def test_gradient_weights_on_a_grid_are_f():
    ratios = [0.5, 0.79, 1.0, 1.27, 1.3, 2.0]
    for sign in (1.0, -1.0):
        found = gradient_weight(get_surrogate(PPO[0]), PPO[1], ratios, sign).tolist()
        assert found == pytest.approx([ppo_f(r, sign) for r in ratios])
