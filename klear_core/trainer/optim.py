"""Optimizer steps: AdamW, a learning rate counted in updates, and gradient clipping that says when it acted."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn import Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateInfo:
    """What one optimizer step did."""

    learning_rate: float
    grad_norm: float  # before clipping
    clipped: bool


class Optimizer:
    """AdamW whose learning rate warms up linearly and then stays, or decays to zero along a cosine."""

    def __init__(
        self,
        parameters: Iterable[Parameter],
        *,
        learning_rate: float,
        betas: tuple[float, float],
        weight_decay: float,
        max_grad_norm: float,
        warmup_updates: int,
        decay_updates: int | None = None,
    ) -> None:
        """``decay_updates`` is the update at which the cosine reaches zero; None keeps the rate constant."""
        self._parameters = list(parameters)
        self._adamw = torch.optim.AdamW(
            self._parameters, lr=learning_rate, betas=betas, weight_decay=weight_decay, fused=True
        )
        self._learning_rate = learning_rate
        self._max_grad_norm = max_grad_norm
        self._warmup_updates = warmup_updates
        self._decay_updates = decay_updates
        self.updates = 0

    def zero_grad(self) -> None:
        """Zero gradients, not absent ones: a mini-batch without a loss still moves weights by their momentum."""
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            else:
                parameter.grad.zero_()

    def step(self) -> UpdateInfo:
        """Clip, set the learning rate of this update, and step."""
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm, foreach=True))
        rate = self._rate(self.updates)
        for group in self._adamw.param_groups:
            group["lr"] = rate
        self._adamw.step()
        self.updates += 1
        return UpdateInfo(learning_rate=rate, grad_norm=norm, clipped=norm > self._max_grad_norm)

    def _rate(self, update: int) -> float:
        if update < self._warmup_updates:
            return self._learning_rate * (update + 1) / self._warmup_updates
        if self._decay_updates is None:
            return self._learning_rate
        progress = (update - self._warmup_updates) / max(1, self._decay_updates - self._warmup_updates)
        return self._learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
