"""The softmax in blocks of the vocabulary ends where log-softmax ends, at the edges of floating point too."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.klear_core.trainer.head_cases import blocks, head


def from_logits(logits_TV, targets_T, *, at):
    """The head on given logits: the weight is the logits themselves, picked out by one-hot hidden states."""
    return head(torch.eye(len(logits_TV), dtype=logits_TV.dtype), logits_TV.t(), targets_T, with_entropy=True, at=at)


@settings(max_examples=60)
@given(
    logits=st.lists(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=5, max_size=5), min_size=1, max_size=4),
    vocab=st.integers(1, 6),
)
def test_finite_logits_give_finite_values_and_entropies_in_their_range(logits, vocab):
    logits_TV = torch.tensor(logits)
    targets_T = torch.zeros(len(logits), dtype=torch.int64)
    logprobs_T, entropy_T = from_logits(logits_TV, targets_T, at=blocks(tokens=2, vocab=vocab))
    assert bool(logprobs_T.isfinite().all()) and bool((logprobs_T <= 0).all())
    assert bool((entropy_T >= 0).all()) and bool((entropy_T <= math.log(5) + 1e-6).all())


@pytest.mark.parametrize("vocab", [1, 2, 5])
def test_infinite_and_undefined_logits_end_as_in_log_softmax(vocab):
    inf, nan = math.inf, math.nan
    rows = [
        [0.0, 1.0, -inf, 2.0, -inf],
        [-inf, -inf, -inf, 3.0, 1.0],
        [-inf, -inf, -inf, -inf, -inf],
        [0.0, inf, 1.0, 2.0, 3.0],
        [0.0, 1.0, nan, 2.0, 3.0],
        [inf, -inf, 1.0, 2.0, inf],
    ]
    for row in rows:
        for target in range(5):
            # One row at a time: one-hot states times another row's infinity would be NaN.
            logits_V, targets_T = torch.tensor(row, dtype=torch.float64), torch.tensor([target])
            exact_V = logits_V.log_softmax(0)
            logprobs_T, entropy_T = from_logits(logits_V[None], targets_T, at=blocks(vocab=vocab))
            torch.testing.assert_close(logprobs_T[0], exact_V[target], equal_nan=True)
            exact_entropy = torch.special.entr(exact_V.exp()).sum()
            torch.testing.assert_close(entropy_T[0], exact_entropy, equal_nan=True)
