"""Log-probabilities and entropies from the last hidden states, without the logits of all tokens ever being held.

The logits of T tokens over a vocabulary of V are [T, V]: 20 GB in float32 at 32,768 tokens and 151,936 words.  Here
they exist in blocks.  The forward pass keeps their log-sum-exp; the backward pass computes them again and takes
gradients of logits from it, so that a training step costs 8 multiples of T x H x V multiplications and additions
instead of 6 (``klear_core.trainer.head_one_pass`` does it in 6 where the loss allows).
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from klear_core.errors import ConfigError
from klear_core.trainer.head_products import add_product, operand, wide_dtype
from klear_core.trainer.head_softmax import grad_logits_, online_softmax, scaled_logits, spans

_WHY_NOT_LIGER = (
    "liger-kernel 0.8.5 rounds logits to half precision before the log-sum-exp and adds weight gradients in bfloat16"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadBlocks:
    """How much of the logits exists at a time; chooses memory and speed, and results up to rounding only."""

    tokens: int
    vocab: int
    # Outer loop of the backward pass. "vocab" finishes the weight gradient block by block and keeps a float32 sum of
    # the hidden gradient, [T, H]; "tokens" keeps one of the weight gradient, [V, H].
    outer: Literal["vocab", "tokens"]

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.vocab < 1 or self.outer not in ("vocab", "tokens"):
            raise ValueError(f"{self}: blocks hold at least 1, the outer loop runs over vocab or tokens")


# A block of logits that stays in a processor's cache: 2 MB in float32.
_CPU_LOGITS = 2**19


def default_blocks(device_type: str, *, vocab: int) -> HeadBlocks:
    """Blocks that fit the device: a processor's cache, or products large enough for an accelerator.

    The latter take less than 1.5 GB at 32,768 tokens x 4,096 x 151,936 in bfloat16 (``head_memory``).
    """
    if device_type == "cpu":
        block = max(1, min(vocab, 2048))
        return HeadBlocks(tokens=_CPU_LOGITS // block, vocab=block, outer="vocab")
    return HeadBlocks(tokens=4096, vocab=8192, outer="vocab")


def head_logprobs(
    hidden_TH: Tensor,
    weight_VH: Tensor,
    targets_T: Tensor,
    *,
    temperature: float,
    with_entropy: bool,
    backend: str = "torch",
    blocks: HeadBlocks | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities of the targets under softmax(hidden @ weight.T / temperature), and entropies; nats, both [T].

    ``hidden_TH`` and ``weight_VH`` are of one dtype, ``targets_T`` is int64.  Results are float32 (float64 for
    float64), and logits of half precision are never rounded to it.  Gradients of the log-probabilities flow to
    ``hidden_TH`` and ``weight_VH`` (first order only), summed in float32, returned in their dtype.  Tokens whose
    incoming gradient is exactly 0 take no part in the backward pass, whatever they hold.  Entropies carry no gradient.
    ``blocks`` are those of the device (``default_blocks``) unless given.

    ConfigError for a backend other than torch; ValueError for shapes, dtypes or targets that do not fit, or a
    temperature that is not positive.
    """
    if backend != "torch":
        reason = f" ({_WHY_NOT_LIGER})" if backend == "liger" else ""
        raise ConfigError(f"the head's backend is {backend!r}; allowed: torch{reason}")
    check_inputs(hidden_TH, weight_VH, targets_T, temperature)
    blocks = blocks or default_blocks(hidden_TH.device.type, vocab=len(weight_VH))
    found: tuple[Tensor, Tensor | None] = _HeadLogprobs.apply(  # type: ignore[no-untyped-call]
        hidden_TH, weight_VH, targets_T, temperature, with_entropy, blocks
    )
    return found


def check_inputs(hidden_TH: Tensor, weight_VH: Tensor, targets_T: Tensor, temperature: float) -> None:
    """ValueError unless the tensors fit each other and the targets lie in the vocabulary."""
    T, H = hidden_TH.shape
    V = weight_VH.shape[0]
    if weight_VH.shape != (V, H) or targets_T.shape != (T,) or V == 0:
        shapes = [tuple(tensor.shape) for tensor in (hidden_TH, weight_VH, targets_T)]
        raise ValueError(f"hidden, weight and targets are {shapes}; they must be [T, H], [V, H] and [T]")
    if hidden_TH.dtype != weight_VH.dtype or not hidden_TH.is_floating_point():
        raise ValueError(f"hidden is {hidden_TH.dtype} and weight {weight_VH.dtype}; they must be one floating dtype")
    if targets_T.dtype != torch.int64 or (T > 0 and not (targets_T.min() >= 0 and targets_T.max() < V)):
        raise ValueError(f"targets must be int64 and lie in [0, {V})")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be positive")


class _HeadLogprobs(torch.autograd.Function):
    """The forward and the backward pass of ``head_logprobs``."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_TH: Tensor,
        weight_VH: Tensor,
        targets_T: Tensor,
        temperature: float,
        with_entropy: bool,
        blocks: HeadBlocks,
    ) -> tuple[Tensor, Tensor | None]:
        dtype = wide_dtype(hidden_TH.dtype)
        logprobs_T, logsumexp_T = (torch.empty_like(targets_T, dtype=dtype) for _ in range(2))
        entropy_T = torch.empty_like(targets_T, dtype=dtype) if with_entropy else None
        # Autocast would round the products to half precision.
        with torch.autocast(hidden_TH.device.type, enabled=False):
            for rows in spans(len(targets_T), blocks.tokens):
                softmax = online_softmax(
                    operand(hidden_TH[rows]),
                    weight_VH,
                    targets_T[rows],
                    temperature=temperature,
                    with_entropy=with_entropy,
                    vocab_block=blocks.vocab,
                )
                logprobs_T[rows], logsumexp_T[rows] = softmax.logprobs(), softmax.logsumexp()
                entropy_B = softmax.entropy()
                if entropy_T is not None and entropy_B is not None:
                    entropy_T[rows] = entropy_B
        ctx.save_for_backward(hidden_TH, weight_VH, targets_T, logsumexp_T)
        ctx.temperature, ctx.blocks = temperature, blocks
        if entropy_T is not None:
            ctx.mark_non_differentiable(entropy_T)
        return logprobs_T, entropy_T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_T: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden_TH, weight_VH, targets_T, logsumexp_T = ctx.saved_tensors
        backward = _Backward(hidden_TH, weight_VH, targets_T, logsumexp_T, grad_T, ctx.temperature, ctx.blocks)
        run = backward.vocab_outside if ctx.blocks.outer == "vocab" else backward.tokens_outside
        with torch.autocast(hidden_TH.device.type, enabled=False):
            grad_hidden_TH, grad_weight_VH = run(*ctx.needs_input_grad[:2])
        return grad_hidden_TH, grad_weight_VH, None, None, None, None


class _Backward:
    """Gradients of the hidden states and of the weight, from those K of the T tokens that have a gradient."""

    def __init__(
        self,
        hidden_TH: Tensor,
        weight_VH: Tensor,
        targets_T: Tensor,
        logsumexp_T: Tensor,
        grad_T: Tensor,
        temperature: float,
        blocks: HeadBlocks,
    ) -> None:
        self.hidden_TH, self.weight_VH, self.targets_T = hidden_TH, weight_VH, targets_T
        self.logsumexp_T, self.grad_T, self.temperature = logsumexp_T, grad_T, temperature
        self.index_K = grad_T.nonzero().squeeze(1)
        self.has_all = len(self.index_K) == len(grad_T)
        self.parts = spans(len(self.index_K), blocks.tokens)
        self.words = spans(weight_VH.shape[0], blocks.vocab)

    def vocab_outside(self, for_hidden: bool, for_weight: bool) -> tuple[Tensor | None, Tensor | None]:
        """Finish the weight gradient block by block; the hidden gradient grows over all of them."""
        sum_KH = self._zeros(len(self.index_K)) if for_hidden else None
        grad_weight_VH = torch.empty_like(self.weight_VH) if for_weight else None
        for words in self.words:
            sum_XH = self._zeros(words.stop - words.start) if for_weight else None
            for part in self.parts:
                self._add(part, words, None if sum_KH is None else sum_KH[part], sum_XH)
            if grad_weight_VH is not None and sum_XH is not None:
                grad_weight_VH[words] = sum_XH
            # The sum of the next block is made when this one is gone.
            del sum_XH
        return None if sum_KH is None else self._spread(sum_KH), grad_weight_VH

    def tokens_outside(self, for_hidden: bool, for_weight: bool) -> tuple[Tensor | None, Tensor | None]:
        """Finish the hidden gradient block by block; the weight gradient grows over all of them."""
        grad_hidden_TH = torch.zeros_like(self.hidden_TH) if for_hidden else None
        sum_VH = self._zeros(len(self.weight_VH)) if for_weight else None
        for part in self.parts:
            sum_BH = self._zeros(part.stop - part.start) if for_hidden else None
            for words in self.words:
                self._add(part, words, sum_BH, None if sum_VH is None else sum_VH[words])
            if grad_hidden_TH is not None and sum_BH is not None:
                grad_hidden_TH[self._rows(part)] = sum_BH.to(grad_hidden_TH.dtype)
            del sum_BH
        return grad_hidden_TH, None if sum_VH is None else sum_VH.to(self.weight_VH.dtype)

    def _zeros(self, count: int) -> Tensor:
        """A sum of ``count`` gradients of size H in the wide dtype."""
        return self.hidden_TH.new_zeros(count, self.hidden_TH.shape[1], dtype=self.logsumexp_T.dtype)

    def _rows(self, part: slice) -> slice | Tensor:
        # A slice is a view where an index would copy.
        return part if self.has_all else self.index_K[part]

    def _add(self, part: slice, words: slice, sum_BH: Tensor | None, sum_XH: Tensor | None) -> None:
        """Add what some tokens and some words give to both gradients."""
        rows = self._rows(part)
        hidden_BH, weight_XH = operand(self.hidden_TH[rows]), operand(self.weight_VH[words])
        grad_BX = grad_logits_(
            scaled_logits(hidden_BH, weight_XH, self.temperature),
            self.targets_T[rows],
            self.logsumexp_T[rows],
            self.grad_T[rows],
            words.start,
            self.temperature,
        ).to(hidden_BH.dtype)
        if sum_XH is not None:
            add_product(sum_XH, grad_BX.t(), hidden_BH)
        if sum_BH is not None:
            add_product(sum_BH, grad_BX, weight_XH)

    def _spread(self, sum_KH: Tensor) -> Tensor:
        """The gradients of the K tokens in their places among T, in the dtype of the hidden states."""
        if self.has_all:
            return sum_KH.to(self.hidden_TH.dtype)
        grad_hidden_TH = torch.zeros_like(self.hidden_TH)
        for part in self.parts:
            grad_hidden_TH[self._rows(part)] = sum_KH[part].to(grad_hidden_TH.dtype)
        return grad_hidden_TH
