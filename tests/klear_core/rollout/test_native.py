"""Completions of the native engine share rows while they are the same, and come out as those of rows apart."""

import pytest
import torch

from klear_core.records import RandomKey, SamplingParams
from klear_core.rollout.model_decoder import ModelDecoder
from klear_core.rollout.qwen3_decoder import Qwen3Decoder
from klear_core.rollout.transformers_engine import TransformersEngine
from tests.klear_core.rollout.test_engine_contract import NativeEngine, NativeWithAnyModel

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
