"""Stored runs as typed frames; what is missing, failed or still running is listed, never dropped in silence."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from klear_core.errors import RunStoreError
from klear_core.runs import schema, store
from reports.records import RunRecords, is_torn, load_records
from reports.rows import RunRows, load_rows
from reports.runs import Asked, RunData, SweepData, Tally
from reports.stats import collapsed

__all__ = ["Asked", "RunData", "SweepData", "Tally", "load_sweep"]

_T = TypeVar("_T")
_ADVICE = "run the sweep's command again, which writes it anew"
# Training samples at temperature 1, so that is the length it is measured against.
_START: Asked = ("test", "t1.0", 0)


def load_sweep(runs_dir: Path, name: str) -> SweepData:
    """Read a sweep; RunStoreError when it is unknown, its plan is broken or not one of its runs can be read.

    A run that cannot be read says so, and costs the others nothing.
    """
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
    has_weights = (folder / schema.WEIGHTS_FILE).is_file()
    weights = dataclasses.asdict(store.read_weights(folder)) if has_weights else {}
    starts = {planned.sft: planned for planned in reversed(plan.runs) if planned.sft}
    starts = {key: starts[key] for key in dict.fromkeys(planned.sft for planned in plan.runs if planned.sft)}
    homes = [runs_dir / schema.SFT_STORE_DIR / key for key in starts] + [folder / run.folder for run in plan.runs]
    planned_runs = [*starts.values(), *plan.runs]
    rows = load_rows(homes, [planned.point for planned in planned_runs])
    stages = ["sft"] * len(starts) + [plan.stage] * len(plan.runs)
    records = load_records(homes, stages)
    loaded = [_load_run(*one) for one in zip(planned_runs, homes, rows, records, strict=True)]
    sft = dict(zip(starts, loaded, strict=False))
    lengths = {key: _mean_length(start) for key, start in sft.items()}
    runs = []
    for run in loaded[len(starts) :]:
        told = _collapse(run.steps, lengths.get(run.planned.sft, math.nan))
        steps = plan.primary.step
        whole = dataclasses.replace(run, collapse=told, expected_id=run.planned.run_id, expected_steps=steps)
        runs.append(_own_rows(whole))
    if all(run.broken for run in runs):
        raise RunStoreError(runs[0].broken)
    return SweepData(
        folder=folder,
        plan=plan,
        runs=[_relative(run, runs_dir) for run in runs],
        sft={key: _relative(run, runs_dir) for key, run in sft.items()},
        weights=weights,
    )


def _check_plan(plan: schema.Plan, path: Path) -> None:
    """What a plan says at two places agrees."""
    if not plan.runs:
        raise RunStoreError(f"{path} names no runs; {_ADVICE}")
    for run in plan.runs:
        if run.treatment not in plan.treatments or run.point not in plan.points:
            raise RunStoreError(f"{path}: run {run.folder} is of no treatment or point that it names; {_ADVICE}")
    if plan.baseline is not None and plan.baseline not in plan.treatments:
        raise RunStoreError(f"{path}: baseline is {plan.baseline!r}; allowed: {', '.join(plan.treatments)} or null")


def _load_run(planned: schema.PlannedRun, folder: Path, rows: RunRows, records: RunRecords) -> RunData:
    reasons: list[str] = []

    def read(make: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return make()
        except RunStoreError as error:
            reasons.append(str(error))
            return otherwise

    has_manifest = (folder / schema.MANIFEST_FILE).is_file()
    status = read(lambda: store.read_status(folder), None)
    manifest = read(lambda: store.read_manifest(folder) if has_manifest else None, None)
    kept: list[dict[str, Any]] = read(lambda: store.read_filter(folder), [])
    mix: dict[str, Any] = read(lambda: store.read_mix(folder), {})
    reasons += [why for why in (records.unreadable, rows.unreadable) if why]
    torn = tuple(name for name in (schema.STEPS_FILE, schema.TIMINGS_FILE, schema.EVAL_LOG) if is_torn(folder / name))
    return RunData(
        planned=planned,
        manifest=manifest,
        status=status,
        steps=records.steps,
        timings=records.timings,
        evaluations=rows.frame,
        tallies=rows.tallies,
        filter=kept,
        mix=mix,
        collapse="",
        broken=reasons[0] if reasons else "",
        flaw=rows.flaw,
        torn=torn,
    )


def _own_rows(run: RunData) -> RunData:
    """The run; without its rows where the folder holds another run than was planned."""
    if run.is_its_own:
        return run
    return dataclasses.replace(
        run,
        steps=pd.DataFrame(),
        timings=pd.DataFrame(),
        evaluations=run.evaluations.iloc[:0],
        tallies={},
        filter=[],
        mix={},
        collapse="",
    )


def _relative(run: RunData, runs_dir: Path) -> RunData:
    """The run; what is broken is named below the folder of all runs, as a report tells no path of a machine."""
    return dataclasses.replace(run, broken=run.broken.replace(f"{runs_dir}/", "")) if run.broken else run


def _collapse(steps: pd.DataFrame, sft_tokens: float) -> str:
    if "zero_variance_groups" not in steps:
        return ""
    return collapsed(steps["zero_variance_groups"].tolist(), steps["response_tokens_mean"].tolist(), sft_tokens)


def _mean_length(start: RunData) -> float:
    """Response tokens of a supervised start on the test questions, NaN where that was not evaluated."""
    if start.evaluations.empty:
        return math.nan
    rows = start.evaluations
    split, decoding, step = _START
    asked = rows[(rows["split"] == split) & (rows["decoding"] == decoding) & (rows["step"] == step)]
    return float(asked["response_tokens"].mean())
