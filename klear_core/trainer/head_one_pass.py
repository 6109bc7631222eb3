"""Loss and gradients of the head in one pass over the logits, for objectives that look at one token at a time.

Where a token's loss depends on no other token's log-probability, its gradient is known while the token's logits are
still there, and they need not be computed again: 6 multiples of T x H x V multiplications and additions, not 8.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from klear_core.trainer.head import HeadBlocks, check_inputs
from klear_core.trainer.head_products import add_product, operand, wide_dtype
from klear_core.trainer.head_softmax import OnlineSoftmax, grad_logits_, online_softmax, scaled_logits, spans

# All logits of a block of tokens are held, so it is smaller than in two passes.
ONE_PASS_BLOCKS = HeadBlocks(tokens=512, vocab=8192, outer="tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnePassLoss:
    """A loss whose gradients are computed, and what the diagnostics look at."""

    loss: Tensor  # scalar; its backward pass hands the gradients over, once
    logprobs_T: Tensor  # nats; detached
    entropy_T: Tensor | None  # nats; detached


def reduction_weights(reduction: Callable[[Tensor], Tensor], loss_shape: torch.Size, *, like: Tensor) -> Tensor:
    """The weight of each token's loss in a reduction that is linear in them: reduction(loss) = sum(weights * loss).

    ``reduction`` takes a field of ``loss_shape`` to a scalar; dtype and device are those of ``like``.
    """
    with torch.enable_grad():
        field = torch.ones(loss_shape, dtype=like.dtype, device=like.device, requires_grad=True)
        return torch.autograd.grad(reduction(field), field)[0]


def head_loss_one_pass(
    hidden_TH: Tensor,
    weight_VH: Tensor,
    targets_T: Tensor,
    token_loss: Callable[..., Tensor],
    fields_T: Sequence[Tensor],
    weights_T: Tensor,
    *,
    temperature: float,
    with_entropy: bool,
    blocks: HeadBlocks = ONE_PASS_BLOCKS,
) -> OnePassLoss:
    """sum(weights * token_loss(logprobs, *fields)) over T tokens, with its gradients of hidden states and weight.

    ``token_loss`` is a plain function over log-probabilities such as a surrogate: it sees blocks of tokens, in order,
    and of every tensor of ``fields_T`` (old log-probabilities, advantages ...) the same block; its result for a token
    may depend on that token alone.  ``weights_T`` are the weights of a reduction (``reduction_weights``); a token of
    weight 0 reaches neither value nor gradient, whatever its loss is.  The other arguments, the log-probabilities and
    the entropies are those of ``klear_core.trainer.head.head_logprobs``.

    ValueError for inputs that do not fit, and for blocks whose outer loop is not over tokens.  RuntimeError when the
    loss is taken back a second time.
    """
    check_inputs(hidden_TH, weight_VH, targets_T, temperature)
    if blocks.outer != "tokens":
        raise ValueError(f"{blocks}: one pass finishes tokens before it goes on, so the outer loop is over tokens")
    has_grad = torch.is_grad_enabled()
    with torch.no_grad(), torch.autocast(hidden_TH.device.type, enabled=False):
        run = _Pass(
            hidden_TH,
            weight_VH,
            temperature,
            for_hidden=has_grad and hidden_TH.requires_grad,
            for_weight=has_grad and weight_VH.requires_grad,
        )
        losses, logprobs, entropies = [], [], []
        for rows in spans(len(targets_T), blocks.tokens):
            block = _Tokens(rows, targets_T[rows], [field_T[rows] for field_T in fields_T], weights_T[rows])
            loss, softmax = run.add(block, token_loss, with_entropy=with_entropy, vocab_block=blocks.vocab)
            losses.append(loss)
            logprobs.append(softmax.logprobs())
            entropies.append(softmax.entropy())
        empty = torch.empty_like(targets_T, dtype=wide_dtype(hidden_TH.dtype))[:0]
        total = torch.stack(losses).sum() if losses else empty.sum()
        logprobs_T = torch.cat([empty, *logprobs])
        entropy_T = torch.cat([empty, *(part for part in entropies if part is not None)]) if with_entropy else None
        grad_hidden_TH, grad_weight_VH = run.gradients()
    loss = _Carry.apply(hidden_TH, weight_VH, total, grad_hidden_TH, grad_weight_VH)  # type: ignore[no-untyped-call]
    return OnePassLoss(loss=loss, logprobs_T=logprobs_T, entropy_T=entropy_T)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """A block of tokens: where it lies, and what the objective needs of it."""

    rows: slice
    targets_B: Tensor
    fields_B: list[Tensor]
    weights_B: Tensor


class _Pass:
    """The gradients as they grow from one block of tokens to the next."""

    def __init__(
        self, hidden_TH: Tensor, weight_VH: Tensor, temperature: float, *, for_hidden: bool, for_weight: bool
    ) -> None:
        self.hidden_TH, self.weight_VH, self.temperature = hidden_TH, weight_VH, temperature
        self.dtype = wide_dtype(hidden_TH.dtype)
        self.grad_hidden_TH = torch.zeros_like(hidden_TH) if for_hidden else None
        self.sum_VH = torch.zeros_like(weight_VH, dtype=self.dtype) if for_weight else None

    def add(
        self, block: _Tokens, token_loss: Callable[..., Tensor], *, with_entropy: bool, vocab_block: int
    ) -> tuple[Tensor, OnlineSoftmax]:
        """The weighted loss of a block of tokens, and their distributions."""
        hidden_BH = operand(self.hidden_TH[block.rows])
        if self.grad_hidden_TH is None and self.sum_VH is None:
            softmax = online_softmax(
                hidden_BH,
                self.weight_VH,
                block.targets_B,
                temperature=self.temperature,
                with_entropy=with_entropy,
                vocab_block=vocab_block,
            )
            return _weighted(token_loss, softmax.logprobs(), block).sum(), softmax
        softmax = OnlineSoftmax(block.targets_B, self.dtype, with_entropy=with_entropy)
        logits = {}
        for words in spans(len(self.weight_VH), vocab_block):
            logits[words.start] = scaled_logits(hidden_BH, operand(self.weight_VH[words]), self.temperature)
            softmax.add(logits[words.start], words.start, keep=True)
        loss, grad_B = _loss_and_gradient(token_loss, softmax.logprobs(), block)
        self._add_gradients(block, hidden_BH, softmax.logsumexp(), grad_B, logits)
        return loss, softmax

    def _add_gradients(
        self, block: _Tokens, hidden_BH: Tensor, logsumexp_B: Tensor, grad_B: Tensor, logits: dict[int, Tensor]
    ) -> None:
        """Add the block's part of both gradients; tokens without a gradient take no part in the products."""
        index_K = grad_B.nonzero().squeeze(1)
        # A slice is a view where an index would copy.
        rows = slice(None) if len(index_K) == len(grad_B) else index_K
        hidden_KH = hidden_BH[rows]
        sum_KH = None if self.grad_hidden_TH is None else torch.zeros_like(hidden_KH, dtype=self.dtype)
        for first, logits_BX in logits.items():
            words = slice(first, first + logits_BX.shape[1])
            grad_KX = grad_logits_(
                logits_BX[rows], block.targets_B[rows], logsumexp_B[rows], grad_B[rows], first, self.temperature
            ).to(hidden_KH.dtype)
            if self.sum_VH is not None:
                add_product(self.sum_VH[words], grad_KX.t(), hidden_KH)
            if sum_KH is not None:
                add_product(sum_KH, grad_KX, operand(self.weight_VH[words]))
            # The next block is computed when this one is gone.
            del grad_KX
        if self.grad_hidden_TH is not None and sum_KH is not None:
            self.grad_hidden_TH[block.rows][rows] = sum_KH.to(self.grad_hidden_TH.dtype)

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Both gradients, in the dtypes of their tensors."""
        return self.grad_hidden_TH, None if self.sum_VH is None else self.sum_VH.to(self.weight_VH.dtype)


def _weighted(token_loss: Callable[..., Tensor], logprobs_B: Tensor, block: _Tokens) -> Tensor:
    """Each token's part of the loss."""
    return token_loss(logprobs_B, *block.fields_B).masked_fill(block.weights_B == 0, 0.0) * block.weights_B


def _loss_and_gradient(token_loss: Callable[..., Tensor], logprobs_B: Tensor, block: _Tokens) -> tuple[Tensor, Tensor]:
    """The weighted sum of the tokens' losses, and its gradient of their log-probabilities."""
    with torch.enable_grad():
        logprobs_B.requires_grad_()
        loss = _weighted(token_loss, logprobs_B, block).sum()
        (grad_B,) = torch.autograd.grad(loss, logprobs_B)
    # The derivative of a loss that is left out may be infinite, and 0 * infinity is NaN.
    return loss.detach(), grad_B.masked_fill(block.weights_B == 0, 0.0)


class _Carry(torch.autograd.Function):
    """A loss that hands over gradients computed before, times its own."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_TH: Tensor,
        weight_VH: Tensor,
        loss: Tensor,
        grad_hidden_TH: Tensor | None,
        grad_weight_VH: Tensor | None,
    ) -> Tensor:
        ctx.gradients = (grad_hidden_TH, grad_weight_VH)
        return loss.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("the gradients of a one-pass loss are handed over once, and were")
        # In place: a second copy of the weight gradient would be as large as what one pass saves.
        scaled = [None if part is None else part.mul_(grad) for part in ctx.gradients]
        ctx.gradients = None
        return *scaled, None, None, None
