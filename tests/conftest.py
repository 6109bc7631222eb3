"""Fixtures shared by all tests: real configs composed from the YAML, and a tiny model with its tokenizer."""

import os

# Before torch is imported: busy-waiting threads would starve parallel test processes.
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0", HF_HUB_OFFLINE="1")
os.environ["WANDB_MODE"] = "disabled"

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ablations.run import compose
from klear_core.config import RunConfig
from klear_core.data.chains import problems
from klear_core.data.tokenizer import build_tokenizer
from klear_core.model_config import ModelConfig
from klear_core.records import Problem, Verdict
from klear_core.rewards.grader import Grader, Scoring
from klear_core.trainer.policy import build_model

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_config() -> Callable[..., RunConfig]:
    """One run's config, composed as the command line would."""

    def make(*overrides: str) -> RunConfig:
        (config,) = compose(["scale=smoke", *overrides])
        return config

    return make


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return build_tokenizer(max_length=128)


@pytest.fixture
def model(tokenizer: Any) -> Any:
    shape = ModelConfig(
        name="test",
        hidden_size=32,
        intermediate_size=64,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        precision="float32",
        device="cpu",
    )
    built = build_model(shape, tokenizer, seed=0)
    with torch.no_grad():
        # Peaked enough that positions, neighbours and top-p make a difference.
        for parameter in built.parameters():
            parameter.mul_(2.0)
    return built


@pytest.fixture(scope="session")
def grader() -> Grader:
    """1 for a right answer, 0 for everything else; for problems with a reference answer."""
    scores = {verdict: float(verdict is Verdict.CORRECT) for verdict in Verdict}
    return Grader(Scoring(scores=scores, soft=False))


@pytest.fixture(scope="session")
def chains() -> list[Problem]:
    return problems(data_seed=3, split="train", count=24, num_terms=4)
