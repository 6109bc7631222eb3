"""What `ablations evaluate` was asked: KEY=VALUE words over the defaults of ``sweeps/evaluate.yaml``."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from ablations.arguments import SWEEPS, refuse_repeats
from ablations.commands.catalog import read_yaml
from klear_core.errors import ConfigError
from klear_core.eval.tasks import BENCHMARKS, Benchmark, get_benchmark
from klear_core.settings import build, look_up

_TEXTS = ("model", "task", "data", "name", "instruction")  # kept as they are written: a path may be called 1e3


@dataclass(frozen=True, kw_only=True)
class IsolationConfig:
    """How programs are isolated; see ``SandboxConfig``."""

    backend: str
    allow_unisolated: bool


@dataclass(frozen=True, kw_only=True)
class MirrorConfig:
    """The W&B mirror; see ``WandbConfig``."""

    mode: str | None
    project: str
    finish_timeout_s: int


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Keys of ``sweeps/evaluate.yaml``; None takes what the benchmark says."""

    model: str | None
    task: str | None
    data: dict[str, str]  # task -> where its questions are; "" for every task
    name: str | None
    questions: int | None
    samples: int | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    seed: int
    batch: int
    instruction: str
    yarn: float | None
    backend: str
    engine: str  # native | transformers | vllm
    device: str  # cpu | cuda
    dtype: str  # float32 | bfloat16
    processes: int  # engines side by side
    kv_cache_gb: float | None  # vllm only, GiB
    dry_run: bool
    sandbox: IsolationConfig
    wandb: MirrorConfig

    @property
    def benchmarks(self) -> list[Benchmark]:
        """What is asked, in order; ConfigError for an unknown or a repeated name."""
        names = [] if self.task is None else self.task.split(",")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"task names {min(twice)} twice; allowed: once")
        return [get_benchmark(name) for name in names]


_AT_LEAST_1: tuple[Callable[[Any], bool], str] = (lambda v: v is None or 1 <= v <= 1_000_000, "1 to 1000000")
_LIMITS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "model": (lambda v: v is not None and v.strip() != "", "a model folder, or hub:org/name"),
    "task": (lambda v: v is not None and v.strip() != "", f"one or several of {', '.join(BENCHMARKS)}"),
    "name": (lambda v: v is None or _is_folder_name(v), "letters, digits, - _ . and no leading dot"),
    **dict.fromkeys(("questions", "samples", "max_tokens", "batch"), _AT_LEAST_1),
    "temperature": (lambda v: v is None or 0 <= v < math.inf, ">= 0"),
    "top_p": (lambda v: v is None or 0 < v <= 1, "0 < value <= 1"),
    "seed": (lambda v: 0 <= v < 2**31, "0 to 2147483647"),
    "backend": (lambda v: v in ("own", "lighteval"), "own or lighteval"),
    "engine": (lambda v: v in ("native", "transformers", "vllm"), "native, transformers or vllm"),
    "device": (lambda v: v in ("cpu", "cuda"), "cpu or cuda"),
    "dtype": (lambda v: v in ("float32", "bfloat16"), "float32 or bfloat16"),
    "processes": (lambda v: 1 <= v <= 64, "1 to 64"),
    "kv_cache_gb": (lambda v: v is None or 0 < v <= 10_000, "above 0, up to 10000"),
    "yarn": (lambda v: v is None or 1 < v <= 64, "a factor above 1, up to 64"),
    "sandbox.backend": (lambda v: v in ("auto", "native", "bubblewrap"), "auto, native or bubblewrap"),
    "wandb.mode": (lambda v: v in (None, "online", "offline", "disabled"), "null, online, offline or disabled"),
    "wandb.finish_timeout_s": (lambda v: 0 <= v <= 86400, "0 to 86400"),
}


def read_settings(arguments: Sequence[str]) -> EvaluateSettings:
    """The settings of a command line; ConfigError, one line, for the first word that is wrong."""
    refuse_repeats(arguments)
    raw = read_yaml(SWEEPS / "evaluate.yaml")
    data: dict[str, str] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key:
            raise ConfigError(f"the argument {argument!r} is no key=value; allowed: keys {', '.join(raw)}")
        if key == "data" or key.startswith("data."):
            data[key.removeprefix("data").removeprefix(".")] = text
        else:
            _put(raw, key, text if key in _TEXTS else _value(key, text))
    settings = build(EvaluateSettings, {**raw, "data": data})
    for key, (fits, allowed) in _LIMITS.items():
        if not fits(value := look_up(settings, key)):
            raise ConfigError(f"{key} is {'missing' if value is None else repr(value)}; allowed: {allowed}")
    if settings.kv_cache_gb is not None and settings.engine != "vllm":
        raise ConfigError(
            f"kv_cache_gb is {settings.kv_cache_gb:g} for engine={settings.engine}; allowed: null, as only vllm has it"
        )
    names = [each.name for each in settings.benchmarks]
    if strange := sorted(set(data) - {"", *names}):
        raise ConfigError(f"data.{strange[0]} belongs to no task that is asked; allowed: {', '.join(names)}")
    return settings


def _put(raw: dict[str, Any], key: str, value: Any) -> None:
    group, dot, name = key.partition(".")
    if not dot:
        raw[key] = value
    elif isinstance(raw.get(group), dict):
        raw[group] = {**raw[group], name: value}
    else:
        raise ConfigError(f"{key} is not a setting; allowed: {', '.join(raw)}")


def _value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{key} is {text!r}; allowed: a value such as 3, 0.6, true or null") from None


def _is_folder_name(text: str) -> bool:
    return (
        0 < len(text) <= 128 and text[0] not in ".-" and all(c.isascii() and (c.isalnum() or c in "-_.") for c in text)
    )
