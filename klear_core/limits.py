"""The limits of all settings, and those that hold between two of them."""

import math
import re
from collections.abc import Callable
from typing import Any

from klear_core.errors import ConfigError
from klear_core.settings import look_up

_POSITIVE = {
    "model": "hidden_size intermediate_size num_layers num_heads num_kv_heads",
    "sft": "steps batch_size max_grad_norm",
    "rl": "steps problems_per_step updates_per_rollout max_grad_norm max_response_tokens",
    "eval": "test_samples validation_samples validation_every",
}

_COUNTED = ("task.train_problems", "eval.test_questions", "eval.validation_questions")

_SCORES = "correct wrong no_answer unparsable timeout missing_open missing_close bad_format truncated"

# First words of ``python -m reports`` that are no sweeps, and the folder of evaluations.
_REPORTS_WORDS = ("check", "dashboard", "eval", "objectives", "paper", "published", "table1")

# key -> (test, what is allowed). NaN fails every comparison, so it is refused too.
_LIMITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda v: 0 <= v < 2**31, "0 to 2147483647"),
    "sweep.name": (
        lambda v: re.fullmatch(r"[a-z][a-z0-9_.-]*", v) is not None and v not in _REPORTS_WORDS,
        f"lower-case letters, digits, - _ ., and none of {', '.join(_REPORTS_WORDS)}",
    ),
    "objective.name": (lambda v: re.fullmatch(r"[a-z][a-z0-9_]*", v) is not None, "lower-case letters, digits and _"),
    "sweep.primary.split": (lambda v: v == "test", "test"),
    "sweep.primary.decoding": (lambda v: v in ("t1.0", "t0.6_p0.95", "greedy"), "t1.0, t0.6_p0.95 or greedy"),
    "loss.denominator": (lambda v: v in ("all", "kept"), "all or kept"),
    "model.name": (lambda v: re.fullmatch(r"\w[\w.-]*", v) is not None, "letters, digits, - _ ."),
    "model.head_dim": (lambda v: v > 0 and v % 2 == 0, "even and > 0"),
    "model.precision": (
        lambda v: v in ("float32", "bf16_master", "bf16_kahan"),
        "float32, bf16_master or bf16_kahan",
    ),
    "model.device": (lambda v: v in ("cpu", "cuda"), "cpu or cuda"),
    "stage": (lambda v: v in ("rl", "sft"), "rl or sft"),
    "sft_mix.name": (lambda v: re.fullmatch(r"[a-z][a-z0-9_]*", v) is not None, "lower-case letters, digits and _"),
    "sft.checkpoint": (lambda v: v is None or v.strip() != "", "null, a folder or hub:org/name"),
    "sft.learning_rate": (lambda v: 0 < v < math.inf, "> 0"),
    "sft.final_learning_rate": (lambda v: 0 <= v < math.inf, ">= 0"),
    "sft.pack_tokens": (lambda v: v is None or v > 1, "null or > 1"),
    "sft.micro_batch_tokens": (lambda v: v is None or v > 0, "null or > 0"),
    "sft.warmup_steps": (lambda v: v >= 0, ">= 0"),
    "reward.name": (lambda v: re.fullmatch(r"[a-z][a-z0-9_]*", v) is not None, "lower-case letters, digits and _"),
    "reward.group_filter": (lambda v: v in ("off", "acc"), "off or acc"),
    "reward.verifier": (lambda v: v in ("exact", "math_verify"), "exact or math_verify"),
    "code_filter.name": (lambda v: re.fullmatch(r"[a-z][a-z0-9_]*", v) is not None, "lower-case letters, digits and _"),
    "code_filter.rule": (lambda v: v in ("off", "reference", "oracle"), "off, reference or oracle"),
    "code_filter.accuracy": (lambda v: 0 < v <= 1, "0 < value <= 1"),
    "code_filter.completions": (lambda v: 1 <= v <= 1000, "1 to 1000"),
    "code_filter.min_pass_rate": (lambda v: 0 <= v <= 1, "0 to 1"),
    "sandbox.backend": (lambda v: v in ("auto", "native", "bubblewrap"), "auto, native or bubblewrap"),
    "sandbox.cpu_s": (lambda v: 0 < v <= 3600, "0 < value <= 3600"),
    "sandbox.wall_s": (lambda v: 0 < v <= 36000, "0 < value <= 36000"),
    "sandbox.memory_mb": (lambda v: 16 <= v <= 2**20, "16 to 1048576"),
    "sandbox.output_kb": (lambda v: 1 <= v <= 2**20, "1 to 1048576"),
    "sandbox.stderr_kb": (lambda v: 1 <= v <= 1024, "1 to 1024"),
    "sandbox.threads": (lambda v: 1 <= v <= 1024, "1 to 1024"),
    "sandbox.open_files": (lambda v: 8 <= v <= 4096, "8 to 4096"),
    "sandbox.max_timeouts": (lambda v: v > 0, "> 0"),
    "rl.gradient_noise_every": (lambda v: v >= 0, ">= 0"),
    "rl.completions_per_problem": (lambda v: v > 1, "> 1, as advantages compare the completions of a problem"),
    "rl.learning_rate": (lambda v: 0 < v < math.inf, "> 0"),
    "rl.warmup_updates": (lambda v: v >= 0, ">= 0"),
    "rl.adam_beta1": (lambda v: 0 <= v < 1, "0 <= value < 1"),
    "rl.adam_beta2": (lambda v: 0 <= v < 1, "0 <= value < 1"),
    "rl.weight_decay": (lambda v: 0 <= v < math.inf, ">= 0"),
    "rl.temperature": (lambda v: 0 < v < math.inf, "> 0"),
    "rl.max_skipped_updates": (lambda v: v >= 0, ">= 0"),
    "rl.pack_tokens": (lambda v: v is None or v > 1, "null or > 1"),
    "rl.micro_batch_tokens": (lambda v: v is None or v > 0, "null or > 0"),
    "control.name": (lambda v: re.fullmatch(r"[a-z][a-z0-9_]*", v) is not None, "lower-case letters, digits and _"),
    "control.sampling_stream": (lambda v: 0 <= v < 2**31, "0 to 2147483647"),
    "control.learning_rate_factor": (lambda v: 0 < v < math.inf, "> 0"),
    "engine.name": (lambda v: v in ("native", "transformers", "vllm"), "native, transformers or vllm"),
    "engine.max_rows": (lambda v: v > 0, "> 0"),
    "engine.kv_cache_gb": (lambda v: v is None or 0 < v < math.inf, "null or > 0"),
    "reuse": (lambda v: v in (None, "any_code", "new_folder"), "null, any_code or new_folder"),
    "retries": (lambda v: 0 <= v <= 10, "0 to 10"),
    "max_failures": (lambda v: v is None or v > 0, "null or > 0"),
    "launch.checkpoint_every_s": (lambda v: 0 <= v < math.inf, ">= 0"),
    "launch.time_limit_s": (lambda v: v is None or 0 < v < math.inf, "null or > 0"),
    "launch.memory_limit_mb": (lambda v: v is None or 0 < v <= 2**30, "null or 1 to 1073741824"),
    "wandb.project": (
        lambda v: re.fullmatch(r"[^/\\#?%:\s]{1,128}", v) is not None,
        "1 to 128 characters, no space and none of / \\ # ? % :",
    ),
    "wandb.finish_timeout_s": (lambda v: 0 <= v <= 86400, "0 to 86400"),
    "wandb.mode": (lambda v: v in (None, "online", "offline", "disabled"), "null, online, offline or disabled"),
    "launch.runs_dir": (lambda v: v.strip() != "", "a folder"),
    "launch.slots": (lambda v: v is None or v > 0, "null or > 0"),
    "launch.rollout_rows": (lambda v: v >= 0, ">= 0"),
    **{f"{part}.{name}": (lambda v: v > 0, "> 0") for part, names in _POSITIVE.items() for name in names.split()},
    **{f"reward.scores.{name}": (math.isfinite, "a finite number") for name in _SCORES.split()},
    **{key: (lambda v: 0 < v <= 1_000_000, "1 to 1000000") for key in _COUNTED},
}


def check_limits(config: Any) -> None:
    """ConfigError that names the first setting of a ``RunConfig`` outside its limits, its value and what is allowed."""
    for key, (allowed, text) in _LIMITS.items():
        value = look_up(config, key)
        if not allowed(value):
            raise ConfigError(f"{key} is {value!r}; allowed: {text}")
    rl, metric = config.rl, config.sweep.primary.metric
    if rl.problems_per_step % rl.updates_per_rollout:
        raise ConfigError(
            f"rl.updates_per_rollout is {rl.updates_per_rollout}; allowed: a divisor of "
            f"rl.problems_per_step = {rl.problems_per_step}, so that all mini-batches have one size"
        )
    if rl.pack_tokens is not None and rl.pack_tokens <= rl.max_response_tokens:
        raise ConfigError(
            f"rl.pack_tokens is {rl.pack_tokens}; allowed: null or more than rl.max_response_tokens = "
            f"{rl.max_response_tokens}, as a row holds a prompt with its response"
        )
    for name, part in (("sft", config.sft), ("rl", rl)):
        most, row = part.micro_batch_tokens, part.pack_tokens
        if most is not None and row is not None and most < row:
            raise ConfigError(
                f"{name}.micro_batch_tokens is {most}; allowed: null or at least {name}.pack_tokens = {row}, as a row "
                f"is not cut"
            )
    if config.sft.final_learning_rate > config.sft.learning_rate:
        raise ConfigError(
            f"sft.final_learning_rate is {config.sft.final_learning_rate:g}; allowed: at most "
            f"sft.learning_rate = {config.sft.learning_rate:g}"
        )
    heads, kv_heads = config.model.num_heads, config.model.num_kv_heads
    if heads % kv_heads:
        raise ConfigError(f"model.num_kv_heads is {kv_heads}; allowed: a divisor of model.num_heads = {heads}")
    slots = config.launch.slots or 1
    if config.engine.sleeps and config.model.device == "cuda" and slots > 1:
        raise ConfigError(
            f"engine.sleeps is True with launch.slots = {slots}; allowed: false, as what sleeps still counts against a "
            f"run's share of the GPU"
        )
    if config.sandbox.wall_s < config.sandbox.cpu_s:
        raise ConfigError(
            f"sandbox.wall_s is {config.sandbox.wall_s:g}; allowed: at least sandbox.cpu_s = {config.sandbox.cpu_s:g}"
        )
    if rl.problems_per_step > config.task.train_problems:
        raise ConfigError(
            f"rl.problems_per_step is {rl.problems_per_step}; allowed: at most "
            f"task.train_problems = {config.task.train_problems}"
        )
    k = 1 if config.sweep.primary.decoding == "greedy" else config.eval.test_samples
    if metric not in (f"avg@{k}", f"pass@{k}"):
        drawn = f"as {k} samples a question are drawn"
        raise ConfigError(f"sweep.primary.metric is {metric!r}; allowed: avg@{k} or pass@{k}, {drawn}")
    compared = {"sweep.compare": config.sweep.compare}
    compared |= {f"sweep.points.{prefix}": key for prefix, key in config.sweep.points.items()}
    for name, key in compared.items():
        try:
            look_up(config, key)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}; allowed: a key of sweeps/config.yaml") from None
