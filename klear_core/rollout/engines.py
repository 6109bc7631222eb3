"""The engine that a config names."""

from typing import Any

from klear_core.engine_config import EngineConfig
from klear_core.rollout.engine import Engine
from klear_core.rollout.native import NativeEngine
from klear_core.rollout.transformers_engine import TransformersEngine


def open_engine(config: EngineConfig, model: Any, tokenizer: Any) -> Engine:
    """The engine ``config`` names over a model in this process, whose weights it reads anew at every call."""
    if config.name == "transformers":
        return TransformersEngine(model, tokenizer, max_rows=config.max_rows)
    return NativeEngine(model, tokenizer, max_rows=config.max_rows, cuda_graphs=config.cuda_graphs)
