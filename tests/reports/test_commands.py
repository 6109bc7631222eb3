"""Words of ``python -m reports`` and names of sweeps cannot be taken for each other."""

from importlib import import_module

import pytest

from klear_core.errors import ConfigError
from reports.__main__ import COMMANDS


@pytest.mark.parametrize("word", COMMANDS)
def test_every_word_is_a_command_and_no_sweep_can_have_its_name(word, make_config):
    assert callable(import_module(f"reports.commands.{word}").main)
    with pytest.raises(ConfigError, match=f"sweep.name is '{word}'"):
        make_config(f"sweep.name={word}")
