"""Optimizer steps: AdamW, a learning rate counted in updates, and gradient clipping that says when it acted."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from klear_core.trainer.adamw import step_rule


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateInfo:
    """What one optimizer step did."""

    learning_rate: float
    grad_norm: float  # before clipping
    clipped: bool


class Optimizer:
    """AdamW whose learning rate warms up linearly and then stays, or decays along a cosine."""

    def __init__(
        self,
        parameters: Iterable[Parameter],
        *,
        precision: str,
        learning_rate: float,
        betas: tuple[float, float],
        weight_decay: float,
        max_grad_norm: float,
        warmup_updates: int,
        decay_updates: int | None = None,
        final_learning_rate: float = 0.0,
    ) -> None:
        """``decay_updates`` is the update at which the cosine reaches ``final_learning_rate``; None keeps the rate.

        ``precision`` is that of the model, see ``klear_core.trainer.adamw``.
        """
        self._parameters = list(parameters)
        self._rule = step_rule(precision, self._parameters, betas=betas, weight_decay=weight_decay)
        self._learning_rate = learning_rate
        self._max_grad_norm = max_grad_norm
        self._warmup_updates = warmup_updates
        self._decay_updates = decay_updates
        self._final_learning_rate = final_learning_rate
        self.updates = 0

    def zero_grad(self) -> None:
        """Zero gradients, not absent ones: a mini-batch without a loss still moves weights by their momentum."""
        for parameter in self._parameters:
            if parameter.grad is None:
                at_least_float32 = torch.promote_types(parameter.dtype, torch.float32)
                parameter.grad = torch.zeros_like(parameter, dtype=at_least_float32)
            else:
                parameter.grad.zero_()

    def clip(self) -> float:
        """Scale the gradients down to the largest allowed norm; returns the norm before."""
        return float(torch.nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm, foreach=True))

    def step(self, grad_norm: float, *, skip: bool = False) -> UpdateInfo:
        """Set the learning rate of this update and step, after ``clip`` has told ``grad_norm``.

        With ``skip`` weights and momentum stay as they are; the update counts for the schedule all the same.
        """
        rate = self._rate(self.updates)
        if not skip:
            self._rule.step(rate)
        self.updates += 1
        return UpdateInfo(learning_rate=rate, grad_norm=grad_norm, clipped=grad_norm > self._max_grad_norm)

    def state_tensors(self) -> dict[str, Tensor]:
        """AdamW's moments and counts by ``<parameter index>.<name>``, and what bfloat16 weights cannot hold.

        With float32 weights it is empty before the first step.
        """
        return self._rule.tensors()

    def restore(self, tensors: Mapping[str, Tensor], *, updates: int) -> None:
        """Go on where ``state_tensors`` and ``updates`` were taken."""
        self._rule.restore(tensors)
        self.updates = updates

    def _rate(self, update: int) -> float:
        if update < self._warmup_updates:
            return self._learning_rate * (update + 1) / self._warmup_updates
        if self._decay_updates is None:
            return self._learning_rate
        progress = (update - self._warmup_updates) / max(1, self._decay_updates - self._warmup_updates)
        share = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self._final_learning_rate + (self._learning_rate - self._final_learning_rate) * share
