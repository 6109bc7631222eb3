"""What children are given of the environment."""

import os

import pytest

from ablations.child import OFFLINE, allow_hub


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ([], None),
        (["sft_mix=rows", "sft_mix.params.path=data.jsonl"], None),
        (["sft_mix=rows", "sft_mix.params.path='hub:org/name@train'"], "0"),
        (["sft.checkpoint='hub:org/name'"], "0"),
    ],
)
def test_the_hub_is_offline_unless_a_config_names_it(settings, allowed, make_config, monkeypatch):
    monkeypatch.delenv(OFFLINE)
    allow_hub([make_config(*settings)])
    assert os.environ.get(OFFLINE) == allowed
    monkeypatch.delenv(OFFLINE, raising=False)


def test_a_user_who_is_offline_stays_so(make_config, monkeypatch):
    monkeypatch.setenv(OFFLINE, "1")
    allow_hub([make_config("sft_mix=rows", "sft_mix.params.path='hub:org/name'")])
    assert os.environ[OFFLINE] == "1"
