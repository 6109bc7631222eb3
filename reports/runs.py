"""The records that a report is computed from: runs as they were stored, and the plan that asked for them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from klear_core.runs import schema
from klear_core.runs.folders import is_alive


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Samples of each question of one split under one decoding at one step of one run, Q questions in order."""

    questions_Q: np.ndarray
    samples_Q: np.ndarray
    judged_Q: np.ndarray  # samples whose grading did not fail
    hits_Q: np.ndarray  # correct ones


# Split, decoding and step of evaluation rows.
Asked = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunData:
    """One planned run and whatever it left; frames are empty when there is nothing, or nothing that may be counted."""

    planned: schema.PlannedRun
    manifest: schema.Manifest | None
    status: schema.Status | None
    steps: pd.DataFrame
    timings: pd.DataFrame
    evaluations: pd.DataFrame
    tallies: Mapping[Asked, Tally]  # of the evaluations
    filter: list[dict[str, Any]]  # training problems kept and dropped, [] where nothing was recorded
    mix: dict[str, Any]  # what supervised training imitated, {} where nothing was recorded
    collapse: str  # why it counts as collapsed, "" when it does not
    expected_id: str = ""  # run_id that the folder must hold, "" where the folder's name is the key
    expected_steps: int | None = None  # rows that a done run has left, None where the plan does not say
    broken: str = ""  # which file of it cannot be read, and why; "" when all can
    flaw: str = ""  # why its evaluation rows are not counted, "" when they are
    torn: tuple[str, ...] = ()  # record files that end in half a row, which is left out

    @property
    def problem(self) -> str:
        """Why the run is not complete, "" when it is done."""
        if self.broken:
            return f"unreadable: {self.broken}"
        if self.manifest is None or self.status is None:
            return "not started"
        if not self.is_its_own:
            return f"the folder holds run {self.manifest.run_id}, the plan asks for {self.expected_id}"
        if self.status.state == "done":
            short = self.expected_steps is not None and len(self.steps) != self.expected_steps
            return f"done, but its records hold {len(self.steps)} of {self.expected_steps} steps" if short else ""
        if self.status.state == "running" and not is_alive(self.status.owner):
            return "interrupted: its process is gone; the same command goes on with it"
        words = (self.status.state, self.status.exit_class, self.status.reason)
        return ": ".join(word for word in words if word)

    @property
    def is_its_own(self) -> bool:
        """Whether the folder holds the run that was planned, as far as it says."""
        return not self.expected_id or self.manifest is None or self.manifest.run_id == self.expected_id

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
    _cells: dict[tuple[str, str], list[RunData]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the runs into cells once: tables and figures ask for them thousands of times."""
        for run in sorted(self.runs, key=lambda run: run.planned.seed):
            self._cells.setdefault((run.planned.point, run.planned.treatment), []).append(run)

    def at(self, point: str, treatment: str) -> list[RunData]:
        """The runs of one cell, by seed."""
        return list(self._cells.get((point, treatment), ()))

    def start_of(self, run: RunData) -> RunData | None:
        """The supervised checkpoint that a run started from; None when it was given as a folder."""
        return self.sft.get(run.planned.sft)

    def told(self, point: str) -> str:
        """An operating point in words, also when the plan leaves them out."""
        return self.plan.points[point] or point or "the only operating point"
