"""Softmax over the vocabulary in blocks: log-probabilities, log-sum-exp and entropy, and the gradient of the logits."""

import math

import torch
from torch import Tensor

from klear_core.trainer.head_products import operand, product, wide_dtype

# exp of it is 0 in every dtype, so that a word of probability 0 adds 0 * a number, never 0 * infinity, to an entropy.
_NO_WEIGHT = -1000.0


def spans(length: int, block: int) -> list[slice]:
    """[0, length) in slices of ``block``, the last of which may be shorter."""
    return [slice(start, min(start + block, length)) for start in range(0, length, block)]


def scaled_logits(hidden_BH: Tensor, weight_XH: Tensor, temperature: float) -> Tensor:
    """Logits / temperature of B tokens for X words of the vocabulary, [B, X], from operands; never rounded to half."""
    logits_BX = product(hidden_BH, weight_XH.t())
    return logits_BX if temperature == 1 else logits_BX.div_(temperature)


class OnlineSoftmax:
    """What is known of B tokens' distributions after some blocks of the vocabulary (arXiv 1805.02867, Alg. 3).

    Sums are held relative to the largest logit so far, as in ``log_softmax``; NaN and infinities end as they do there.
    """

    def __init__(self, targets_B: Tensor, dtype: torch.dtype, *, with_entropy: bool) -> None:
        self._targets_B = targets_B
        self._target_logit_B = torch.full_like(targets_B, math.nan, dtype=dtype)
        self._largest_B = torch.full_like(targets_B, -math.inf, dtype=dtype)
        self._sum_B = torch.zeros_like(targets_B, dtype=dtype)
        # Sum of exp(z - largest) * (z - largest).
        self._weighted_B = torch.zeros_like(targets_B, dtype=dtype) if with_entropy else None

    def add(self, logits_BX: Tensor, first: int, *, keep: bool) -> None:
        """Take in the logits of the words from number ``first`` on; they are overwritten unless ``keep``."""
        index_B, is_here_B = _local(self._targets_B, first, logits_BX.shape[1])
        target_logit_B = logits_BX.gather(1, index_B[:, None]).squeeze(1)
        self._target_logit_B = torch.where(is_here_B, target_logit_B, self._target_logit_B)

        largest_B = torch.maximum(self._largest_B, logits_BX.amax(1))
        # Where all logits so far are -inf, differences from them would be NaN.
        shift_B = largest_B.masked_fill(largest_B == -math.inf, 0.0)
        shifted_BX = torch.sub(logits_BX, shift_B[:, None], out=None if keep else logits_BX)
        rise_B = self._largest_B - shift_B
        shrink_B = rise_B.exp()
        if self._weighted_B is None:
            sum_B = shifted_BX.exp_().sum(1)
        else:
            exp_BX = shifted_BX.exp()
            sum_B = exp_BX.sum(1)
            weighted_B = exp_BX.mul_(shifted_BX.clamp_(min=_NO_WEIGHT)).sum(1)
            before_B = self._weighted_B + self._sum_B * rise_B.clamp(min=_NO_WEIGHT)
            self._weighted_B = before_B * shrink_B + weighted_B
        self._sum_B = self._sum_B * shrink_B + sum_B
        self._largest_B = largest_B

    def logprobs(self) -> Tensor:
        """Log-probabilities of the targets, nats, [B]."""
        return (self._target_logit_B - self._largest_B) - self._sum_B.log()

    def logsumexp(self) -> Tensor:
        """Log of the sum of exp(logits), [B]."""
        return self._largest_B + self._sum_B.log()

    def entropy(self) -> Tensor | None:
        """Entropies in nats, [B], log-sum-exp - sum of p * z; None when they were not asked for."""
        return None if self._weighted_B is None else self._sum_B.log() - self._weighted_B / self._sum_B


def online_softmax(
    hidden_BH: Tensor, weight_VH: Tensor, targets_B: Tensor, *, temperature: float, with_entropy: bool, vocab_block: int
) -> OnlineSoftmax:
    """The distributions of B tokens, whose logits exist ``vocab_block`` words at a time."""
    softmax = OnlineSoftmax(targets_B, wide_dtype(weight_VH.dtype), with_entropy=with_entropy)
    for words in spans(weight_VH.shape[0], vocab_block):
        softmax.add(scaled_logits(hidden_BH, operand(weight_VH[words]), temperature), words.start, keep=False)
    return softmax


def grad_logits_(
    logits_BX: Tensor, targets_B: Tensor, logsumexp_B: Tensor, grad_B: Tensor, first: int, temperature: float
) -> Tensor:
    """(onehot - softmax) * grad / temperature in place of logits / temperature: the gradient of the logits, [B, X].

    ``grad_B`` is the gradient of the targets' log-probabilities; the words are those from number ``first`` on.
    """
    scale_B = grad_B / temperature
    index_B, is_here_B = _local(targets_B, first, logits_BX.shape[1])
    logits_BX.sub_(logsumexp_B[:, None]).exp_().mul_(-scale_B[:, None])
    return logits_BX.scatter_add_(1, index_B[:, None], torch.where(is_here_B, scale_B, 0.0)[:, None])


def _local(targets_B: Tensor, first: int, count: int) -> tuple[Tensor, Tensor]:
    """Places of the targets within the ``count`` words from ``first`` on, and which of them lie there."""
    index_B = targets_B - first
    return index_B.clamp(0, count - 1), (index_B >= 0) & (index_B < count)
