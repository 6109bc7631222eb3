"""The table of surrogates: names, shapes, and the settings that a config may give them."""

import inspect
import math

import pytest
import torch

from klear_core.errors import ConfigError
from klear_core.objectives.surrogates import check_params, get_surrogate, surrogate, surrogate_names

PPO = {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": None}
GPPO = PPO | {"beta_low": 1.0, "beta_high": 1.0}


@pytest.mark.parametrize(("name", "params"), [("reinforce", {}), ("ppo_clip", PPO), ("gppo", GPPO)])
def test_shapes_that_differ_are_refused(name, params):
    with pytest.raises(ValueError, match="differ in shape"):
        get_surrogate(name)(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2), **params)


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
        ("ppo_clip", PPO | {"dual_clip": math.inf}, "dual_clip is inf"),
        ("ppo_clip", PPO | {"dual_clip": "none"}, "dual_clip is 'none'; allowed: a number of type float or null"),
        ("ppo_clip", PPO | {"dual_clip": True}, "dual_clip is True"),
        (
            "ppo_clip",
            PPO | {"clip_hi": 0.2},
            "clip_hi is 0.2, but clip_hi is not a parameter; allowed: clip_low, clip_high, dual_clip",
        ),
        ("ppo_clip", {"clip_low": 0.2}, "clip_high is missing"),
        ("gppo", GPPO | {"beta_low": -1.0}, "beta_low is -1.0; allowed: finite and >= 0"),
        ("cispo", {"weight_low": 2.0, "weight_high": 1.0}, "at least weight_low = 2.0"),
        ("cispo", {"weight_low": -0.1, "weight_high": 1.0}, "weight_low is -0.1"),
        ("cispo", {"weight_low": math.inf, "weight_high": math.inf}, "weight_low is inf"),
        ("cispo", {"weight_low": 0.0, "weight_high": math.nan}, "weight_high is nan"),
        ("cispo", {"weight_low": 0.0, "weight_high": -1.0}, "weight_high is -1.0; allowed: at least weight_low"),
        ("reinforce", {"clip_low": 0.2}, "allowed: none"),
    ],
)
def test_bad_settings_get_one_line_that_names_them(name, params, message):
    with pytest.raises(ConfigError, match=message) as caught:
        check_params(name, params)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("reinforce", {}),
        ("ppo_clip", PPO | {"clip_low": 0.0, "clip_high": 0.0}),
        ("ppo_clip", PPO | {"dual_clip": 1.01}),
        ("gppo", GPPO | {"beta_low": 0.0, "beta_high": 3.0}),
        ("cispo", {"weight_low": 0.0, "weight_high": math.inf}),
        ("cispo", {"weight_low": 1.0, "weight_high": 1.0}),
        ("cispo", {"weight_low": 0.0, "weight_high": 0.0}),
    ],
)
def test_settings_at_their_limits_are_accepted_unchanged(name, params):
    assert check_params(name, params) == params


def test_whole_numbers_become_floats_and_every_parameter_has_no_default():
    assert check_params("cispo", {"weight_low": 0, "weight_high": 2}) == {"weight_low": 0.0, "weight_high": 2.0}
    for name in surrogate_names():
        for parameter in inspect.signature(get_surrogate(name)).parameters.values():
            assert parameter.default is inspect.Parameter.empty, (name, parameter)
