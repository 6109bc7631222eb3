"""How a model is held: the precision of its weights and the device that they lie on."""

from typing import Any, Protocol

import torch

from klear_core.errors import ConfigError
from klear_core.model_config import ModelConfig


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


def set_recomputing(model: Any, config: ModelConfig) -> None:
    """With ``gradient_checkpointing`` a training pass keeps what goes from layer to layer, and computes the inside of
    each again when its gradient is due; the numbers are the same.

    ConfigError for a model that transformers cannot do this with.
    """
    if not config.gradient_checkpointing:
        return
    if not model.supports_gradient_checkpointing:
        raise ConfigError(f"model.gradient_checkpointing is True; allowed for a {type(model).__name__}: false")
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    # Its hook on the embeddings is for models whose weights are frozen, and would keep the native engine's decoder off.
    model.disable_input_require_grads()
