"""RunConfig and its parts: everything that one run is, as frozen dataclasses whose limits are checked once.

Every default lives in the YAML files of ``sweeps/``, where a reader sees it; here are names, types and limits only.
"""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from klear_core.control_config import ControlConfig
from klear_core.engine_config import EngineConfig
from klear_core.limits import check_limits
from klear_core.model_config import ModelConfig
from klear_core.reward_config import CodeFilterConfig, RewardConfig, SandboxConfig
from klear_core.settings import look_up

FLAWS = "flawed_share"  # of task.params, where a task has it: the share of training problems with wrong tests


@dataclass(frozen=True, kw_only=True)
class PrimaryConfig:
    """The metric that decides, declared before the start: ``metric`` of ``split`` under ``decoding``, last step."""

    metric: str
    split: str
    decoding: str


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """What a sweep compares. ``compare`` and ``points`` name config keys; ``points`` maps a slug prefix to its key."""

    name: str
    title: str
    baseline: str | None
    compare: str
    points: dict[str, str]
    primary: PrimaryConfig


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """A surrogate of ``klear_core.objectives.surrogates`` with its parameters; the name is the arm's."""

    name: str
    surrogate: str
    params: dict[str, Any]
    note: str


@dataclass(frozen=True, kw_only=True)
class AdvantageConfig:
    """An estimator of ``klear_core.advantages`` with its parameters."""

    name: str
    params: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """How the token losses are reduced. ``denominator`` kept leaves rows of zero advantage out of the mean too."""

    reduction: str
    denominator: str  # all | kept
    skip_zero_advantage_rows: bool


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """A task of ``klear_core.data.tasks`` with its settings; ``data_seed`` names the stream of its problems."""

    name: str
    data_seed: int
    train_problems: int
    params: dict[str, Any]

    @property
    def without_flaws(self) -> "TaskConfig":
        """What questions and demonstrations depend on: flaws are planted in the tests that RL trains against, only."""
        return dataclasses.replace(self, params={key: self.params[key] for key in self.params if key != FLAWS})


@dataclass(frozen=True, kw_only=True)
class SFTMixConfig:
    """What supervised training imitates: ``inputs`` are read or generated, then ``steps`` are applied in their order.

    Without inputs it is the task's teacher, a fresh demonstration at every visit of a problem.  ``params`` are for
    the interpolations of inputs and steps; see ``klear_core.data.mixes``.
    """

    name: str
    note: str
    params: dict[str, Any]
    inputs: list[Any]
    steps: list[Any]


@dataclass(frozen=True, kw_only=True)
class SFTConfig:
    """Supervised training. With ``checkpoint`` (a folder, or hub:org/name) it goes on from there where ``stage`` is
    sft; where it is rl, RL starts from there and the other fields are unused.
    """

    checkpoint: str | None
    steps: int
    batch_size: int
    learning_rate: float
    final_learning_rate: float
    warmup_steps: int
    max_grad_norm: float
    pack_tokens: int | None  # of a row that holds several demonstrations, none of which sees another; null = one a row
    micro_batch_tokens: int | None  # positions of one forward and backward pass, padding included; null = no limit


@dataclass(frozen=True, kw_only=True)
class RLConfig:
    """One off-policy RL run: ``updates_per_rollout`` mini-batch updates on each rollout of problems x completions."""

    steps: int
    problems_per_step: int
    completions_per_problem: int
    updates_per_rollout: int
    learning_rate: float
    warmup_updates: int
    max_grad_norm: float
    adam_beta1: float
    adam_beta2: float
    weight_decay: float
    temperature: float
    max_response_tokens: int
    gradient_noise_every: int  # steps between two measurements of the gradient's noise, the first step beside; 0 never
    max_skipped_updates: int  # updates that are not finite and left out before the run counts as diverged
    pack_tokens: int | None  # of a row that holds several completions, none of which sees another; null = one a row
    micro_batch_tokens: int | None  # positions of one forward and backward pass, padding included; null = no limit


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How many questions and samples; validation runs every ``validation_every`` steps, the test at both ends."""

    test_questions: int
    test_samples: int
    validation_questions: int
    validation_samples: int
    validation_every: int


@dataclass(frozen=True, kw_only=True)
class WandbConfig:
    """Mirror to W&B. ``mode`` null decides by WANDB_MODE, then by whether an API key is present."""

    mode: str | None  # online | offline | disabled
    project: str
    log_text: bool
    finish_timeout_s: float  # how long the end of a run waits for W&B; what is missing then, `ablations sync` repairs


@dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """How runs are started; nothing here changes a result on one machine."""

    runs_dir: str
    slots: int | None  # runs side by side; null = number of cores, or 1 on a GPU
    live: bool | None  # live table; null = when the output is a terminal
    rollout_rows: int  # completions of the first problems of a step kept as text
    checkpoint_every_s: float  # least seconds between two checkpoints of a run: what a kill can cost
    time_limit_s: float | None  # of one attempt of a run; null = none
    memory_limit_mb: int | None  # data segment of a run's process, MiB; null = none


@dataclass(frozen=True, kw_only=True)
class ScaleConfig:
    """Size of a sweep. Of the Hydra sweep lists that sweep files refer to, ``code_seeds`` is for sweeps that run
    programs, ``data_seeds`` for those without RL, ``grid_seeds`` for those with many operating points.
    """

    name: str
    seeds: str
    code_seeds: str
    data_seeds: str
    grid_seeds: str
    supervised_steps: int
    updates_per_rollout: str
    learning_rates: str


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything one run is, and how its sweep is run. ``run_id`` hashes the fields that change its result."""

    seed: int
    stage: str  # rl: a supervised start, then RL | sft: supervised training alone, which is what is compared
    dry_run: bool  # show the plan with an estimate, start and write nothing
    reuse: str | None  # null = same settings and code only; any_code; new_folder
    only_failed: bool  # of the planned runs, those that failed
    retries: int  # further attempts in one command, after infrastructure trouble or out of memory only
    max_failures: int | None  # failed runs after which no more are started; null = no limit
    fail_fast: bool  # stop everything at the first failed run
    sweep: SweepConfig
    scale: ScaleConfig
    objective: ObjectiveConfig
    advantage: AdvantageConfig
    loss: LossConfig
    model: ModelConfig
    task: TaskConfig
    reward: RewardConfig
    code_filter: CodeFilterConfig
    sandbox: SandboxConfig
    sft_mix: SFTMixConfig
    sft: SFTConfig
    rl: RLConfig
    control: ControlConfig
    engine: EngineConfig
    eval: EvalConfig
    wandb: WandbConfig
    launch: LaunchConfig

    def __post_init__(self) -> None:
        """Check every limit; ConfigError names the first one that is broken."""
        check_limits(self)

    @property
    def treatment(self) -> str:
        """Value of the compared key: the objective's name in sweep=clipping."""
        return _slug(look_up(self, self.sweep.compare))

    @property
    def point(self) -> str:
        """Slug of the operating point, such as ``u16``; empty when the sweep varies the treatment only."""
        return "-".join(f"{prefix}{_slug(look_up(self, key))}" for prefix, key in self.sweep.points.items())

    @property
    def arm(self) -> str:
        """All that varies but the seed."""
        return f"{self.treatment}-{self.point}" if self.point else self.treatment

    @property
    def final_step(self) -> int:
        """The step after which the test is asked and the run is done."""
        return self.sft.steps if self.stage == "sft" else self.rl.steps

    @property
    def config_hash(self) -> str:
        """Hash of the fields that change the result, the seed included."""
        plain = dataclasses.asdict(self)
        return _hash({name: plain[name] for name in ("seed", *RESULT_PARTS)})

    @property
    def run_id(self) -> str:
        """Readable and unique: sweep, arm, seed and the config hash."""
        return f"{self.sweep.name}-{self.arm}-s{self.seed}-{self.config_hash[:8]}"

    @property
    def sft_key(self) -> str:
        """Hash of the settings of the shared SFT checkpoint; empty when there is none, as RL starts from a given folder
        or there is no RL.
        """
        if self.sft.checkpoint is not None or self.stage == "sft":
            return ""
        parts = {
            name: dataclasses.asdict(getattr(self, name))
            for name in ("task", "model", "sft_mix", "sft", "eval", "engine")
        }
        parts["eval"].pop("validation_every")
        parts["task"] = dataclasses.asdict(self.task.without_flaws)
        # What its evaluation is judged by; what a verdict is worth does not matter there.
        judged = {"sandbox": dataclasses.asdict(self.sandbox), "verifier": self.reward.verifier}
        return _hash(parts | judged | {"seed": self.seed, "max_response_tokens": self.rl.max_response_tokens})


# The parts that change a result; the others say where and how to run.
RESULT_PARTS = (
    *("stage", "objective", "advantage", "loss", "model", "task", "reward", "code_filter", "sandbox"),
    *("sft_mix", "sft", "rl", "control", "engine", "eval"),
)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _slug(value: object) -> str:
    text = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^a-z0-9_.]+", "_", text.lower())
