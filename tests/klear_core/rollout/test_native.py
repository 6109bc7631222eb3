"""Completions of the native engine share rows while they are the same, and come out as those of rows apart."""

import dataclasses

import pytest
import torch
from transformers import (
    FalconH1Config,
    FalconH1ForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from klear_core.records import Prompt, RandomKey, SamplingParams
from klear_core.rollout.model_decoder import ModelDecoder
from klear_core.rollout.native import NativeEngine
from klear_core.rollout.qwen3_decoder import Qwen3Decoder
from klear_core.rollout.transformers_engine import TransformersEngine
from tests.klear_core.rollout.test_engine_contract import NativeWithAnyModel

KEY = RandomKey(seed=0, stream="test", step=1)
# So cold that most completions of a group begin alike, and some are equal; others end early.
COLD = SamplingParams(temperature=0.1, top_p=1.0, max_tokens=24, num_samples=8)


@pytest.fixture
def decoded(monkeypatch):
    """Rows of every decoding step."""
    rows = []

    def count(decoder):
        decode = decoder.decode

        def counted(self, tokens_M):
            rows.append(len(tokens_M))
            decode(self, tokens_M)

        monkeypatch.setattr(decoder, "decode", counted)

    count(Qwen3Decoder)
    count(ModelDecoder)
    return rows


@pytest.mark.parametrize("engine", [NativeEngine, NativeWithAnyModel])
def test_a_beginning_is_computed_once_and_the_completions_are_the_same(engine, decoded, model, tokenizer, prompts):
    groups = engine(model, tokenizer).generate(prompts, COLD, KEY)
    apart = TransformersEngine(model, tokenizer).generate(prompts, COLD, KEY)
    for group, other in zip(groups, apart, strict=True):
        assert [completion.token_ids for completion in group] == [completion.token_ids for completion in other]
        for ours, theirs in zip(group, other, strict=True):
            torch.testing.assert_close(ours.logprobs, theirs.logprobs, atol=1e-4, rtol=0)  # logits are times 10 here
            torch.testing.assert_close(ours.entropies, theirs.entropies, atol=1e-4, rtol=0)
    needed = [
        len({(p, c.token_ids[:t]) for p, group in enumerate(groups) for c in group if len(c.token_ids) > t})
        for t in range(1, COLD.max_tokens)
    ]
    assert len(decoded) == len(needed)
    completions = len(prompts) * COLD.num_samples
    assert len({(p, c.token_ids) for p, group in enumerate(groups) for c in group}) < completions
    assert needed[0] < completions / 3 < max(needed)
    assert all(most <= made < 1.2 * most + 1 for made, most in zip(decoded, needed, strict=True))


def falcon_h1(sizes):
    mamba = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8}
    return FalconH1ForCausalLM(FalconH1Config(**sizes, **mamba, head_dim=8))


def lfm2(sizes):
    return Lfm2ForCausalLM(Lfm2Config(**sizes, full_attn_idxs=[1]))


def mistral(sizes):
    return MistralForCausalLM(MistralConfig(**sizes, head_dim=8, sliding_window=6))


@pytest.mark.parametrize("build", [falcon_h1, lfm2, mistral])
def test_states_of_every_kind_of_layer_follow_the_rows(build, decoded, tokenizer):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "max_position_embeddings": 128, "vocab_size": len(tokenizer)}
    torch.manual_seed(0)
    model = build(sizes | {"pad_token_id": 0, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)
    prompts = [Prompt(problem_id=f"p{k}", token_ids=tuple(range(3 + k, 9 + k))) for k in range(3)]
    sampling = dataclasses.replace(COLD, temperature=0.03)
    groups = NativeEngine(model, tokenizer).generate(prompts, sampling, KEY)
    apart = TransformersEngine(model, tokenizer).generate(prompts, sampling, KEY)
    assert [[c.token_ids for c in group] for group in groups] == [[c.token_ids for c in group] for group in apart]
    assert decoded[0] < max(decoded) < len(prompts) * sampling.num_samples
