"""Rows of the same tokens are computed once, which changes neither a score nor a gradient."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_core.batch import TrainBatch
from klear_core.trainer.collate import pad
from klear_core.trainer.distinct_rows import distinct_rows
from klear_core.trainer.micro_batches import score_rows
from klear_core.trainer.policy import score
from tests.klear_core.trainer.peaked import peaked_double


@pytest.fixture(scope="module")
def config(make_config):
    return make_config("rl.temperature=0.9")


@pytest.fixture(scope="module")
def double_model(config, tokenizer):
    return peaked_double(config, tokenizer)


TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=3)


@given(rows=st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=12))
def test_a_kind_is_a_prompt_with_its_response_and_padding_is_no_token(rows):
    padded = pad([prompt for prompt, _ in rows], [response for _, response in rows], pad_id=0)  # 0 is a token as well
    row_U, kind_N = distinct_rows(padded.token_ids_NL, padded.attention_mask_NL)
    kinds = [(tuple(prompt), tuple(response)) for prompt, response in rows]
    assert [kinds[row] for row in row_U[kind_N].tolist()] == kinds
    assert len(row_U) == len(set(kinds))


def repeated(seed, rows, kinds):
    """A batch of ``rows`` rows of at most ``kinds`` kinds, of unequal lengths."""
    torch.manual_seed(seed)
    drawn = [[torch.randint(3, 20, (int(n),)).tolist() for n in torch.randint(1, 7, (2,))] for _ in range(kinds)]
    chosen = [drawn[int(k)] for k in torch.randint(kinds, (rows,))]
    padded = pad([prompt for prompt, _ in chosen], [response for _, response in chosen], pad_id=0)
    zeros_NT = torch.zeros(padded.response_mask_NT.shape)
    return TrainBatch(
        token_ids_NL=padded.token_ids_NL,
        attention_mask_NL=padded.attention_mask_NL,
        response_mask_NT=padded.response_mask_NT,
        old_logprobs_NT=zeros_NT,
        sampler_logprobs_NT=zeros_NT,
        advantages_N=torch.randn(rows),
        group_index_N=torch.zeros(rows, dtype=torch.int64),
        counted_N=torch.ones(rows, dtype=torch.bool),
    )


@pytest.mark.parametrize("way", [{}, {"pack_tokens": 40}, {"micro_batch_tokens": 1000}], ids=str)
@settings(max_examples=15)
@given(seed=st.integers(0, 99), rows=st.integers(1, 12), kinds=st.integers(1, 12))
def test_scores_and_gradients_are_those_of_all_rows(double_model, config, way, seed, rows, kinds):
    model, batch = double_model, repeated(seed, rows, kinds)
    rl = dataclasses.replace(config.rl, **way)
    T = batch.response_mask_NT.shape[1]
    weights_NT = torch.randn(rows, T, dtype=torch.float64).masked_fill(~batch.response_mask_NT, 0.0)
    seen = []
    hook = model.get_input_embeddings().register_forward_hook(lambda module, given, output: seen.append(given[0]))
    found = score_rows(model, batch, rl, pad_id=0, entropy=True)
    hook.remove()
    expected = score(model, batch.token_ids_NL, batch.attention_mask_NL, num_response=T, temperature=0.9, entropy=True)
    mask = batch.response_mask_NT
    torch.testing.assert_close(found.logprobs_NT[mask], expected.logprobs_NT[mask], atol=1e-12, rtol=0)
    torch.testing.assert_close(found.entropy_NT[mask], expected.entropy_NT[mask], atol=1e-12, rtol=0)
    gradients = [
        torch.autograd.grad((weights_NT * scores.logprobs_NT).sum(), list(model.parameters()))
        for scores in (found, expected)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)
    # Every kind of row went through the model once, whole when packed, else but for the last column.
    (ids,) = seen
    kinds_UL = batch.token_ids_NL.unique(dim=0)
    assert int((ids != 0).sum()) == int(((kinds_UL if "pack_tokens" in way else kinds_UL[:, :-1]) != 0).sum())
