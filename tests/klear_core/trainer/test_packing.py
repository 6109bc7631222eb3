import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from klear_core.errors import DataError
from klear_core.trainer.collate import pad
from klear_core.trainer.packing import pack, score_packed
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


@pytest.mark.parametrize("row_tokens", [28, 40, 120])
def test_the_packed_loss_and_its_gradient_are_the_padded_ones(any_model, row_tokens):
    prompts, responses = drawn(24)
    packed = pack(prompts, responses, row_tokens=row_tokens, pad_id=0)
    found, gradients = [], []
    for logprobs in (padded_logprobs(any_model, prompts, responses), score_packed(any_model, packed)):
        loss = -logprobs.mean()
        found.append(float(loss.detach()))
        gradients.append(torch.autograd.grad(loss, list(any_model.parameters())))
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_no_sequence_sees_its_neighbours(any_model):
    prompts, responses = drawn(6)
    with torch.no_grad():
        whole = score_packed(any_model, pack(prompts, responses, row_tokens=200, pad_id=0))
        alone = [
            score_packed(any_model, pack([p], [r], row_tokens=28, pad_id=0))
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
        for number in range(max(sequence) + 1):
            places = [k for k, value in enumerate(sequence) if value == number]
            assert places == list(range(places[0], places[-1] + 1))
            assert [positions[k] for k in places] == list(range(len(places)))
            split = [learned[k] for k in places].index(True)
            assert all(learned[k] for k in places[split:])
            seen.append((tuple(ids[k] for k in places[:split]), tuple(ids[k] for k in places[split:])))
        assert all(not learned[k] and ids[k] == 0 for k, value in enumerate(sequence) if value == -1)
    asked = [(tuple(p), tuple(r)) for p, r in zip(prompts, responses, strict=True)]
    assert sorted(seen) == sorted(asked)
    tokens = sum(len(p) + len(r) for p, r in asked)
    # First-fit decreasing never needs more than 11/9 of the fewest rows and 6/9.
    assert len(packed.token_ids_JL) <= 11 / 9 * -(-tokens // row_tokens) * 2 + 1


def test_a_demonstration_longer_than_a_row_and_an_empty_prompt_are_refused(any_model):
    with pytest.raises(DataError, match="a demonstration has 12 tokens; allowed: at most 10"):
        pack([[3] * 5], [[4] * 7], row_tokens=10, pad_id=0)
    with pytest.raises(ValueError, match="empty prompt"):
        score_packed(any_model, pack([[]], [[4, 5]], row_tokens=10, pad_id=0))
