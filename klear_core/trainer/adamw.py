"""AdamW for weights in float32 and in bfloat16: what a step reads, what it keeps in float32 and how it writes back.

A weight in bfloat16 has 8 bits of precision: a step of less than 1/512 of it changes nothing.  So the steps are taken
in float32, and what bfloat16 cannot hold is kept for the next one::

    float32       weights are float32 (or float64): torch's AdamW as it is
    bf16_master   weights are the float32 masters of the optimizer, rounded: 18 bytes a parameter with its gradient
    bf16_kahan    the rounding error of each weight is kept in bfloat16 and added before the next step (Kahan's
                  summation): 16 bytes a parameter.  Chosen over stochastic rounding as it has no random state and no
                  noise: weight and error together hold 16 bits

Moments and gradients are float32 in all of them; micro-batches add up their gradients in float32.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adamw import adamw

from klear_core.errors import ConfigError

_EPS = 1e-8  # torch's default
_SUMS_IN_FLOAT32 = hasattr(torch.Tensor, "grad_dtype")


class StepRule(Protocol):
    """Moves the parameters that it was made for by their gradients."""

    def step(self, learning_rate: float) -> None:
        """One step of AdamW."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What the next step depends on beside weights and gradients, by ``<parameter index>.<name>``."""
        ...

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on where ``tensors`` were taken; the weights are restored by the caller."""
        ...


def step_rule(
    precision: str, parameters: Sequence[Parameter], *, betas: tuple[float, float], weight_decay: float
) -> StepRule:
    """The rule of ``model.precision``; parameters that are not bfloat16 are stepped as they are.

    ConfigError when this torch cannot sum the gradients of bfloat16 weights in float32.
    """
    if all(parameter.dtype != torch.bfloat16 for parameter in parameters):
        return PlainAdamW(parameters, betas=betas, weight_decay=weight_decay)
    if not _SUMS_IN_FLOAT32:
        raise ConfigError(f"model.precision is {precision!r}; allowed with torch {torch.__version__}: float32")
    for parameter in parameters:
        parameter.grad_dtype = torch.float32
    if precision == "bf16_master":
        return MasterAdamW(parameters, betas=betas, weight_decay=weight_decay)
    return KahanAdamW(parameters, betas=betas, weight_decay=weight_decay)


class PlainAdamW:
    """torch's AdamW; it has no state before the first step."""

    def __init__(self, parameters: Sequence[Parameter], *, betas: tuple[float, float], weight_decay: float) -> None:
        self._adamw = torch.optim.AdamW(
            parameters, lr=0.0, betas=betas, eps=_EPS, weight_decay=weight_decay, fused=True
        )

    def step(self, learning_rate: float) -> None:
        """See ``StepRule``."""
        for group in self._adamw.param_groups:
            group["lr"] = learning_rate
        self._adamw.step()

    def tensors(self) -> dict[str, Tensor]:
        """The moments ``exp_avg`` and ``exp_avg_sq``, and ``step``."""
        state = self._adamw.state_dict()["state"]
        return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``StepRule``."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        self._adamw.load_state_dict(self._adamw.state_dict() | {"state": state})


class MasterAdamW:
    """AdamW on float32 copies, which the bfloat16 weights are rounded from after each step."""

    def __init__(self, parameters: Sequence[Parameter], *, betas: tuple[float, float], weight_decay: float) -> None:
        self._parameters = parameters
        self._masters = [Parameter(parameter.detach().float()) for parameter in parameters]
        self._rule = PlainAdamW(self._masters, betas=betas, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """See ``StepRule``."""
        for parameter, master in zip(self._parameters, self._masters, strict=True):
            master.grad = parameter.grad
        self._rule.step(learning_rate)
        for parameter, master in zip(self._parameters, self._masters, strict=True):
            parameter.copy_(master)

    def tensors(self) -> dict[str, Tensor]:
        """Those of ``PlainAdamW`` and ``master``."""
        return self._rule.tensors() | {f"{k}.master": master.detach() for k, master in enumerate(self._masters)}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``StepRule``."""
        for k, master in enumerate(self._masters):
            master.copy_(tensors[f"{k}.master"])
        self._rule.restore({name: value for name, value in tensors.items() if not name.endswith(".master")})


class KahanAdamW:
    """AdamW on weight plus kept error, one parameter at a time, so that one of them is float32 at any moment."""

    def __init__(self, parameters: Sequence[Parameter], *, betas: tuple[float, float], weight_decay: float) -> None:
        self._parameters = parameters
        self._betas = betas
        self._weight_decay = weight_decay
        self._state = [
            {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, dtype=torch.float32),
                "exp_avg_sq": torch.zeros_like(parameter, dtype=torch.float32),
                "error": torch.zeros_like(parameter),
            }
            for parameter in (each.detach() for each in parameters)
        ]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """See ``StepRule``."""
        for parameter, state in zip(self._parameters, self._state, strict=True):
            assert parameter.grad is not None
            whole = parameter.float() + state["error"]
            adamw(
                [whole],
                [parameter.grad],
                [state["exp_avg"]],
                [state["exp_avg_sq"]],
                [],
                [state["step"]],
                fused=True,
                amsgrad=False,
                beta1=self._betas[0],
                beta2=self._betas[1],
                lr=learning_rate,
                weight_decay=self._weight_decay,
                eps=_EPS,
                maximize=False,
            )
            parameter.copy_(whole)
            state["error"].copy_(whole - parameter)

    def tensors(self) -> dict[str, Tensor]:
        """``exp_avg``, ``exp_avg_sq``, ``step`` and ``error``."""
        return {f"{k}.{name}": value for k, state in enumerate(self._state) for name, value in state.items()}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``StepRule``."""
        for k, state in enumerate(self._state):
            for name, value in state.items():
                value.copy_(tensors[f"{k}.{name}"])
