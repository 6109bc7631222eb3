"""Stored runs as typed frames; what is missing, failed or still running is listed, never dropped in silence."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from klear_core.errors import RunStoreError
from klear_core.runs import schema, store
from klear_core.runs.folders import is_alive
from klear_core.runs.log import read_log
from reports.stats import collapsed

# The columns that statistics need; the texts of a large sweep would fill the memory.
_EVALUATED = (
    *("step", "split", "decoding", "question", "difficulty", "sample", "correct", "verdict", "response_tokens"),
)
_SHOWN = 5
_ADVICE = "run the sweep's command again, which writes it anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """One planned run and whatever it left; frames are empty when there is nothing."""

    planned: schema.PlannedRun
    manifest: schema.Manifest | None
    status: schema.Status | None
    steps: pd.DataFrame
    timings: pd.DataFrame
    evaluations: pd.DataFrame
    filter: list[dict[str, Any]]  # training problems kept and dropped, [] where nothing was recorded
    mix: dict[str, Any]  # what supervised training imitated, {} where nothing was recorded
    collapse: str  # why it counts as collapsed, "" when it does not
    expected_id: str = ""  # run_id that the folder must hold, "" where the folder's name is the key
    expected_steps: int | None = None  # rows that a done run has left, None where the plan does not say

    @property
    def problem(self) -> str:
        """Why the run is not complete, "" when it is done."""
        if self.manifest is None or self.status is None:
            return "not started"
        if self.expected_id and self.manifest.run_id != self.expected_id:
            return f"the folder holds run {self.manifest.run_id}, the plan asks for {self.expected_id}"
        if self.status.state == "done":
            short = self.expected_steps is not None and len(self.steps) != self.expected_steps
            return f"done, but its records hold {len(self.steps)} of {self.expected_steps} steps" if short else ""
        if self.status.state == "running" and not is_alive(self.status.owner):
            return "interrupted: its process is gone; the same command goes on with it"
        words = (self.status.state, self.status.exit_class, self.status.reason)
        return ": ".join(word for word in words if word)

    @property
    def diverged(self) -> bool:
        """Whether it ended because something was not finite: an outcome, not a fault of the harness."""
        return self.status is not None and self.status.exit_class == "diverged"

    @property
    def wall_s(self) -> float:
        """Seconds of all attempts, NaN before the first has ended."""
        return self.status.wall_s if self.status is not None and self.status.ended else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepData:
    """A plan with all its runs and the supervised checkpoints they started from, by key."""

    folder: Path
    plan: schema.Plan
    runs: list[RunData]
    sft: dict[str, RunData]
    weights: dict[str, Any]  # gradient_weights.json, {} when absent

    def at(self, point: str, treatment: str) -> list[RunData]:
        """The runs of one cell, by seed."""
        cell = [run for run in self.runs if (run.planned.point, run.planned.treatment) == (point, treatment)]
        return sorted(cell, key=lambda run: run.planned.seed)

    def start_of(self, run: RunData) -> RunData | None:
        """The supervised checkpoint that a run started from; None when it was given as a folder."""
        return self.sft.get(run.planned.sft)

    def told(self, point: str) -> str:
        """An operating point in words, also when the plan leaves them out."""
        return self.plan.points[point] or point or "the only operating point"


def load_sweep(runs_dir: Path, name: str) -> SweepData:
    """Read a sweep; RunStoreError when it is unknown or its plan is broken."""
    folder = runs_dir / name
    try:
        is_there = bool(name) and (folder / schema.PLAN_FILE).is_file()
    except OSError:  # a name that no file can have
        is_there = False
    if not is_there:
        known = sorted(path.parent.name for path in runs_dir.glob(f"*/{schema.PLAN_FILE}"))
        raise RunStoreError(f"there is no sweep {name!r} in {runs_dir}; found: {', '.join(known) or 'none'}")
    plan = store.read_plan(folder)
    _check_plan(plan, folder / schema.PLAN_FILE)
    sft: dict[str, RunData] = {}
    for planned in plan.runs:
        if planned.sft and planned.sft not in sft:
            sft[planned.sft] = _load_run(planned, runs_dir / schema.SFT_STORE_DIR / planned.sft, "sft", math.nan)
    runs = []
    for planned in plan.runs:
        length = _mean_length(sft.get(planned.sft))
        loaded = _load_run(planned, folder / planned.folder, plan.stage, length)
        runs.append(dataclasses.replace(loaded, expected_id=planned.run_id, expected_steps=plan.primary.step))
    has_weights = (folder / schema.WEIGHTS_FILE).is_file()
    weights = dataclasses.asdict(store.read_weights(folder)) if has_weights else {}
    return SweepData(folder=folder, plan=plan, runs=runs, sft=sft, weights=weights)


def _check_plan(plan: schema.Plan, path: Path) -> None:
    """What a plan says at two places agrees."""
    if not plan.runs:
        raise RunStoreError(f"{path} names no runs; {_ADVICE}")
    for run in plan.runs:
        if run.treatment not in plan.treatments or run.point not in plan.points:
            raise RunStoreError(f"{path}: run {run.folder} is of no treatment or point that it names; {_ADVICE}")
    if plan.baseline is not None and plan.baseline not in plan.treatments:
        raise RunStoreError(f"{path}: baseline is {plan.baseline!r}; allowed: {', '.join(plan.treatments)} or null")


def _load_run(planned: schema.PlannedRun, folder: Path, stage: str, sft_tokens: float) -> RunData:
    manifest = store.read_manifest(folder) if (folder / schema.MANIFEST_FILE).is_file() else None
    status = store.read_status(folder)
    fields = (schema.STEP_FIELDS, schema.TIMING_FIELDS)
    if stage == "sft":
        fields = (schema.SFT_STEP_FIELDS, schema.SFT_TIMING_FIELDS)
    steps = _read_rows(folder / schema.STEPS_FILE, fields[0])
    reason = ""
    if "zero_variance_groups" in steps:
        tokens = list(steps["response_tokens_mean"])
        reason = collapsed(list(steps["zero_variance_groups"]), tokens, sft_tokens)
    return RunData(
        planned=planned,
        manifest=manifest,
        status=status,
        steps=steps,
        timings=_read_rows(folder / schema.TIMINGS_FILE, fields[1]),
        evaluations=_read_evaluations(folder),
        filter=store.read_filter(folder),
        mix=store.read_mix(folder),
        collapse=reason,
    )


def _read_evaluations(folder: Path) -> pd.DataFrame:
    table = store.read_evaluations(folder)
    if not table.num_rows:
        return pd.DataFrame(columns=[*_EVALUATED])
    absent = [name for name in _EVALUATED if name not in table.column_names]
    if absent:
        raise RunStoreError(f"{folder / schema.EVAL_FILE} lacks the columns {', '.join(absent)}; move {folder} away")
    frame: pd.DataFrame = table.select([*_EVALUATED]).to_pandas(categories=["split", "decoding", "verdict"])
    return frame


def _read_rows(path: Path, fields: Iterable[str]) -> pd.DataFrame:
    try:
        frame = pd.DataFrame(list(read_log(path))) if path.is_file() else pd.DataFrame()
    except RunStoreError as error:
        raise RunStoreError(f"{error}; move {path.parent} away") from None
    absent = [name for name in fields if name not in frame]
    if absent and not frame.empty:
        raise RunStoreError(
            f"{path} holds rows of another version, without {', '.join(absent[:_SHOWN])}; move {path.parent} away"
        )
    return frame


def _mean_length(start: RunData | None) -> float:
    if start is None or start.evaluations.empty:
        return math.nan
    rows = start.evaluations
    # Training samples at temperature 1, so that is the length it is measured against.
    asked = rows[(rows["split"] == "test") & (rows["decoding"] == "t1.0") & (rows["step"] == 0)]
    return float(asked["response_tokens"].mean())
