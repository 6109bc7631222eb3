"""Gradient checkpointing changes what is kept in memory, and no number."""

import random

import pytest
import torch

from klear_core.errors import ConfigError
from klear_core.rollout.native import NativeEngine
from klear_core.rollout.qwen3_weights import is_plain_qwen3
from klear_core.trainer.placing import set_recomputing
from klear_core.trainer.policy import build_model, token_scores
from klear_core.trainer.rl import RLTrainer

# Nothing is right under random weights, so that coins stand in for rewards.
SMALL = (
    "control=random_reward",
    "rl.problems_per_step=8",
    "rl.completions_per_problem=4",
    "task.train_problems=24",
    "rl.steps=2",
)


@pytest.fixture
def trained(make_config, tokenizer, grader, chains):
    """Weights and metrics after two steps of RL."""

    def train(recompute):
        config = make_config(*SMALL, "rl.max_response_tokens=24", f"model.gradient_checkpointing={recompute}")
        model = build_model(config.model, tokenizer, seed=0)
        set_recomputing(model, config.model)
        engine = NativeEngine(model, tokenizer)
        trainer = RLTrainer(config, model=model, tokenizer=tokenizer, engine=engine, grader=grader, problems=chains)
        metrics = [result.metrics for result in trainer.steps()]
        return model, metrics

    return train


def test_rl_ends_with_the_same_weights_bit_for_bit(trained):
    plain, expected = trained("false")
    saving, found = trained("true")
    assert saving.is_gradient_checkpointing
    assert not plain.is_gradient_checkpointing
    assert found[0]["kept_rows"] > 0.5
    assert [str(row) for row in found] == [str(row) for row in expected]
    for one, other in zip(saving.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def kept_numbers(model):
    """Numbers that a forward pass in training keeps for its backward pass, weights left out."""
    own = {parameter.data_ptr() for parameter in model.parameters()}
    kept = []

    def keep(tensor):
        if tensor.data_ptr() not in own:
            kept.append(tensor.numel())
        return tensor

    model.train()
    ids = torch.tensor([[random.Random(0).randrange(3, 20) for _ in range(40)]])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        token_scores(model, ids[:, 1:], at=39, temperature=1.0, entropy=False, input_ids=ids[:, :-1])
    return sum(kept)


def test_it_keeps_a_fraction_of_what_is_kept_otherwise_and_decoding_stays_lean(make_config, make_model):
    model = make_model(num_layers=6)
    plain = kept_numbers(model)
    set_recomputing(model, make_config("model.gradient_checkpointing=true").model)
    assert kept_numbers(model) < 0.3 * plain
    assert is_plain_qwen3(model)


def test_a_model_that_cannot_is_refused_and_one_that_need_not_is_left_alone(make_config, make_model):
    model = make_model()
    model.supports_gradient_checkpointing = False
    set_recomputing(model, make_config().model)
    with pytest.raises(ConfigError, match="gradient_checkpointing is True; allowed for a Qwen3ForCausalLM: false"):
        set_recomputing(model, make_config("model.gradient_checkpointing=true").model)
