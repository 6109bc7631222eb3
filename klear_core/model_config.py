"""The part of a config that says what the model is and how it is held."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of the Qwen3 model that SFT trains from scratch, and how any model is held.

    A given checkpoint brings its own shape.  ``precision`` is that of the weights, see ``klear_core.trainer.adamw``;
    ``device`` is here and not in ``launch``, as another one rounds otherwise and so is another run.
    """

    name: str
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    precision: str  # float32 | bf16_master | bf16_kahan
    device: str  # cpu | cuda
    gradient_checkpointing: bool  # in training, each layer is computed again in its backward pass
