"""Planted faults: called in a command before it starts, they hold in its runs as well and strike at a chosen step."""

import dataclasses
import resource
from collections.abc import Sequence
from typing import Any

import pyarrow
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

import ablations.launch
import ablations.run
from ablations import decide
from klear_core.config import RunConfig
from klear_core.runs import store
from klear_core.trainer.credit import Credit
from klear_core.trainer.rl import RLTrainer
from tests.reliability.command_faults import COMMAND_FAULTS
from tests.reliability.run_faults import FAULTS, folder_of


def plant(
    *,
    runs: dict[str, str] | None = None,
    step: int = 2,
    late: dict[str, str] | None = None,
    seeds: Sequence[int] = (0,),
    attempts: int = 1000,
    patience_s: float = 0.2,
    command: str = "",
    value: Any = None,
) -> None:
    """Give the runs named in ``runs``, such as gppo-u2/seed3, a fault each, at a step of their first ``attempts``.

    Those in ``late`` are struck one step later.  What the command line says is repeated for every seed: Hydra would
    take a fifth of a second for each.

    ``command`` names a fault of the command itself, with its ``value``.  It waits ``patience_s`` for a folder in use.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _repeat(seeds)
    if len(seeds) > 1:
        _warm_up()
    decide._DEATH_S = ablations.launch._SWEEP_LOCK_S = patience_s
    if command:
        COMMAND_FAULTS[command](value)
    planted = {(place, step): fault for place, fault in (runs or {}).items()}
    planted |= {(place, step + 1): fault for place, fault in (late or {}).items()}
    original = RLTrainer._credit

    def credit(self: RLTrainer, rewards: Any) -> Credit:
        found, config = original(self, rewards), self._config
        fault = planted.get((f"{config.arm}/seed{config.seed}", self._done + 1))
        if fault is not None and _attempt(config) <= attempts:
            changed = FAULTS[fault](config, found.advantages_PG)
            return found if changed is None else dataclasses.replace(found, advantages_PG=changed)
        return found

    RLTrainer._credit = credit  # type: ignore[method-assign]


def _warm_up() -> None:
    """Do once what every run would do at its first table and its first model, for a third of a second each."""
    pyarrow.table({"warm": [0]})
    get_checkpoint_conversion_mapping("qwen3")


def _repeat(seeds: Sequence[int]) -> None:
    original = ablations.run.compose

    def compose(arguments: list[str]) -> list[RunConfig]:
        return [dataclasses.replace(config, seed=seed) for config in original(arguments) for seed in seeds]

    ablations.run.compose = compose


def _attempt(config: RunConfig) -> int:
    status = store.read_status(folder_of(config))
    assert status is not None
    return status.attempt
