"""Every surrogate against F(r, A) written once more in plain floats: dL/d(log pi) = -F A."""

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from klear_core.errors import ConfigError
from klear_core.objectives import surrogates
from klear_core.objectives.surrogates import check_params, get_surrogate, surrogate, surrogate_names

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


def oracle_f(name, params, r, a):
    """F(r, A) in plain floats, from the papers."""
    if name == "reinforce":
        return r
    if name == "cispo":
        return min(max(r, params["weight_low"]), params["weight_high"])
    high, low = 1 + params["clip_high"], 1 - params["clip_low"]
    if a > 0 and r > high:
        return params["beta_high"] * high if name == "gppo" else 0.0
    if a < 0 and r < low:
        return params["beta_low"] * low if name == "gppo" else 0.0
    if a < 0 and params["dual_clip"] is not None and r > params["dual_clip"]:
        return 0.0
    return r


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


def test_every_surrogate_states_its_gradient_weight_here():
    assert {name for name, _ in CASES} == set(surrogate_names())


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


@given(
    r=st.floats(0.01, 50.0),
    a=st.floats(-3, 3).filter(lambda v: abs(v) > 1e-3),
    low=st.floats(0, 0.99),
    high=st.floats(0, 5),
    betas=st.tuples(st.floats(0, 2), st.floats(0, 2)),
    dual=st.none() | st.floats(1.01, 20),
)
def test_gppo_matches_the_oracle_for_any_setting(r, a, low, high, betas, dual):
    params = {"clip_low": low, "clip_high": high, "beta_low": betas[0], "beta_high": betas[1], "dual_clip": dual}
    logprobs, old, advantages = field([r], [a])
    exact = math.exp((logprobs - old).item())
    if any(abs(exact - bound) < 1e-9 for bound in (1 - low, 1 + high, dual or 0)):
        return
    gradient, _ = gradient_and_value("gppo", check_params("gppo", params), logprobs, old, advantages)
    assert math.isclose(gradient.item(), -oracle_f("gppo", params, exact, a) * a, rel_tol=1e-9, abs_tol=1e-12)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        surrogates.reinforce(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2))


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="twice"):
        surrogate("gppo")(lambda *_: None)


def test_an_unknown_surrogate_lists_the_known_ones():
    with pytest.raises(ConfigError, match="cispo, gppo, ppo_clip, reinforce"):
        get_surrogate("gpo")


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("ppo_clip", PPO | {"clip_low": 1.0}, "clip_low is 1.0; allowed: 0 <= clip_low < 1"),
        ("ppo_clip", PPO | {"clip_low": -0.1}, "clip_low is -0.1"),
        ("ppo_clip", PPO | {"clip_high": math.nan}, "clip_high is nan"),
        ("ppo_clip", PPO | {"clip_high": "0.2"}, "a number of type float"),
        ("ppo_clip", PPO | {"clip_high": True}, "clip_high is True"),
        ("ppo_clip", PPO | {"clip_high": None}, "clip_high is None"),
        ("ppo_clip", PPO | {"dual_clip": 1.0}, "dual_clip is 1.0"),
        ("ppo_clip", PPO | {"clip_hi": 0.2}, "clip_hi is not a parameter; allowed: clip_low, clip_high, dual_clip"),
        ("ppo_clip", {"clip_low": 0.2}, "clip_high is missing"),
        ("gppo", GPPO | {"beta_low": -1.0}, "beta_low is -1.0; allowed: finite and >= 0"),
        ("cispo", {"weight_low": 2.0, "weight_high": 1.0}, "at least weight_low = 2.0"),
        ("reinforce", {"clip_low": 0.2}, "allowed: none"),
    ],
)
def test_bad_settings_get_one_line_that_names_them(name, params, message):
    with pytest.raises(ConfigError, match=message) as caught:
        check_params(name, params)
    assert "\n" not in str(caught.value)


def test_whole_numbers_become_floats_and_every_parameter_has_no_default():
    assert check_params("cispo", {"weight_low": 0, "weight_high": 2}) == {"weight_low": 0.0, "weight_high": 2.0}
    for name in surrogate_names():
        for parameter in inspect.signature(get_surrogate(name)).parameters.values():
            assert parameter.default is inspect.Parameter.empty, (name, parameter)
