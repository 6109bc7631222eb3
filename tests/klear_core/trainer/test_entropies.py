"""Entropies that an engine does not tell are those that another engine would."""

import dataclasses

import pytest
import torch

from klear_core.records import RandomKey, RolloutGroup, SamplingParams
from klear_core.rollout.native import NativeEngine
from klear_core.trainer.collate import tokenize_prompts
from klear_core.trainer.entropies import with_entropies


def forget(group):
    return dataclasses.replace(
        group, completions=tuple(dataclasses.replace(one, entropies=None) for one in group.completions)
    )


@pytest.mark.parametrize("override", ["rl.pack_tokens=null", "rl.pack_tokens=96", "rl.micro_batch_tokens=200"])
def test_they_are_those_of_the_engine_that_knows_them(override, model, tokenizer, chains, make_config):
    rl = dataclasses.replace(make_config(override).rl, temperature=0.8)
    sampling = SamplingParams(temperature=0.8, top_p=1.0, max_tokens=16, num_samples=3)
    prompts = tokenize_prompts(tokenizer, chains[:4])
    answers = NativeEngine(model, tokenizer).generate(prompts, sampling, RandomKey(seed=0, stream="t", step=1))
    groups = [
        RolloutGroup(problem=problem, prompt=prompt, completions=completions, policy_step=0)
        for problem, prompt, completions in zip(chains, prompts, answers, strict=False)
    ]
    assert with_entropies(groups, model, rl, pad_id=tokenizer.pad_token_id) is groups
    model.train()
    found = with_entropies([forget(group) for group in groups], model, rl, pad_id=tokenizer.pad_token_id)
    assert model.training
    for group, told in zip(groups, found, strict=True):
        for one, other in zip(group.completions, told.completions, strict=True):
            assert dataclasses.replace(one, entropies=None) == dataclasses.replace(other, entropies=None)
            torch.testing.assert_close(other.entropies, one.entropies, atol=1e-5, rtol=1e-5)
