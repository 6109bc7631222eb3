"""The head's matrix products: never rounded to half precision, in the logits or in a sum."""

import pytest
import torch

from klear_core.trainer import head_products
from klear_core.trainer.head import HeadBlocks
from klear_core.trainer.head_one_pass import head_loss_one_pass
from tests.klear_core.trainer.head_cases import BOTH, GATE, blocks, gap, head, inputs, reference


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_logits_rounded_to_half_precision_would_fail_the_gate(half):
    hidden_TH, weight_VH, targets_T, _ = inputs(64, 64, 4_000, dtype=torch.bfloat16, peak=4.0)
    exact_T, _ = reference(hidden_TH, weight_VH, targets_T)
    rounded_TV = (hidden_TH.float() @ weight_VH.float().t()).to(half).float()
    assert gap(rounded_TV.log_softmax(1).gather(1, targets_T[:, None]).squeeze(1), exact_T) > GATE


@pytest.fixture
def half_products(monkeypatch):
    """Products as on a CUDA device: half precision in, float32 out, and no two dtypes in one product."""
    mm, addmm = torch.mm, torch.addmm

    def checked(*operands, out_dtype=None):
        assert len({operand.dtype for operand in operands}) == 1
        assert (out_dtype is None) == (operands[0].dtype == torch.float32)
        return [operand.float() for operand in operands]

    monkeypatch.setattr(head_products, "multiplies_half", lambda dtype, _: dtype == torch.bfloat16)
    monkeypatch.setattr(torch, "mm", lambda left, right, **how: mm(*checked(left, right, **how)))
    monkeypatch.setattr(
        torch, "addmm", lambda total, left, right, out, **how: addmm(total, *checked(left, right, **how), out=out)
    )


@BOTH
def test_products_of_half_precision_pass_the_gate_with_gradients_rounded_once_more(half_products, outer):
    hidden_TH, weight_VH, targets_T, grad_T = inputs(16, 64, 4_000, dtype=torch.bfloat16, peak=4.0)
    exact_T, _ = reference(hidden_TH, weight_VH, targets_T)
    exact = torch.autograd.grad(exact_T, (hidden_TH, weight_VH), grad_T)
    logprobs_T, _ = head(hidden_TH, weight_VH, targets_T, at=HeadBlocks(tokens=9, vocab=1_500, outer=outer))
    assert gap(logprobs_T, exact_T) <= GATE / 10
    for ours, theirs in zip(
        torch.autograd.grad(logprobs_T, (hidden_TH, weight_VH), grad_T.float()), exact, strict=True
    ):
        assert (ours - theirs).norm() <= 2**-7 * theirs.norm()


def test_one_pass_in_half_precision_passes_the_gate_with_gradients_rounded_once_more(half_products):
    hidden_TH, weight_VH, targets_T, grad_T = inputs(16, 64, 4_000, dtype=torch.bfloat16, peak=4.0)
    exact_T, _ = reference(hidden_TH, weight_VH, targets_T)
    exact = torch.autograd.grad(exact_T, (hidden_TH, weight_VH), grad_T)
    found = head_loss_one_pass(
        hidden_TH,
        weight_VH,
        targets_T,
        lambda logprobs_B: logprobs_B,
        [],
        grad_T.float(),
        temperature=1.0,
        with_entropy=False,
        blocks=HeadBlocks(tokens=9, vocab=1_500, outer="tokens"),
    )
    assert gap(found.logprobs_T, exact_T) <= GATE / 10
    for ours, theirs in zip(torch.autograd.grad(found.loss, (hidden_TH, weight_VH)), exact, strict=True):
        assert (ours - theirs).norm() <= 2**-7 * theirs.norm()


def test_many_small_weight_gradients_are_not_lost_in_half_precision():
    # 4,096 equal parts: a sum in bfloat16 stands still once it is 256 times a part.
    T = 4_096
    hidden_TH = torch.ones(T, 1, dtype=torch.bfloat16)
    weight_VH = torch.zeros(2, 1, dtype=torch.bfloat16, requires_grad=True)
    logprobs_T, _ = head(hidden_TH, weight_VH, torch.zeros(T, dtype=torch.int64), at=blocks("vocab", 4, 2))
    (grad_VH,) = torch.autograd.grad(logprobs_T.sum(), weight_VH)
    assert grad_VH.dtype == torch.bfloat16 and grad_VH.squeeze(1).tolist() == [T / 2, -T / 2]


def test_autocast_does_not_round_the_logits():
    hidden_TH, weight_VH, targets_T, grad_T = inputs(6, 16, 40, dtype=torch.float32)
    plain_T, _ = head(hidden_TH, weight_VH, targets_T, at=blocks())
    plain = torch.autograd.grad(plain_T, (hidden_TH, weight_VH), grad_T.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast_T, _ = head(hidden_TH, weight_VH, targets_T, at=blocks())
        cast = torch.autograd.grad(cast_T, (hidden_TH, weight_VH), grad_T.float())
    assert torch.equal(cast_T, plain_T) and all(map(torch.equal, cast, plain))
