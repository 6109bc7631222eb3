"""The head's memory: tracked allocations stay below the stated bound, and the bound is small at the paper's size."""

from functools import partial

import pytest
import torch

from klear_core.trainer.head import HeadBlocks, default_blocks, head_logprobs
from klear_core.trainer.head_memory import head_extra_bytes
from klear_core.trainer.head_one_pass import ONE_PASS_BLOCKS, head_loss_one_pass
from tests.benchmarks.head import TOKEN_BLOCKS, naive, peak_bytes

PAPER = {"tokens": 32_768, "hidden": 4_096, "vocab": 151_936, "dtype": torch.bfloat16}
T, H, V = 512, 64, 4_096


def inputs(dtype):
    generator = torch.Generator().manual_seed(0)
    hidden_TH = torch.randn(T, H, generator=generator).to(dtype).requires_grad_()
    weight_VH = torch.randn(V, H, generator=generator).to(dtype).requires_grad_()
    targets_T = torch.randint(0, V, (T,), generator=generator)
    return hidden_TH, weight_VH, targets_T, torch.randn(T, generator=generator)


def two_passes(hidden_TH, weight_VH, targets_T, grad_T, *, blocks, with_entropy):
    logprobs_T, entropy_T = head_logprobs(
        hidden_TH, weight_VH, targets_T, temperature=0.9, with_entropy=with_entropy, blocks=blocks
    )
    return logprobs_T, entropy_T, *torch.autograd.grad(logprobs_T, (hidden_TH, weight_VH), grad_T)


def one_pass(hidden_TH, weight_VH, targets_T, grad_T, *, blocks, with_entropy):
    found = head_loss_one_pass(
        hidden_TH,
        weight_VH,
        targets_T,
        lambda logprobs_B: logprobs_B,
        [],
        grad_T,
        temperature=0.9,
        with_entropy=with_entropy,
        blocks=blocks,
    )
    return found.logprobs_T, found.entropy_T, *torch.autograd.grad(found.loss, (hidden_TH, weight_VH))


def extra_bytes(run, tensors):
    """The peak beside inputs, outputs and returned gradients."""
    returned = sum(tensor.nbytes for tensor in run(*tensors) if tensor is not None)
    return peak_bytes(partial(run, *tensors), "cpu") - returned


@pytest.mark.parametrize(
    ("dtype", "with_entropy", "skips"),
    [(torch.float32, False, False), (torch.bfloat16, False, False), (torch.bfloat16, True, True)],
)
@pytest.mark.parametrize(("run", "outer"), [(two_passes, "vocab"), (two_passes, "tokens"), (one_pass, "tokens")])
def test_tracked_memory_stays_below_the_bound_and_near_it(run, outer, dtype, with_entropy, skips):
    blocks = HeadBlocks(tokens=32 if run is one_pass else 128, vocab=512, outer=outer)
    tensors = inputs(dtype)
    if skips:
        tensors[3][::4] = 0.0
    bound = head_extra_bytes(
        tokens=T,
        hidden=H,
        vocab=V,
        dtype=dtype,
        blocks=blocks,
        with_entropy=with_entropy,
        device_type="cpu",
        one_pass=run is one_pass,
    )
    extra = extra_bytes(partial(run, blocks=blocks, with_entropy=with_entropy), tensors)
    assert extra <= bound.workspace + bound.weight_sum
    # A bound that nothing comes near would show nothing.
    assert extra >= (bound.workspace + bound.weight_sum) / 2
    assert bound.workspace < T * V * 4 / 4


def test_all_logits_at_once_would_pass_the_bound():
    bound = head_extra_bytes(
        tokens=T,
        hidden=H,
        vocab=V,
        dtype=torch.float32,
        blocks=HeadBlocks(tokens=128, vocab=512, outer="vocab"),
        with_entropy=True,
        device_type="cpu",
    )
    assert extra_bytes(naive, inputs(torch.float32)) > 4 * bound.workspace


@pytest.mark.parametrize("device_type", ["cuda", "cpu"])
@pytest.mark.parametrize("with_entropy", [False, True])
def test_vocabulary_blocks_take_less_than_1_5_gb_at_the_papers_size(with_entropy, device_type):
    bound = head_extra_bytes(
        **PAPER, device_type=device_type, blocks=default_blocks(device_type, vocab=151_936), with_entropy=with_entropy
    )
    assert bound.weight_sum == 0 and bound.workspace <= 1.5e9
    # The float32 sum of the hidden gradient is part of it.
    assert bound.workspace > 32_768 * 4_096 * 4


@pytest.mark.parametrize("with_entropy", [False, True])
@pytest.mark.parametrize(("blocks", "is_one_pass"), [(TOKEN_BLOCKS, False), (ONE_PASS_BLOCKS, True)])
def test_token_blocks_take_less_than_1_5_gb_and_the_sum_of_the_weight_gradient(blocks, is_one_pass, with_entropy):
    bound = head_extra_bytes(
        **PAPER, device_type="cuda", blocks=blocks, with_entropy=with_entropy, one_pass=is_one_pass
    )
    assert bound.workspace <= 1.5e9 and bound.weight_sum == 151_936 * 4_096 * 4
