"""Fixtures shared by all tests: real configs composed from the YAML, and a tiny model with its tokenizer."""

import os

# Before torch is imported: busy-waiting threads would starve parallel test processes.
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0", HF_HUB_OFFLINE="1")
os.environ["WANDB_MODE"] = "disabled"

from collections.abc import Callable
from typing import Any

import hypothesis
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
# How long an example takes says more about what else the machine does.
hypothesis.settings.register_profile("any_machine", deadline=None)
hypothesis.settings.load_profile("any_machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under ``-n 2 --dist loadgroup`` one process runs all slow tests, so that they do not disturb one another."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.xdist_group("slow"))


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
def make_model(tokenizer: Any) -> Callable[..., Any]:
    """Builds a small model, of the given tokenizer's words and context; other arguments change its shape."""

    def make(words: Any = tokenizer, **shape: Any) -> Any:
        plain = {"hidden_size": 32, "intermediate_size": 64, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2}
        held = {"name": "test", "precision": "float32", "device": "cpu", "gradient_checkpointing": False}
        built = build_model(ModelConfig(**(plain | {"head_dim": 8} | held | shape)), words, seed=0)
        with torch.no_grad():
            # Peaked enough that positions, neighbours and top-p make a difference.
            for parameter in built.parameters():
                parameter.mul_(2.0)
        return built

    return make


@pytest.fixture
def model(make_model: Callable[..., Any]) -> Any:
    return make_model()


@pytest.fixture(scope="session")
def grader() -> Grader:
    """1 for a right answer, 0 for everything else; for problems with a reference answer."""
    scores = {verdict: float(verdict is Verdict.CORRECT) for verdict in Verdict}
    return Grader(Scoring(scores=scores, soft=False))


@pytest.fixture(scope="session")
def chains() -> list[Problem]:
    return problems(data_seed=3, split="train", count=24, num_terms=4)
