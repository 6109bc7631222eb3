"""What a person sees while a sweep runs: a live table on a terminal, plain lines otherwise."""

import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from ablations.job import SFT_ARM, STAGES, Job, Progress
from klear_core.runs.schema import Plan

_PLAIN_EVERY_S = 15.0
_BAR_WIDTH = 20
# Column -> the metric that it shows, and how.
_SHOWN = {
    "loss": ("loss", ".3f"),
    "reward": ("reward_mean", ".3f"),
    "entropy": ("entropy", ".3f"),
    "outside band": ("band_fraction", ".2%"),
}


class Board(Protocol):
    """Shows a sweep in progress."""

    def say(self, line: str) -> None:
        """Show one line that stays."""

    def started(self, job: Job) -> None:
        """A child has started."""

    def progress(self, job: Job, progress: Progress) -> None:
        """A child has finished a step."""

    def ended(self, job: Job, reason: str) -> None:
        """A child has ended, with the reason when it failed."""

    def retried(self, job: Job, reason: str) -> None:
        """An attempt has failed and another one follows."""

    def refresh(self) -> None:
        """Called about twice a second."""

    def close(self) -> None:
        """Nothing more will happen."""


@dataclass(slots=True)
class _Arm:
    """State of the runs of one arm."""

    planned: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    step: int = 0
    total: int = 0
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def state(self) -> str:
        if self.running:
            return "running"
        if self.done + self.failed >= self.planned:
            return "failed" if self.failed else "done"
        return "waiting"


class Tally:
    """Counts and times of a sweep, from which both boards draw."""

    def __init__(self, plan: Plan) -> None:
        self.arms: dict[str, _Arm] = {}
        self._fractions: dict[str, tuple[float, float]] = {}  # run -> (start, share done)
        self._arms: dict[str, str] = {}  # run -> its arm
        self._durations: dict[str, list[float]] = {stage: [] for stage in STAGES}
        self._open: dict[str, set[str]] = {stage: set() for stage in STAGES}
        self._slots_seen = 1
        for run in plan.runs:
            self.arms.setdefault(run.arm, _Arm()).planned += 1

    def expect(self, jobs: list[Job]) -> None:
        """The jobs that will run; planned runs that are not among them are reused and count as done."""
        todo: dict[str, int] = {}
        for job in jobs:
            self._open[job.stage].add(job.run_id)
            todo[job.arm] = todo.get(job.arm, 0) + 1
        for name, arm in self.arms.items():
            arm.done = arm.planned - todo.get(name, 0)
        if SFT_ARM in todo:
            self.arms = {SFT_ARM: _Arm(planned=todo[SFT_ARM])} | self.arms

    def start(self, job: Job) -> None:
        """A run has started."""
        self.arms[job.arm].running += 1
        self._fractions[job.run_id] = (time.monotonic(), 0.0)
        self._arms[job.run_id] = job.arm
        self._slots_seen = max(self._slots_seen, len(self._fractions))

    def step(self, job: Job, progress: Progress) -> None:
        """A run has finished a step."""
        arm = self.arms[job.arm]
        arm.step, arm.total, arm.metrics = progress.step, progress.total, dict(progress.metrics)
        begun, _ = self._fractions[job.run_id]
        self._fractions[job.run_id] = (begun, progress.step / progress.total)

    def end(self, job: Job, reason: str) -> None:
        """A run has ended; one that never started failed with what it waited for."""
        arm = self.arms[job.arm]
        self._open[job.stage].discard(job.run_id)
        if job.run_id in self._fractions:
            arm.running -= 1
            begun, _ = self._fractions.pop(job.run_id)
            self._durations[job.stage].append(time.monotonic() - begun)
        if reason:
            arm.failed += 1
        else:
            arm.done += 1

    def share_done(self, name: str) -> float:
        """How much of an arm's runs is done, 0 to 1; a run in progress counts by its steps."""
        arm = self.arms[name]
        under_way = sum(share for run, (_, share) in self._fractions.items() if self._arms[run] == name)
        return min(1.0, (arm.done + arm.failed + under_way) / arm.planned) if arm.planned else 0.0

    def retry(self, job: Job) -> None:
        """An attempt has ended and the run waits for its next one."""
        self.arms[job.arm].running -= 1
        self._fractions.pop(job.run_id)

    def eta_s(self) -> float:
        """Seconds to the end, NaN until the first RL run tells how long one takes."""
        seconds = 0.0
        for stage, open_runs in self._open.items():
            if not open_runs:
                continue
            known = self._durations[stage] or self._extrapolated(open_runs)
            if not known:
                return math.nan
            done = sum(share for name, (_, share) in self._fractions.items() if name in open_runs)
            seconds += sum(known) / len(known) * (len(open_runs) - done)
        return seconds / self._slots_seen

    def _extrapolated(self, open_runs: set[str]) -> list[float]:
        now = time.monotonic()
        running = [value for name, value in self._fractions.items() if name in open_runs]
        return [(now - begun) / share for begun, share in running if share > 0]


class PlainBoard:
    """Lines for logs: starts, ends, and where the sweep stands every few seconds."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._last = time.monotonic()
        self._last_seen: dict[str, Mapping[str, float]] = {}

    def say(self, line: str) -> None:
        """Show one line that stays."""
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except OSError:
            # Who read along has gone, as `| head` does, or the disk of a log is full; the sweep goes on, and the
            # report's process inherits this.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def started(self, job: Job) -> None:
        """A child has started."""
        self._tally.start(job)

    def progress(self, job: Job, progress: Progress) -> None:
        """A child has finished a step."""
        self._tally.step(job, progress)
        self._last_seen[job.run_id] = progress.metrics

    def ended(self, job: Job, reason: str) -> None:
        """A child has ended, with the reason when it failed."""
        self._tally.end(job, reason)
        told = f"failed: {reason}" if reason else f"done{_told(self._last_seen.pop(job.run_id, {}))}"
        self.say(f"{job.arm} seed {job.config.seed} {told} [ETA {_duration(self._tally.eta_s())}]")

    def retried(self, job: Job, reason: str) -> None:
        """An attempt has failed and another one follows."""
        self._tally.retry(job)
        self.say(f"{job.arm} seed {job.config.seed} is tried again after {reason}")

    def refresh(self) -> None:
        """Say where running arms stand, now and then."""
        if time.monotonic() - self._last < _PLAIN_EVERY_S:
            return
        self._last = time.monotonic()
        for name, arm in self._tally.arms.items():
            if arm.running and arm.total:
                self.say(
                    f"{name} step {arm.step}/{arm.total}{_told(arm.metrics)} [ETA {_duration(self._tally.eta_s())}]"
                )

    def close(self) -> None:
        """Nothing to clean up."""


class LiveBoard:
    """A table of arms that is redrawn in place."""

    def __init__(self, tally: Tally, title: str, console: Console | None = None) -> None:
        self._tally = tally
        self._title = title
        self._console = console or Console()
        self._live = Live(self._table(), console=self._console, refresh_per_second=4, transient=False)
        self._live.start()

    def say(self, line: str) -> None:
        """Show one line that stays, above the table."""
        self._console.print(line, markup=False, highlight=False)

    def started(self, job: Job) -> None:
        """A child has started."""
        self._tally.start(job)

    def progress(self, job: Job, progress: Progress) -> None:
        """A child has finished a step."""
        self._tally.step(job, progress)

    def ended(self, job: Job, reason: str) -> None:
        """A child has ended, with the reason when it failed."""
        self._tally.end(job, reason)

    def retried(self, job: Job, reason: str) -> None:
        """An attempt has failed and another one follows."""
        self._tally.retry(job)
        self.say(f"{job.arm} seed {job.config.seed} is tried again after {reason}")

    def refresh(self) -> None:
        """Redraw."""
        self._live.update(self._table())

    def close(self) -> None:
        """Leave the last table standing."""
        self._live.update(self._table())
        self._live.stop()

    def _table(self) -> Table:
        table = Table(title=self._title, caption=f"ETA {_duration(self._tally.eta_s())}", title_justify="left")
        for name in ("arm", "state", "progress", "runs", "step", *_SHOWN):
            table.add_column(name, justify="left" if name in ("arm", "state", "progress") else "right")
        for name, arm in self._tally.arms.items():
            runs = f"{arm.done}/{arm.planned}" + (f" ({arm.failed} failed)" if arm.failed else "")
            step = f"{arm.step}/{arm.total}" if arm.total else ""
            bar = ProgressBar(total=1.0, completed=self._tally.share_done(name), width=_BAR_WIDTH)
            table.add_row(name, arm.state, bar, runs, step, *_cells(arm.metrics))
        return table


def _cells(metrics: Mapping[str, float]) -> list[str]:
    cells = []
    for key, form in _SHOWN.values():
        value = metrics.get(key, math.nan)
        cells.append("" if math.isnan(value) else format(value, form))
    return cells


def _told(metrics: Mapping[str, float]) -> str:
    cells = zip(_SHOWN, _cells(metrics), strict=True)
    told = ", ".join(f"{name} {cell}" for name, cell in cells if cell)
    return f": {told}" if told else ""


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "?"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def make_board(plan: Plan, jobs: list[Job], *, live: bool | None) -> Board:
    """A live table when the output is a terminal or ``live`` says so, plain lines otherwise."""
    tally = Tally(plan)
    tally.expect(jobs)
    if live if live is not None else sys.stdout.isatty():
        return LiveBoard(tally, f"{plan.sweep}: {len(plan.runs)} runs")
    return PlainBoard(tally)
