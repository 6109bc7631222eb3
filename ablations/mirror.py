"""The W&B mirror of a run: opened and fed in one way, by the run itself and by `ablations sync --from-ledger`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from klear_core.config import RESULT_PARTS, RunConfig
from klear_core.runs import store
from klear_core.runs.wandb_sink import WandbSink
from klear_core.settings import to_plain

# Of the updates of a supervised start, which are many.
SFT_SHOWN_EVERY = 20


def open_mirror(
    config: RunConfig,
    *,
    stage: str,
    arm: str,
    run_id: str,
    folder: Path,
    mode: str,
    finish_timeout_s: float,
    patient: bool = False,
) -> WandbSink:
    """The mirror of one run: arm and seed name it, its sweep groups it, its stage is the job type."""
    return WandbSink(
        mode=mode,
        project=config.wandb.project,
        folder=folder,
        run_id=run_id,
        name=f"{arm}-s{config.seed}",
        group=config.sweep.name,
        job_type=stage,
        config={key: value for key, value in to_plain(config).items() if key in (*RESULT_PARTS, "sweep", "scale")}
        | {"sweep": config.sweep.name, "arm": arm, "seed": config.seed},
        finish_timeout_s=finish_timeout_s,
        patient=patient,
    )


def is_shown(stage: str, step: int, total: int) -> bool:
    """Whether a step is mirrored: all of RL, now and then one of supervised training."""
    return stage == "rl" or step % SFT_SHOWN_EVERY == 0 or step == total


def step_values(metrics: Mapping[str, Any], evaluated: Sequence[Mapping[str, Any]] = ()) -> dict[str, float]:
    """What the mirror holds of a step: its numbers, and the accuracies evaluated after it."""
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    return numbers | accuracies(evaluated)


def accuracy(rows: Sequence[Mapping[str, Any]], split: str, decoding: str, step: int) -> float:
    """Share of correct answers under one key, NaN without rows."""
    key = (split, decoding, step)
    return store.nan_mean(row["correct"] for row in rows if (row["split"], row["decoding"], row["step"]) == key)


def accuracies(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Latest accuracy by split and decoding, under the names that W&B shows."""
    keys = {(row["split"], row["decoding"]): row["step"] for row in rows}
    return {f"{s}/{d}/correct": accuracy(rows, s, d, step) for (s, d), step in keys.items()}
