"""Choosing tokens and putting completions together, apart from any model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from klear_core.records import FinishReason, SamplingParams
from klear_core.rollout.sampling import Choice, Sampled, choose


def params(temperature=1.0, top_p=1.0):
    return SamplingParams(temperature=temperature, top_p=top_p, max_tokens=1, num_samples=1)


@settings(max_examples=60, derandomize=True)
@given(
    logits=st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=8),
    draw=st.floats(0, 1, exclude_max=True),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    top_p=st.sampled_from([0.3, 0.9, 1.0]),
)
def test_a_choice_inverts_the_distribution_at_the_draw(logits, draw, temperature, top_p):
    choice = choose(torch.tensor([logits]), params(temperature, top_p), torch.tensor([draw], dtype=torch.float64))
    scaled = np.array(logits, dtype=np.float64) / temperature
    probs = np.exp(scaled - scaled.max())
    probs /= probs.sum()
    token = int(choice.tokens_N[0])
    order = np.argsort(-probs, kind="stable")
    kept = np.zeros(len(probs))
    for index in order:
        if probs[order[: list(order).index(index)]].sum() < top_p:
            kept[index] = probs[index]
    edges = np.concatenate([[0.0], np.cumsum(kept) / kept.sum()])
    # The nucleus and the edges are found in float32, so a draw next to an edge may fall on either side of it.
    if top_p == 1:
        assert edges[token] - 1e-6 <= draw <= edges[token + 1] + 1e-6
    assert choice.logprobs_N[0] == pytest.approx(np.log(probs[token]), abs=2e-5, rel=1e-5)
    entropy = -(probs * np.log(np.maximum(probs, 1e-300))).sum()
    assert choice.entropies_N[0] == pytest.approx(entropy, abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("loaded", [False, True])
def test_texts_are_those_of_the_tokenizers_own_decoding(loaded, tokenizer, tmp_path):
    if loaded:
        tokenizer.save_pretrained(tmp_path)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    torch.manual_seed(0)
    tokens_NT = torch.randint(len(tokenizer), (40, 12))
    sampled = Sampled(40, 12)
    for t in range(12):
        nothing = torch.zeros(40)
        choice = Choice(tokens_N=tokens_NT[:, t], logprobs_N=nothing, entropies_N=nothing)
        sampled.put(t, torch.arange(40), choice)
    sampled.lengths_N.copy_(torch.randint(1, 13, (40,)))
    for row, length, completion in zip(
        tokens_NT.tolist(), sampled.lengths_N.tolist(), sampled.completions(tokenizer), strict=True
    ):
        assert completion.token_ids == tuple(row[:length])
        assert completion.text == tokenizer.decode(row[:length], skip_special_tokens=True)
        ended = row[length - 1] == tokenizer.eos_token_id
        assert completion.finish_reason is (FinishReason.STOP if ended else FinishReason.LENGTH)
