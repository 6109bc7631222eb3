"""How a model is held: the precision of its weights and the device that they lie on."""

from typing import Any

import torch

from klear_core.model_config import ModelConfig


def weight_dtype(precision: str) -> torch.dtype:
    """Type of the weights under a ``model.precision``."""
    return torch.float32 if precision == "float32" else torch.bfloat16


def place(model: Any, config: ModelConfig) -> Any:
    """The same model, its weights in the precision and on the device of ``config``.

    Buffers keep their type: rotary frequencies in bfloat16 would move late positions.
    """
    dtype = weight_dtype(config.precision)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model.to(config.device)
