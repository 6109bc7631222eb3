"""One pass against two: the same loss, gradients and diagnostics for every reduction, with a quarter less work."""

import math
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from klear_core.objectives.policy_loss import policy_loss
from klear_core.objectives.reductions import get_reduction, reduction_names, step_denominators
from klear_core.objectives.surrogates import gppo, ppo_clip, reinforce
from klear_core.trainer.head import HeadBlocks, head_logprobs
from klear_core.trainer.head_one_pass import head_loss_one_pass, reduction_weights

N, T, H, V = 4, 6, 5, 11
BLOCKS = HeadBlocks(tokens=5, vocab=4, outer="tokens")
CLIP = {"clip_low": 0.2, "clip_high": 0.2, "dual_clip": None}


@pytest.fixture
def batch():
    """Rows of different lengths in two groups, the second of which has no advantage."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    lengths_N = torch.tensor([6, 2, 4, 3])
    groups_N = torch.tensor([0, 0, 1, 1])
    return {
        "hidden": draw(N * T, H).requires_grad_(),
        "weight": draw(V, H).requires_grad_(),
        "targets": torch.randint(0, V, (N * T,), generator=generator),
        "old": draw(N, T) * 0.3 - 2.4,
        "advantages": torch.tensor([1.0, -1.0, 0.0, 0.0], dtype=torch.float64),
        "mask": torch.arange(T) < lengths_N[:, None],
        "sizes": {
            "denominators": step_denominators(lengths_N, groups_N, num_groups=2),
            "group_index_N": groups_N,
            "max_tokens": 8,
        },
    }


def two_passes(batch, surrogate, params, reduction):
    logprobs_T, entropy_T = head_logprobs(
        batch["hidden"], batch["weight"], batch["targets"], temperature=0.8, with_entropy=True, blocks=BLOCKS
    )
    loss = policy_loss(
        logprobs_T.view(N, T),
        batch["old"],
        batch["advantages"],
        batch["mask"],
        surrogate=surrogate,
        params=params,
        reduction=reduction,
        **batch["sizes"],
    ).total
    return loss, logprobs_T, entropy_T


def one_pass(batch, surrogate, params, reduction, *, mode=nullcontext, blocks=BLOCKS):
    reduce = partial(get_reduction(reduction), mask_NT=batch["mask"], **batch["sizes"])
    weights_NT = reduction_weights(reduce, batch["mask"].shape, like=batch["old"])
    with mode():
        return head_loss_one_pass(
            batch["hidden"],
            batch["weight"],
            batch["targets"],
            partial(surrogate, **params),
            [batch["old"].flatten(), batch["advantages"].repeat_interleave(T)],
            weights_NT.flatten(),
            temperature=0.8,
            with_entropy=True,
            blocks=blocks,
        )


def gradients(loss, batch, scale=1.0):
    return torch.autograd.grad(loss * scale, (batch["hidden"], batch["weight"]))


@pytest.mark.parametrize("reduction", reduction_names())
@pytest.mark.parametrize(
    ("surrogate", "params"),
    [(ppo_clip, CLIP), (gppo, {**CLIP, "beta_low": 0.5, "beta_high": 1.0}), (reinforce, {})],
)
def test_one_pass_equals_two_for_every_reduction(batch, reduction, surrogate, params):
    loss, logprobs_T, entropy_T = two_passes(batch, surrogate, params, reduction)
    found = one_pass(batch, surrogate, params, reduction)
    torch.testing.assert_close(found.loss, loss, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.logprobs_T, logprobs_T.detach())
    torch.testing.assert_close(found.entropy_T, entropy_T)
    torch.testing.assert_close(gradients(found.loss, batch, 3.0), gradients(loss, batch, 3.0), rtol=1e-11, atol=1e-12)


def test_the_weights_of_a_reduction_give_its_value(batch):
    field_NT = batch["old"]
    for name in reduction_names():
        reduce = partial(get_reduction(name), mask_NT=batch["mask"], **batch["sizes"])
        weights_NT = reduction_weights(reduce, field_NT.shape, like=field_NT)
        torch.testing.assert_close((weights_NT * field_NT).sum(), reduce(field_NT))
        assert not weights_NT[~batch["mask"]].any()


def test_one_pass_computes_the_logits_once_and_skips_tokens_without_a_gradient(batch):
    with FlopCounterMode(display=False) as counter:
        gradients(one_pass(batch, reinforce, {}, "token_mean").loss, batch)
    # Rows without an advantage have logits and no gradient; 8 of 24 tokens have both.
    assert counter.get_total_flops() == 2 * N * T * H * V + 4 * 8 * H * V


def test_padding_may_hold_anything(batch):
    clean = one_pass(batch, ppo_clip, CLIP, "token_mean")
    batch["old"][~batch["mask"]] = -math.inf
    dirty = one_pass(batch, ppo_clip, CLIP, "token_mean")
    assert torch.equal(dirty.loss, clean.loss)
    for ours, theirs in zip(gradients(dirty.loss, batch), gradients(clean.loss, batch), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_loss_without_gradients_is_the_same(batch, mode):
    found = one_pass(batch, ppo_clip, CLIP, "token_mean")
    plain = one_pass(batch, ppo_clip, CLIP, "token_mean", mode=mode)
    assert found.loss.requires_grad and not plain.loss.requires_grad
    torch.testing.assert_close(plain.loss, found.loss.detach())
    assert not found.logprobs_T.requires_grad and torch.equal(plain.logprobs_T, found.logprobs_T)


def test_gradients_are_handed_over_once(batch):
    found = one_pass(batch, ppo_clip, CLIP, "token_mean")
    torch.autograd.grad(found.loss, batch["hidden"], retain_graph=True)
    with pytest.raises(RuntimeError, match="handed over once"):
        torch.autograd.grad(found.loss, batch["hidden"])


def test_no_tokens_give_a_loss_of_zero(batch):
    found = head_loss_one_pass(
        batch["hidden"][:0],
        batch["weight"],
        batch["targets"][:0],
        reinforce,
        [batch["old"].flatten()[:0]] * 2,
        batch["old"].flatten()[:0],
        temperature=1.0,
        with_entropy=True,
        blocks=BLOCKS,
    )
    assert found.loss.item() == 0 and found.logprobs_T.shape == found.entropy_T.shape == (0,)
    assert not torch.autograd.grad(found.loss, batch["weight"])[0].any()


def test_the_vocabulary_cannot_be_the_outer_loop_of_one_pass(batch):
    with pytest.raises(ValueError, match="one pass finishes tokens"):
        one_pass(batch, ppo_clip, CLIP, "token_mean", blocks=HeadBlocks(tokens=5, vocab=4, outer="vocab"))
