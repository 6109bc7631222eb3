"""The engines of `ablations evaluate`: which one, on which device, how many, and why they cannot be had here."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ablations.arguments import SWEEPS
from ablations.checkpoints import extended
from ablations.child import ENVIRONMENT
from ablations.commands.catalog import read_yaml
from ablations.devices import set_up_on, without_gpu
from ablations.engine_pool import EnginePool, Engines, OneEngine
from ablations.evaluate_settings import EvaluateSettings
from klear_core.engine_config import EngineConfig
from klear_core.errors import ConfigError
from klear_core.rollout.engine import Engine
from klear_core.settings import build

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """All that opens an engine over a checkpoint folder; it can be sent to another process."""

    folder: Path
    yarn: float | None
    config: EngineConfig
    dtype: str
    device: str

    @property
    def precision(self) -> str:
        """``dtype``, as the holder of a model calls it."""
        return self.dtype


def check_devices(device: str, processes: int) -> None:
    """ConfigError unless torch sees a GPU for each process that is to have one."""
    if device == "cpu":
        return
    import torch

    if reason := without_gpu():
        raise ConfigError(f"device is 'cuda', but {reason}; allowed here: cpu")
    if processes > (seen := torch.cuda.device_count()):
        raise ConfigError(f"processes is {processes}, of one GPU each, and torch sees {seen}; allowed: 1 to {seen}")


def engine_config(settings: EvaluateSettings) -> EngineConfig:
    """The engine's preset in ``sweeps/engine``, for as many answers side by side as a call has."""
    preset = read_yaml(SWEEPS / "engine" / f"{settings.engine}.yaml")
    given = {"max_rows": settings.batch, "kv_cache_gb": settings.kv_cache_gb}
    return build(EngineConfig, preset | {key: value for key, value in given.items() if value is not None})


def open_engines(settings: EvaluateSettings, folder: Path) -> Engines:
    """The engines that the settings ask for over a checkpoint folder; none is opened before it is asked."""
    begin = partial(
        open_spec,
        EngineSpec(
            folder=folder,
            yarn=settings.yarn,
            config=engine_config(settings),
            dtype=settings.dtype,
            device=settings.device,
        ),
    )
    if settings.processes > 1:
        return EnginePool(begin, environments(settings.device, settings.processes))
    os.environ.update(ENVIRONMENT)
    return OneEngine(begin)


def environments(device: str, processes: int) -> list[dict[str, str]]:
    """What each process is to see: of the GPUs that this one sees, one."""
    if device == "cpu":
        return [ENVIRONMENT] * processes
    return [ENVIRONMENT | {_VISIBLE: gpu} for gpu in _visible_gpus()[:processes]]


def _visible_gpus() -> list[str]:
    if (told := os.environ.get(_VISIBLE)) is not None:
        return [each.strip() for each in told.split(",")]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def open_spec(spec: EngineSpec) -> Engine:
    """Load the model and open its engine in this process.

    DataError when the folder cannot be loaded, EngineError when the engine cannot be opened.
    """
    # Imported late: a process of an engine sets its environment before torch comes.
    from transformers.utils.logging import disable_progress_bar

    from klear_core.rollout import engines
    from klear_core.trainer.model_folder import load_model, load_tokenizer

    disable_progress_bar()  # what is refused after loading stays one line
    with extended(spec.folder, spec.yarn) as view:
        if spec.config.name == "vllm":
            if spec.device == "cpu":
                os.environ[_VISIBLE] = ""  # vLLM would take a GPU that it sees
            tokenizer = load_tokenizer(view)
            return engines.serve_folder(spec.config, view, tokenizer, dtype=spec.dtype, device=spec.device)
        set_up_on(spec.device, slots=1)
        model, tokenizer = load_model(view, spec)
    return engines.open_engine(spec.config, model, tokenizer)
