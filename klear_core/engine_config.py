"""The part of a config that says what samples completions; beside ``config`` as the rewards are, for its length."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """The engine of rollouts and evaluations.

    ``native`` and ``transformers`` draw the same completions up to rounding; ``vllm`` has random numbers of its own.
    """

    name: str  # native | transformers | vllm
    max_rows: int  # completions decoded side by side, one prompt's at least: bounds the memory of keys and values
    cuda_graphs: bool  # on a GPU, native for plain Qwen3 models: a decoding step is one launch
    kv_cache_gb: float | None  # vllm: memory of keys and values, GiB; None: 9 / 10 of a GPU's memory, 1 GiB on a CPU
    sleeps: bool  # vllm on a GPU: its memory is free between rollouts, for training
