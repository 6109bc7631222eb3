"""How a model is held: the precision of its weights and the device that they lie on."""

from typing import Any, Protocol

import torch


class Held(Protocol):
    """What says how a model is held: the ``ModelConfig`` of a run, or what an evaluation asks for."""

    @property
    def precision(self) -> str:
        """float32, or another name of what is held as bfloat16."""

    @property
    def device(self) -> str:
        """As torch calls it."""


def weight_dtype(precision: str) -> torch.dtype:
    """Type of the weights under a precision."""
    return torch.float32 if precision == "float32" else torch.bfloat16


def place(model: Any, config: Held) -> Any:
    """The same model, its weights in the precision and on the device of ``config``.

    Buffers keep their type: rotary frequencies in bfloat16 would move late positions.
    """
    dtype = weight_dtype(config.precision)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model.to(config.device)
