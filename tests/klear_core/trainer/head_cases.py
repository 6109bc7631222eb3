"""Inputs for the tests of the fused head, and what log-softmax over all logits makes of them."""

import math

import pytest
import torch

from klear_core.trainer.head import HeadBlocks, head_logprobs

GATE = 1e-3
BOTH = pytest.mark.parametrize("outer", ["vocab", "tokens"])


def blocks(outer="vocab", tokens=3, vocab=4):
    return HeadBlocks(tokens=tokens, vocab=vocab, outer=outer)


def head(hidden_TH, weight_VH, targets_T, *, temperature=1.0, with_entropy=False, at=None):
    return head_logprobs(hidden_TH, weight_VH, targets_T, temperature=temperature, with_entropy=with_entropy, blocks=at)


def inputs(T, H, V, *, dtype=torch.float64, seed=0, peak=2.0):
    """Hidden states and weight with gradient, logits of standard deviation ``peak``, targets, incoming gradient."""
    generator = torch.Generator().manual_seed(seed)
    hidden_TH = torch.randn(T, H, generator=generator, dtype=torch.float64).to(dtype)
    weight_VH = (torch.randn(V, H, generator=generator, dtype=torch.float64) * peak / math.sqrt(H)).to(dtype)
    targets_T = torch.randint(0, V, (T,), generator=generator)
    grad_T = torch.randn(T, generator=generator, dtype=torch.float64)
    return hidden_TH.requires_grad_(), weight_VH.requires_grad_(), targets_T, grad_T


def reference(hidden_TH, weight_VH, targets_T, *, temperature=1.0):
    """Log-probabilities and entropies from all logits, in float64."""
    logits_TV = hidden_TH.double() @ weight_VH.double().t() / temperature
    all_logprobs_TV = logits_TV.log_softmax(1)
    entropy_T = torch.special.entr(all_logprobs_TV.exp()).sum(1)
    return all_logprobs_TV.gather(1, targets_T[:, None]).squeeze(1), entropy_T


def gap(logprobs_T, exact_T):
    return (logprobs_T.double() - exact_T).expm1().abs().max().item()
