"""What the sweep's parent and its children tell each other. Nothing here imports torch: the parent starts at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from klear_core.config import RunConfig
from klear_core.runs import provenance

SFT_ARM = "sft"
STAGES = ("sft", "rl", "supervised")


def stage_of(config: RunConfig) -> str:
    """Stage of a run of its own; a start that runs share is always ``sft``."""
    return "supervised" if config.stage == "sft" else "rl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One child process: which stage, where it writes, and where its SFT checkpoint lies."""

    stage: str  # sft: a start that RL runs share; a run of its own: rl, or supervised where no RL follows
    config: RunConfig
    folder: Path
    checkpoint: Path | None  # what training starts from; None where it builds a model
    sft: str
    source: str  # hash of the code, taken when the sweep started
    command: str
    wandb_mode: str

    @property
    def run_id(self) -> str:
        """Unique name, also in W&B."""
        return f"sft-{self.sft}" if self.stage == "sft" else self.config.run_id

    @property
    def config_hash(self) -> str:
        """Hash of the settings that the stage's result depends on."""
        return self.config.sft_key if self.stage == "sft" else self.config.config_hash

    @property
    def identity(self) -> str:
        """What a finished run must have been for this job to be done."""
        return provenance.identity(self.config_hash, self.source)

    @property
    def arm(self) -> str:
        """The arm under which the job is shown."""
        return SFT_ARM if self.stage == "sft" else self.config.arm


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a child tells its parent after a step."""

    step: int
    total: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended: one of ``schema.EXIT_CLASSES``, and why unless it is ok."""

    exit_class: str
    reason: str

    @property
    def told(self) -> str:
        """For a person, "" when all is well."""
        return "" if self.exit_class == "ok" else f"{self.exit_class}: {self.reason}"
