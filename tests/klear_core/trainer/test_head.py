"""The fused head against log-softmax over all logits: values, gradients, skipped tokens, and any transformer."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from klear_core.errors import ConfigError
from klear_core.trainer.head import HeadBlocks, head_logprobs
from klear_core.trainer.policy import score
from tests.klear_core.trainer.head_cases import BOTH, GATE, blocks, gap, head, inputs, reference


@pytest.fixture(scope="module")
def large():
    """Inputs in bfloat16 at the vocabulary of Qwen3, and what float64 makes of them."""
    tensors = inputs(16, 64, 151_936, dtype=torch.bfloat16, peak=4.0)
    exact_T, exact_entropy_T = reference(*tensors[:3])
    return tensors, exact_T.detach(), exact_entropy_T, torch.autograd.grad(exact_T, tensors[:2], tensors[3])


@BOTH
def test_bfloat16_inputs_at_a_large_vocabulary_pass_the_gate_with_their_gradients(large, outer):
    (hidden_TH, weight_VH, targets_T, grad_T), exact_T, exact_entropy_T, exact = large
    at = HeadBlocks(tokens=9, vocab=60_000, outer=outer)
    logprobs_T, entropy_T = head(hidden_TH, weight_VH, targets_T, with_entropy=True, at=at)
    found = torch.autograd.grad(logprobs_T, (hidden_TH, weight_VH), grad_T.float())
    assert logprobs_T.dtype == entropy_T.dtype == torch.float32
    assert gap(logprobs_T, exact_T) <= GATE / 10
    torch.testing.assert_close(entropy_T.double(), exact_entropy_T, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(found, exact, strict=True):
        # Both are rounded to bfloat16 at the end: at most one unit in the last place.
        torch.testing.assert_close(ours, theirs, rtol=2**-7, atol=1e-6)


@BOTH
def test_gradients_pass_gradcheck(outer):
    hidden_TH, weight_VH, targets_T, _ = inputs(5, 3, 9)

    def logprobs(hidden_TH, weight_VH):
        return head(hidden_TH, weight_VH, targets_T, temperature=0.7, at=blocks(outer, 2, 4))[0]

    assert torch.autograd.gradcheck(logprobs, (hidden_TH, weight_VH))


@settings(max_examples=60)
@given(
    T=st.integers(1, 9),
    H=st.integers(1, 5),
    V=st.integers(1, 12),
    at=st.builds(blocks, st.sampled_from(["vocab", "tokens"]), st.integers(1, 10), st.integers(1, 13)),
    temperature=st.floats(0.1, 3.0),
    seed=st.integers(0, 99),
    skipped=st.sets(st.integers(0, 8)),
)
def test_blocks_change_nothing_beyond_rounding(T, H, V, at, temperature, seed, skipped):
    hidden_TH, weight_VH, targets_T, grad_T = inputs(T, H, V, seed=seed)
    grad_T[[row for row in skipped if row < T]] = 0.0
    exact_T, exact_entropy_T = reference(hidden_TH, weight_VH, targets_T, temperature=temperature)
    exact = torch.autograd.grad(exact_T, (hidden_TH, weight_VH), grad_T)
    logprobs_T, entropy_T = head(hidden_TH, weight_VH, targets_T, temperature=temperature, with_entropy=True, at=at)
    found = torch.autograd.grad(logprobs_T, (hidden_TH, weight_VH), grad_T)
    torch.testing.assert_close(logprobs_T, exact_T, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(entropy_T, exact_entropy_T, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-11)


def test_a_tied_weight_gathers_the_gradients_of_both_its_uses():
    _, weight_VH, targets_T, grad_T = inputs(6, 4, 9)
    exact_T, _ = reference(weight_VH[targets_T.roll(1)].sin(), weight_VH, targets_T)
    (exact_VH,) = torch.autograd.grad(exact_T, weight_VH, grad_T)
    logprobs_T, _ = head(weight_VH[targets_T.roll(1)].sin(), weight_VH, targets_T, at=blocks())
    logprobs_T.backward(grad_T)
    torch.testing.assert_close(weight_VH.grad, exact_VH)


@BOTH
def test_no_tokens_give_no_values_and_zero_gradients(outer):
    hidden_TH, weight_VH, targets_T, grad_T = inputs(0, 4, 9)
    logprobs_T, entropy_T = head(hidden_TH, weight_VH, targets_T, with_entropy=True, at=blocks(outer))
    assert logprobs_T.shape == entropy_T.shape == (0,)
    grad_hidden_TH, grad_weight_VH = torch.autograd.grad(logprobs_T, (hidden_TH, weight_VH), grad_T)
    assert grad_hidden_TH.shape == (0, 4) and not grad_weight_VH.any()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_values_without_gradients_are_the_same(mode):
    hidden_TH, weight_VH, targets_T, _ = inputs(6, 4, 9)
    with mode():
        logprobs_T, entropy_T = head(hidden_TH, weight_VH, targets_T, with_entropy=True, at=blocks())
    assert not logprobs_T.requires_grad
    with_grad_T, with_grad_entropy_T = head(hidden_TH, weight_VH, targets_T, with_entropy=True, at=blocks())
    assert with_grad_T.requires_grad and not with_grad_entropy_T.requires_grad
    assert torch.equal(logprobs_T, with_grad_T) and torch.equal(entropy_T, with_grad_entropy_T)


@BOTH
@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_side_gets_no_gradient_and_the_other_the_same(outer, frozen):
    tensors = inputs(6, 4, 9)
    exact = torch.autograd.grad(head(*tensors[:3], at=blocks(outer))[0], tensors[:2], tensors[3])
    tensors[frozen].requires_grad_(False)
    (found,) = torch.autograd.grad(head(*tensors[:3], at=blocks(outer))[0], tensors[1 - frozen], tensors[3])
    assert torch.equal(found, exact[1 - frozen])


def work(hidden_TH, weight_VH, targets_T, grad_T, at):
    """Gradients, and how many multiplications and additions the backward pass takes."""
    logprobs_T, _ = head(hidden_TH, weight_VH, targets_T, at=at)
    with FlopCounterMode(display=False) as counter:
        gradients = torch.autograd.grad(logprobs_T, (hidden_TH, weight_VH), grad_T)
    return gradients, counter.get_total_flops()


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tokens_without_a_gradient_cost_nothing_and_change_nothing(outer, dtype):
    T, H, V = 12, 8, 40
    hidden_TH, weight_VH, targets_T, grad_T = inputs(T, H, V, dtype=dtype)
    grad_T = grad_T.float()
    _, all_flops = work(hidden_TH, weight_VH, targets_T, grad_T, blocks(outer, 5, 16))
    grad_T[::3] = 0.0
    (grad_hidden_TH, grad_weight_VH), some_flops = work(hidden_TH, weight_VH, targets_T, grad_T, blocks(outer, 5, 16))
    assert all_flops == 6 * T * H * V and some_flops == 6 * (T - 4) * H * V
    assert not grad_hidden_TH[::3].any()
    kept_T = grad_T != 0
    (kept_hidden_KH, kept_weight_VH), _ = work(
        hidden_TH[kept_T], weight_VH, targets_T[kept_T], grad_T[kept_T], blocks(outer, 5, 16)
    )
    assert torch.equal(grad_hidden_TH[kept_T], kept_hidden_KH) and torch.equal(grad_weight_VH, kept_weight_VH)


@BOTH
def test_a_token_without_a_gradient_may_hold_anything(outer):
    hidden_TH, weight_VH, targets_T, grad_T = inputs(6, 4, 9)
    broken_TH = hidden_TH.detach().clone()
    broken_TH[2] = math.nan
    grad_T[2] = 0.0
    found, _ = work(broken_TH.requires_grad_(), weight_VH, targets_T, grad_T, blocks(outer))
    exact, _ = work(hidden_TH, weight_VH, targets_T, grad_T, blocks(outer))
    assert torch.equal(found[0], exact[0]) and torch.equal(found[1], exact[1])


@BOTH
def test_a_step_without_gradients_does_no_work(outer):
    hidden_TH, weight_VH, targets_T, grad_T = inputs(6, 4, 9)
    gradients, flops = work(hidden_TH, weight_VH, targets_T, torch.zeros_like(grad_T), blocks(outer))
    assert flops == 0 and not any(gradient.any() for gradient in gradients)


@BOTH
def test_an_undefined_gradient_is_not_skipped(outer):
    hidden_TH, weight_VH, targets_T, grad_T = inputs(6, 4, 9)
    grad_T[2] = math.nan
    gradients, _ = work(hidden_TH, weight_VH, targets_T, grad_T, blocks(outer))
    assert all(bool(gradient.isnan().any()) for gradient in gradients)


def test_the_head_of_a_transformer_scores_as_its_logits_do(model, tokenizer):
    model.double()
    token_ids_NL = torch.randint(3, len(tokenizer), (3, 9), generator=torch.Generator().manual_seed(0))
    scored = score(
        model, token_ids_NL, torch.ones(3, 9, dtype=torch.bool), num_response=4, temperature=0.7, entropy=True
    )
    hidden_NTH = model.model(input_ids=token_ids_NL[:, :-1], use_cache=False).last_hidden_state[:, -4:]
    logprobs_T, entropy_T = head(
        hidden_NTH.flatten(0, 1),
        model.get_output_embeddings().weight,
        token_ids_NL[:, -4:].flatten(),
        temperature=0.7,
        with_entropy=True,
        at=blocks(),
    )
    torch.testing.assert_close(logprobs_T, scored.logprobs_NT.flatten(), rtol=0, atol=1e-12)
    torch.testing.assert_close(entropy_T, scored.entropy_NT.flatten(), rtol=0, atol=1e-12)
    parameters = list(model.parameters())
    exact = torch.autograd.grad(scored.logprobs_NT.sum(), parameters)
    torch.testing.assert_close(torch.autograd.grad(logprobs_T.sum(), parameters), exact, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("backend", "text"), [("liger", "rounds logits to half precision"), ("cuda", "allowed: torch")]
)
def test_a_backend_that_breaks_the_promises_is_refused_in_one_line(backend, text):
    tensors = inputs(2, 3, 5)[:3]
    with pytest.raises(ConfigError, match=text) as raised:
        head_logprobs(*tensors, temperature=1.0, with_entropy=False, backend=backend)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("change", ["shape", "dtype", "target", "index dtype", "temperature", "no words"])
def test_inputs_that_do_not_fit_are_refused(change):
    hidden_TH, weight_VH, targets_T, _ = inputs(3, 4, 5)
    temperature = 1.0
    if change == "shape":
        targets_T = targets_T[:2]
    elif change == "dtype":
        weight_VH = weight_VH.float()
    elif change == "target":
        targets_T = targets_T + 5
    elif change == "index dtype":
        targets_T = targets_T.int()
    elif change == "temperature":
        temperature = 0.0
    else:
        weight_VH = weight_VH[:0]
    with pytest.raises(ValueError):
        head(hidden_TH, weight_VH, targets_T, temperature=temperature)


@pytest.mark.parametrize("setting", [{"tokens": 0}, {"vocab": 0}, {"outer": "rows"}])
def test_blocks_that_hold_nothing_are_refused(setting):
    with pytest.raises(ValueError, match="at least 1"):
        blocks(**setting)
