"""The part of a config that says what samples completions; beside ``config`` as the rewards are, for its length."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """The engine of rollouts and evaluations. Engines draw the same completions up to rounding."""

    name: str  # native | transformers
    max_rows: int  # completions decoded side by side, one prompt's at least: bounds the memory of keys and values
    cuda_graphs: bool  # native on a GPU, for plain Qwen3 models: a decoding step is one launch
