"""Packed rows give what padded ones give, and no sequence sees another."""

import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from transformers.modeling_flash_attention_utils import prepare_fa_kwargs_from_position_ids

from klear_core.errors import DataError
from klear_core.trainer.collate import pad
from klear_core.trainer.packing import pack, score_in_rows, score_packed
from klear_core.trainer.policy import score

VOCABULARY = 20


def drawn(count, seed=0):
    rng = random.Random(seed)

    def ids(low, high):
        return [rng.randrange(3, VOCABULARY) for _ in range(rng.randint(low, high))]

    return [ids(1, 8) for _ in range(count)], [ids(1, 20) for _ in range(count)]


@pytest.fixture(params=["qwen3", "llama"])
def any_model(request, model):
    if request.param == "qwen3":
        return model
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=128, **shape))


def padded_logprobs(model, prompts, responses):
    batch = pad(prompts, responses, pad_id=0)
    scores = score(
        model,
        batch.token_ids_NL,
        batch.attention_mask_NL,
        num_response=batch.response_mask_NT.shape[1],
        temperature=1.0,
        entropy=False,
    )
    return scores.logprobs_NT[batch.response_mask_NT]


def packed_logprobs(model, packed):
    return score_packed(model, packed, temperature=1.0, entropy=False)[0]


@pytest.mark.parametrize("row_tokens", [28, 40, 120])
def test_the_packed_loss_and_its_gradient_are_the_padded_ones(any_model, row_tokens):
    prompts, responses = drawn(24)
    packed = pack(prompts, responses, row_tokens=row_tokens, pad_id=0)
    found, gradients = [], []
    for logprobs in (padded_logprobs(any_model, prompts, responses), packed_logprobs(any_model, packed)):
        loss = -logprobs.mean()
        found.append(float(loss.detach()))
        gradients.append(torch.autograd.grad(loss, list(any_model.parameters())))
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_no_sequence_sees_its_neighbours(any_model):
    prompts, responses = drawn(6)
    with torch.no_grad():
        whole = packed_logprobs(any_model, pack(prompts, responses, row_tokens=200, pad_id=0))
        alone = [
            packed_logprobs(any_model, pack([p], [r], row_tokens=28, pad_id=0))
            for p, r in sorted(zip(prompts, responses, strict=True), key=lambda pair: -len(pair[0]) - len(pair[1]))
        ]
    torch.testing.assert_close(whole, torch.cat(alone), atol=1e-5, rtol=0)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 30), row_tokens=st.integers(28, 90))
def test_every_token_is_packed_once_whole_and_within_the_row(seed, count, row_tokens):
    prompts, responses = drawn(count, seed)
    packed = pack(prompts, responses, row_tokens=row_tokens, pad_id=0)
    assert packed.token_ids_JL.shape[1] <= row_tokens
    seen = []
    for ids, sequence, positions, learned in zip(
        packed.token_ids_JL.tolist(),
        packed.sequence_JL.tolist(),
        packed.position_ids_JL.tolist(),
        packed.is_response_JL.tolist(),
        strict=True,
    ):
        for number in sorted(set(sequence) - {-1}):
            places = [k for k, value in enumerate(sequence) if value == number]
            assert places == list(range(places[0], places[-1] + 1))
            assert [positions[k] for k in places] == list(range(len(places)))
            split = [learned[k] for k in places].index(True)
            assert all(learned[k] for k in places[split:])
            seen.append((tuple(ids[k] for k in places[:split]), tuple(ids[k] for k in places[split:])))
            assert seen[-1] == (tuple(prompts[number]), tuple(responses[number]))
        assert all(not learned[k] and ids[k] == 0 for k, value in enumerate(sequence) if value == -1)
    asked = [(tuple(p), tuple(r)) for p, r in zip(prompts, responses, strict=True)]
    assert sorted(seen) == sorted(asked)
    tokens = sum(len(p) + len(r) for p, r in asked)
    # First-fit decreasing never needs more than 11/9 of the fewest rows and 6/9.
    assert len(packed.token_ids_JL) <= 11 / 9 * -(-tokens // row_tokens) * 2 + 1


def test_a_packed_pass_is_the_plain_one_to_the_last_bit(any_model):
    """Supervised training was written so: logits of the whole rows, softmax of the chosen, nothing else."""
    packed = pack(*drawn(12), row_tokens=60, pad_id=0)
    output = any_model(
        input_ids=packed.token_ids_JL, attention_mask=packed.attention()[:, None], position_ids=packed.position_ids_JL
    )
    learned_JL = packed.is_response_JL[:, 1:]
    logits_KV = output.logits[:, :-1][learned_JL]
    plain = logits_KV.log_softmax(-1).gather(-1, packed.token_ids_JL[:, 1:][learned_JL][:, None]).squeeze(-1)
    ours = packed_logprobs(any_model, packed)
    assert torch.equal(plain, ours)
    parameters = list(any_model.parameters())
    for one, other in zip(
        torch.autograd.grad(-plain.mean(), parameters), torch.autograd.grad(-ours.mean(), parameters), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("row_tokens", [28, 61, 400])
def test_scores_come_back_to_their_rows_at_any_temperature_with_their_entropies(any_model, row_tokens):
    prompts, responses = drawn(24)
    batch = pad(prompts, responses, pad_id=0)
    told = {"num_response": batch.response_mask_NT.shape[1], "temperature": 0.7, "entropy": True}
    padded = score(any_model, batch.token_ids_NL, batch.attention_mask_NL, **told)
    found = score_in_rows(
        any_model, batch.token_ids_NL, batch.attention_mask_NL, row_tokens=row_tokens, pad_id=0, **told
    )
    mask_NT = batch.response_mask_NT
    for one, other in ((padded.logprobs_NT, found.logprobs_NT), (padded.entropy_NT, found.entropy_NT)):
        torch.testing.assert_close(one[mask_NT], other[mask_NT], atol=2e-6, rtol=0)
        assert (other[~mask_NT] == 0).all()
    assert found.entropy_NT.requires_grad is False


@pytest.mark.parametrize("changed", [0, 7, 15])
def test_other_tokens_in_one_sequence_change_no_bit_of_the_others(any_model, changed):
    prompts, responses = drawn(16)
    batch = pad(prompts, responses, pad_id=0)
    told = {"num_response": batch.response_mask_NT.shape[1], "row_tokens": 120, "pad_id": 0}
    other_ids_NL = batch.token_ids_NL.clone()
    tokens_L = batch.attention_mask_NL[changed]
    other_ids_NL[changed, tokens_L] = (other_ids_NL[changed, tokens_L] + 1) % VOCABULARY
    with torch.no_grad():
        first, second = (
            score_in_rows(any_model, ids_NL, batch.attention_mask_NL, temperature=1.0, entropy=False, **told)
            for ids_NL in (batch.token_ids_NL, other_ids_NL)
        )
    same_N = torch.arange(16) != changed
    assert torch.equal(first.logprobs_NT[same_N], second.logprobs_NT[same_N])
    assert not torch.equal(first.logprobs_NT[changed], second.logprobs_NT[changed])


def by_boundaries(module, query, key, value, attention_mask, scaling, position_ids=None, **_):
    """Attention as the flash kernels do it: no mask, sequences cut where transformers finds the positions at 0."""
    assert attention_mask is None
    assert query.shape[0] == 1
    (starts, _), _ = prepare_fa_kwargs_from_position_ids(position_ids)
    key, value = (field.repeat_interleave(module.num_key_value_groups, 1) for field in (key, value))
    parts = [
        scaled_dot_product_attention(
            *(field[:, :, a:b] for field in (query, key, value)), is_causal=True, scale=scaling
        )
        for a, b in pairwise(starts.tolist())
    ]
    return torch.cat(parts, 2).transpose(1, 2).contiguous(), None


@pytest.mark.parametrize("attention", ["eager", "flash_by_hand"])
def test_each_kind_of_attention_gets_boundaries_in_its_own_form(any_model, attention):
    AttentionInterface.register("flash_by_hand", by_boundaries)
    prompts, responses = drawn(24)
    packed = pack(prompts, responses, row_tokens=60, pad_id=0)
    assert (packed.sequence_JL == -1).any()
    expected = packed_logprobs(any_model, packed)
    any_model.config._attn_implementation = attention
    found = packed_logprobs(any_model, packed)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


def test_attention_that_would_carry_something_over_a_boundary_is_refused(any_model):
    packed = pack(*drawn(4), row_tokens=60, pad_id=0)
    any_model.config._attn_implementation = "flex_attention"
    with pytest.raises(DataError, match="attention is flex_attention; allowed with pack_tokens: sdpa, eager and flash"):
        packed_logprobs(any_model, packed)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    sliding = MistralForCausalLM(MistralConfig(vocab_size=VOCABULARY, sliding_window=4, num_key_value_heads=4, **shape))
    with pytest.raises(DataError, match="other than full attention"):
        packed_logprobs(sliding, packed)


def test_a_sequence_longer_than_a_row_and_an_empty_prompt_are_refused(any_model):
    with pytest.raises(DataError, match="a prompt with its response has 12 tokens; allowed: at most 10"):
        pack([[3] * 5], [[4] * 7], row_tokens=10, pad_id=0)
    with pytest.raises(ValueError, match="empty prompt"):
        packed_logprobs(any_model, pack([[]], [[4, 5]], row_tokens=10, pad_id=0))
