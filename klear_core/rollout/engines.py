"""The engine that a config names."""

from pathlib import Path
from typing import Any

from klear_core.engine_config import EngineConfig
from klear_core.rollout.engine import Engine
from klear_core.rollout.native import NativeEngine
from klear_core.rollout.transformers_engine import TransformersEngine
from klear_core.rollout.vllm_engine import VllmEngine


def open_engine(config: EngineConfig, model: Any, tokenizer: Any) -> Engine:
    """The engine ``config`` names over a model in this process, whose weights it reads anew at every call."""
    if config.name == "vllm":
        return VllmEngine.over_model(model, tokenizer, config=config)
    if config.name == "transformers":
        return TransformersEngine(model, tokenizer, max_rows=config.max_rows)
    return NativeEngine(model, tokenizer, max_rows=config.max_rows, cuda_graphs=config.cuda_graphs)


def serve_folder(config: EngineConfig, folder: Path, tokenizer: Any, *, dtype: str, device: str) -> VllmEngine:
    """An engine that loads the weights of a folder itself, in the ``dtype`` of torch that is named; vLLM is one."""
    return VllmEngine.over_folder(folder, tokenizer, config=config, dtype=dtype, device=device)
