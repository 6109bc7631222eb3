"""How noisy the policy gradient of a step is: the spread of its problems' gradients about their mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from klear_core.batch import TrainBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientNoise:
    """With g_p the gradient of problem p and g their mean over P problems."""

    variance: float  # sum_p |g_p - g|^2 / (P - 1): the trace of the covariance of one problem's gradient
    signal: float  # |g|^2 - variance / P: an unbiased estimate of the true gradient's squared norm; may be negative


def gradient_noise(
    batch: TrainBatch,
    num_problems: int,
    logprobs_of: Callable[[TrainBatch], Tensor],
    parameters: Sequence[torch.nn.Parameter],
    *,
    split: Callable[[TrainBatch], Sequence[Tensor]],
) -> GradientNoise:
    """Measured on policy, where every objective's gradient is that of -A log pi: g_p = grad of the mean over problem
    p's response tokens of -A log pi.

    A problem without advantages has the gradient 0 and counts.  ``split`` names the rows of a problem that go through
    the model together.  The parameters' own gradients are left as they were.
    """
    total = [torch.zeros_like(parameter, dtype=torch.float64) for parameter in parameters]
    squares = 0.0
    for problem in range(num_problems):
        rows = batch.rows((batch.group_index_N == problem) & batch.counted_N)
        tokens = int(rows.response_mask_NT.sum())
        kept = rows.rows(rows.advantages_N != 0)
        if not len(kept.advantages_N):
            continue
        parts = (_gradient(kept.rows(rows_N), tokens, logprobs_of, parameters) for rows_N in split(kept))
        gradients: Sequence[Tensor] = reduce(_added, parts)
        for sum_, gradient in zip(total, gradients, strict=True):
            sum_ += gradient
            squares += float((gradient.double() ** 2).sum())
    mean_square = sum(float((sum_**2).sum()) for sum_ in total) / num_problems**2
    variance = (squares - num_problems * mean_square) / (num_problems - 1) if num_problems > 1 else float("nan")
    return GradientNoise(variance=variance, signal=mean_square - variance / num_problems)


def _gradient(
    part: TrainBatch, tokens: int, logprobs_of: Callable[[TrainBatch], Tensor], parameters: Sequence[torch.nn.Parameter]
) -> Sequence[Tensor]:
    loss_NT = -part.advantages_N[:, None] * logprobs_of(part)
    loss = loss_NT.masked_fill(~part.response_mask_NT, 0.0).sum() / tokens
    return torch.autograd.grad(loss, list(parameters))


def _added(one: Sequence[Tensor], other: Sequence[Tensor]) -> list[Tensor]:
    return [first + second for first, second in zip(one, other, strict=True)]
