"""Every surrogate against F(r, A) stated once more without torch: dL/d(log pi) = -F A."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from klear_core.objectives import surrogates
from klear_core.objectives.surrogates import check_params, get_surrogate, surrogate_names
from klear_core.trainer.identity_reference import REFERENCES

PPO = {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": None}
GPPO = PPO | {"beta_low": 1.0, "beta_high": 1.0}
CASES = [
    ("reinforce", {}),
    ("ppo_clip", PPO),
    ("ppo_clip", PPO | {"clip_high": 0.2}),
    ("ppo_clip", PPO | {"dual_clip": 10.0}),
    ("gppo", GPPO),
    ("gppo", GPPO | {"dual_clip": 10.0}),
    ("gppo", GPPO | {"beta_low": 0.25, "dual_clip": 10.0}),
    ("gppo", GPPO | {"beta_low": 0.0}),
    ("cispo", {"weight_low": 0.8, "weight_high": 1.28}),
    ("cispo", {"weight_low": 0.0, "weight_high": math.inf}),
]
all_cases = pytest.mark.parametrize(("name", "params"), CASES)


# F(r, A) of every surrogate from its paper, in NumPy; one that is registered and not stated there fails the tests.
ORACLES = REFERENCES


def oracle_f(name, params, r, a):
    return float(ORACLES[name](np.float64(r), np.float64(a), **params))


def oracle_value(name, params, r, a, logprob):
    """The loss in plain floats."""
    if name == "reinforce":
        return -r * a
    if name == "cispo":
        return -oracle_f(name, params, r, a) * a * logprob
    clipped = min(max(r, 1 - params["clip_low"]), 1 + params["clip_high"])
    value = min(r * a, clipped * a)
    if name == "gppo" and a > 0 and r > 1 + params["clip_high"]:
        value *= params["beta_high"]
    if name == "gppo" and a < 0 and r < 1 - params["clip_low"]:
        value *= params["beta_low"]
    if a < 0 and params["dual_clip"] is not None:
        value = max(value, params["dual_clip"] * a)
    return -value


def gradient_and_value(name, params, logprobs, old, advantages):
    leaf = logprobs.clone().requires_grad_()
    loss = get_surrogate(name)(leaf, old, advantages, **params)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    return gradient, loss.detach()


def field(ratios, advantages, dtype=torch.float64, base=-2.0):
    logprobs = torch.tensor([[base + math.log(r) for r in ratios] for _ in advantages], dtype=dtype)
    old = torch.full_like(logprobs, base)
    advantages = torch.tensor([[a] * len(ratios) for a in advantages], dtype=dtype)
    return logprobs, old, advantages


def check_every_surrogate_is_stated():
    assert set(ORACLES) == {name for name, _ in CASES} == set(surrogate_names())


def test_every_surrogate_states_its_gradient_weight_here():
    check_every_surrogate_is_stated()


def test_a_surrogate_without_a_stated_weight_is_noticed(monkeypatch):
    monkeypatch.setitem(surrogates._TABLE, "unstated", surrogates.reinforce)
    with pytest.raises(AssertionError):
        check_every_surrogate_is_stated()


@all_cases
def test_gradient_and_value_match_the_oracle_at_random_points(name, params):
    generator = torch.Generator().manual_seed(0)
    logprobs = -3 * torch.rand(40, 50, dtype=torch.float64, generator=generator)
    old = logprobs + torch.randn(40, 50, dtype=torch.float64, generator=generator)
    advantages = torch.randn(40, 50, dtype=torch.float64, generator=generator)
    gradient, loss = gradient_and_value(name, params, logprobs, old, advantages)
    for n in range(40):
        for t in range(50):
            x, a = logprobs[n, t].item(), advantages[n, t].item()
            r = math.exp(x - old[n, t].item())
            assert math.isclose(gradient[n, t].item(), -oracle_f(name, params, r, a) * a, rel_tol=1e-12, abs_tol=1e-14)
            assert math.isclose(loss[n, t].item(), oracle_value(name, params, r, a, x), rel_tol=1e-12, abs_tol=1e-14)


@all_cases
@pytest.mark.parametrize("bound", [1.0, 0.8, 1.2, 1.28, 10.0])
@pytest.mark.parametrize("side", [-1e-9, 0.0, 1e-9])
def test_gradient_matches_the_oracle_at_the_bounds(name, params, bound, side):
    old = torch.zeros(1, 2, dtype=torch.float64)
    logprobs = torch.full_like(old, math.log(bound) + side)
    advantages = torch.tensor([[1.5, -1.5]], dtype=torch.float64)
    gradient, _ = gradient_and_value(name, params, logprobs, old, advantages)
    r = torch.exp(logprobs[0, 0]).item()
    for t, a in enumerate((1.5, -1.5)):
        assert math.isclose(gradient[0, t].item(), -oracle_f(name, params, r, a) * a, rel_tol=1e-12)


def test_a_ratio_exactly_at_the_dual_clip_keeps_its_gradient():
    logprobs, old, advantages = field([3.0], [-1.0])
    exact = (logprobs - old).exp().item()
    gradient, _ = gradient_and_value("ppo_clip", PPO | {"dual_clip": exact}, logprobs, old, advantages)
    assert gradient.item() == exact


POINTS = [(1.6, 1), (0.5, -1), (0.5, 1), (1.6, -1), (1.1, 1), (12.0, -1)]
REFERENCE = [
    ("ppo_clip", PPO | {"dual_clip": 10.0}, [0, 0, 0.5, 1.6, 1.1, 0]),
    ("gppo", GPPO | {"dual_clip": 10.0}, [1.28, 0.8, 0.5, 1.6, 1.1, 0]),
    ("gppo", GPPO, [1.28, 0.8, 0.5, 1.6, 1.1, 12]),
    ("gppo", GPPO | {"beta_low": 0.25, "dual_clip": 10.0}, [1.28, 0.2, 0.5, 1.6, 1.1, 0]),
    ("cispo", {"weight_low": 0.8, "weight_high": 1.28}, [1.28, 0.8, 0.8, 1.28, 1.1, 1.28]),
]


@pytest.mark.parametrize(("name", "params", "expected"), REFERENCE)
def test_reference_points_hold(name, params, expected):
    for (r, a), weight in zip(POINTS, expected, strict=True):
        gradient, _ = gradient_and_value(name, params, *field([r], [float(a)]))
        assert math.isclose(-gradient.item() / a, weight, rel_tol=1e-12, abs_tol=1e-15)


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    old = -2 * torch.rand(16, 12, dtype=torch.float64, generator=generator)
    logprobs = old + 0.5 * torch.randn(16, 12, dtype=torch.float64, generator=generator)
    advantages = torch.randn(16, 1, dtype=torch.float64, generator=generator).expand(16, 12)
    return logprobs, old, advantages


@all_cases
def test_on_policy_every_objective_is_reinforce(name, params):
    logprobs, _, advantages = batch()
    gradient, _ = gradient_and_value(name, params, logprobs, logprobs.clone(), advantages)
    torch.testing.assert_close(gradient, -advantages, rtol=0, atol=1e-15)


def test_general_gppo_with_betas_zero_has_ppo_clips_gradient():
    expected, _ = gradient_and_value("ppo_clip", PPO, *batch())
    found, _ = gradient_and_value("gppo", GPPO | {"beta_low": 0.0, "beta_high": 0.0}, *batch())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)


def test_gppo_with_betas_one_has_ppo_clips_value():
    _, expected = gradient_and_value("ppo_clip", PPO, *batch())
    _, found = gradient_and_value("gppo", GPPO, *batch())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("beta_low", [1.0, 0.25])
def test_gppo_has_the_gradient_of_its_equations(beta_low):
    # Eq. 11 and 17 as printed, with bound / sg(r) * r; the plain form is only safe for ratios that do not overflow.
    logprobs, old, advantages = batch()
    leaf = logprobs.clone().requires_grad_()
    ratio = (leaf - old).exp()
    low, high = beta_low * 0.8 / ratio.detach() * ratio, 1.28 / ratio.detach() * ratio
    printed = torch.where((advantages < 0) & (ratio < 0.8), low, ratio)
    printed = torch.where((advantages > 0) & (ratio > 1.28), high, printed)
    (expected,) = torch.autograd.grad((-printed * advantages).sum(), leaf)
    found, _ = gradient_and_value("gppo", GPPO | {"beta_low": beta_low}, logprobs, old, advantages)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_equal_bounds_make_clip_higher_the_symmetric_ppo_clip():
    logprobs, old, advantages = batch()
    leaf = logprobs.clone().requires_grad_()
    ratio = (leaf - old).exp()
    loss = -torch.minimum(ratio * advantages, ratio.clamp(1 - 0.2, 1 + 0.2) * advantages)
    (expected,) = torch.autograd.grad(loss.sum(), leaf)
    gradient, value = gradient_and_value("ppo_clip", PPO | {"clip_high": 0.2}, logprobs, old, advantages)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(value, loss.detach(), rtol=0, atol=1e-14)


def test_gppo_and_two_sided_cispo_differ_in_exactly_two_corners():
    logprobs, old, advantages = batch()
    gppo, _ = gradient_and_value("gppo", GPPO, logprobs, old, advantages)
    cispo, _ = gradient_and_value("cispo", {"weight_low": 0.8, "weight_high": 1.28}, logprobs, old, advantages)
    ratio = (logprobs - old).exp()
    differ = ((ratio < 0.8) & (advantages > 0)) | ((ratio > 1.28) & (advantages < 0))
    assert differ.any()
    assert not differ.all()
    assert torch.equal((gppo - cispo).abs() > 1e-12, differ)


@all_cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_nan_for_log_ratios_up_to_200_and_the_oracle_up_to_80(name, params, dtype):
    log_ratios = [s * v for v in (1e-3, 1.0, 20.0, 79.0, 80.0, 90.0, 104.0, 150.0, 200.0) for s in (1, -1)]
    old = torch.full((3, len(log_ratios)), -1.0, dtype=dtype)
    logprobs = old + torch.tensor(log_ratios, dtype=dtype)
    advantages = torch.tensor([[1.0], [-1.0], [0.0]], dtype=dtype).expand_as(old)
    gradient, loss = gradient_and_value(name, params, logprobs, old, advantages)
    assert not gradient.isnan().any()
    assert not loss.isnan().any()
    assert torch.equal(gradient[2], torch.zeros_like(gradient[2]))
    for t, value in enumerate(log_ratios):
        if abs(value) > 80:
            continue
        r = math.exp((logprobs - old)[0, t].item())
        for n, a in enumerate((1.0, -1.0)):
            assert math.isfinite(loss[n, t].item())
            expected = -oracle_f(name, params, r, a) * a
            assert math.isclose(gradient[n, t].item(), expected, rel_tol=1e-4 if dtype == torch.float32 else 1e-9)


@all_cases
@pytest.mark.parametrize("base", [0.0, -1e-30])
def test_certain_tokens_give_no_nan_when_their_weight_overflows(name, params, base):
    old = torch.tensor([[-100.0, -200.0]])
    advantages = torch.tensor([[1.0], [-1.0], [2.5], [0.0]]).expand(4, 2)
    gradient, loss = gradient_and_value(name, params, torch.full((4, 2), base), old.expand(4, 2), advantages)
    assert not gradient.isnan().any()
    assert not loss.isnan().any()
    if name == "cispo" and params["weight_high"] == math.inf:
        assert gradient[:3].isinf().all()


@all_cases
@pytest.mark.parametrize(
    ("given_dtype", "used"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_precision_is_promoted_and_double_stays(name, params, given_dtype, used):
    logprobs, old, advantages = (tensor.to(given_dtype) for tensor in batch())
    loss = get_surrogate(name)(logprobs, old, advantages, **params)
    assert loss.dtype == used
    expected = get_surrogate(name)(logprobs.to(used), old.to(used), advantages.to(used), **params)
    assert torch.equal(loss, expected)


ANY_CLIP = {
    "clip_low": st.floats(0, 0.99),
    "clip_high": st.floats(0, 5),
    "dual_clip": st.none() | st.floats(1.01, 20),
}
ANY_SETTING = st.one_of(
    st.tuples(st.just("ppo_clip"), st.fixed_dictionaries(ANY_CLIP)),
    st.tuples(
        st.just("gppo"),
        st.fixed_dictionaries(ANY_CLIP | {"beta_low": st.floats(0, 2), "beta_high": st.floats(0, 2)}),
    ),
    st.tuples(
        st.just("cispo"), st.fixed_dictionaries({"weight_low": st.floats(0, 1), "weight_high": st.floats(1, 20)})
    ),
)


@given(setting=ANY_SETTING, r=st.floats(0.01, 50.0), a=st.floats(-3, 3).filter(lambda v: abs(v) > 1e-3))
def test_gradient_matches_the_oracle_for_any_setting(setting, r, a):
    name, params = setting
    logprobs, old, advantages = field([r], [a])
    exact = math.exp((logprobs - old).item())
    bounds = (1 - params.get("clip_low", 0), 1 + params.get("clip_high", 0), params.get("dual_clip") or 0)
    # The two exponentials may round to different sides of a bound; the test at the bounds covers those points.
    assume(all(abs(exact - bound) > 1e-9 for bound in bounds))
    gradient, _ = gradient_and_value(name, check_params(name, params), logprobs, old, advantages)
    assert math.isclose(gradient.item(), -oracle_f(name, params, exact, a) * a, rel_tol=1e-9, abs_tol=1e-12)
