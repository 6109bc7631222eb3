"""Stored runs as a person asks for them: the list of all, and the one that a name means. Nothing is written here."""

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.commands.catalog import read_yaml
from klear_core.errors import ConfigError, HarnessError, RunStoreError
from klear_core.runs import folders, schema, store
from klear_core.runs.log import read_log

_RUN_FILES = (schema.CONFIG_FILE, schema.MANIFEST_FILE, schema.STATUS_FILE)
_SHOWN_MATCHES = 5
DEAD = "dead (continues)"
NOT_STARTED = "not started"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRun:
    """One row of the list. ``sweep`` is _sft for a supervised start, whose ``arm`` is its key."""

    run: str  # folder below the runs folder: what `ablations show` takes
    run_id: str
    sweep: str
    arm: str
    seed: int | None
    state: str  # one of schema.STATES, DEAD, NOT_STARTED, or unreadable
    exit_class: str
    attempt: int
    steps: int | None  # None when the records cannot be read
    planned_steps: int | None
    reason: str  # why it is not done, or why its records or its mirror are not whole


def check_runs_dir(runs_dir: Path) -> None:
    """ConfigError unless the runs folder is there."""
    try:
        is_there = runs_dir.is_dir()
    except OSError:  # a name that no file can have
        is_there = False
    if not is_there:
        raise ConfigError(f"--runs is {runs_dir}; allowed: a folder with runs, and there is none of that name")


def run_folders(runs_dir: Path) -> list[Path]:
    """The folders of all runs, supervised starts first, seeds in order."""
    starts = [path for path in runs_dir.glob(f"{schema.SFT_STORE_DIR}/*") if _is_visible(path)]
    runs = [path for path in runs_dir.glob("*/*/seed*") if path.parent.parent.name != schema.SFT_STORE_DIR]
    return [path for path in sorted(starts) + sorted(runs, key=_by_seed) if is_run_folder(path)]


def is_run_folder(path: Path) -> bool:
    """Whether a run was at least laid out there."""
    try:
        return any((path / name).is_file() for name in _RUN_FILES)
    except OSError:  # a name that no file can have
        return False


def list_runs(runs_dir: Path) -> list[SeenRun]:
    """Every run of every sweep, planned ones that have no folder yet included; what is broken is a row as well."""
    rows = [see_run(runs_dir, folder) for folder in run_folders(runs_dir)]
    seen = {row.run for row in rows}
    for path in sorted(runs_dir.glob(f"*/{schema.PLAN_FILE}")):
        try:
            plan = store.read_plan(path.parent)
        except RunStoreError as error:
            rows.append(_row(f"{path.parent.name}", state="unreadable", reason=str(error)))
            continue
        missing = [run for run in plan.runs if f"{path.parent.name}/{run.folder}" not in seen]
        rows += [_row(f"{path.parent.name}/{run.folder}", run_id=run.run_id, seed=run.seed) for run in missing]
    return rows


def see_run(runs_dir: Path, folder: Path) -> SeenRun:
    """The row of one run folder."""
    name = run_name(runs_dir, folder)
    try:
        status, config = _read(folder)
    except HarnessError as error:
        return _row(name, state="unreadable", reason=str(error))
    is_start = name.startswith(f"{schema.SFT_STORE_DIR}/")
    stage = "sft" if is_start or config.get("stage") == "sft" else "rl"
    part = config.get(stage)
    row = _row(name, seed=config.get("seed"), planned_steps=part.get("steps") if isinstance(part, dict) else None)
    if status is None:
        return row
    last, trouble = _last_step(folder)
    return dataclasses.replace(
        row,
        run_id=status.run_id,
        state=state_of(status),
        exit_class=status.exit_class,
        attempt=status.attempt,
        steps=last,
        reason="; ".join(part for part in (_reason(status), trouble) if part),
    )


def state_of(status: schema.Status) -> str:
    """The state as it is: a status that says running is not believed when its process is gone."""
    return DEAD if status.state == "running" and not folders.is_alive(status.owner) else status.state


def last_metrics(folder: Path) -> dict[str, Any]:
    """The last row of a run's steps, {} without one."""
    path = folder / schema.STEPS_FILE
    row: dict[str, Any] = {}
    if path.is_file():
        for each in read_log(path):
            row = each
    return row


def run_name(runs_dir: Path, folder: Path) -> str:
    """The folder below the runs folder, the whole path for one that lies elsewhere."""
    try:
        return folder.resolve().relative_to(runs_dir.resolve()).as_posix()
    except ValueError:
        return str(folder)


def find_run(runs_dir: Path, asked: str) -> Path:
    """The folder of a run, named by path, by sweep/arm/seed0, or by (the beginning of) its run_id.

    ConfigError, in one line with the nearest names, when that is no run or more than one.
    """
    if asked.strip():
        for path in (runs_dir / asked, Path(asked)):
            if is_run_folder(path):
                return path
    check_runs_dir(runs_dir)
    names = {run_name(runs_dir, folder): folder for folder in run_folders(runs_dir)}
    ids = {name: _run_id(folder) for name, folder in names.items()}
    begun = [name for name in names if asked and ids[name].startswith(asked)]
    matches = [name for name in begun if ids[name] == asked] or begun
    if len(matches) == 1:
        return names[matches[0]]
    if matches:
        raise ConfigError(f"run {asked!r} is not one run but {len(matches)}: {shorten(matches)}")
    close = nearest(asked, [*names, *ids.values()])
    told = f"near: {shorten(close)}" if close else f"`ablations list runs --runs {runs_dir}` shows all"
    raise ConfigError(f"there is no run {asked!r} in {runs_dir}; {told}")


def nearest(asked: str, names: Sequence[str]) -> list[str]:
    """The names that were probably meant, best first."""
    holding = [name for name in names if asked and asked in name]
    close = difflib.get_close_matches(asked, names, n=_SHOWN_MATCHES, cutoff=0.5)
    return list(dict.fromkeys(name for name in (*close, *holding) if name))


def shorten(names: Sequence[str]) -> str:
    """The first few names and how many more there are."""
    more = len(names) - _SHOWN_MATCHES
    return ", ".join(names[:_SHOWN_MATCHES]) + (f" and {more} more" if more > 0 else "")


def _read(folder: Path) -> tuple[schema.Status | None, dict[str, Any]]:
    path = folder / schema.CONFIG_FILE
    return store.read_status(folder), read_yaml(path) if path.is_file() else {}


def _last_step(folder: Path) -> tuple[int | None, str]:
    """Steps that the records hold, or why they cannot be read."""
    try:
        row = last_metrics(folder)
    except RunStoreError as error:
        return None, str(error)
    return int(row.get("step", 0)), ""


def _run_id(folder: Path) -> str:
    try:
        status = store.read_status(folder)
    except RunStoreError:
        return ""
    return "" if status is None else status.run_id


def _row(name: str, **values: Any) -> SeenRun:
    sweep, _, rest = name.partition("/")
    defaults = {"run": name, "run_id": "", "sweep": sweep, "arm": rest.split("/")[0], "seed": None, "steps": 0}
    defaults |= {"state": NOT_STARTED, "exit_class": "", "attempt": 0, "planned_steps": None, "reason": ""}
    return SeenRun(**(defaults | values))


def _reason(status: schema.Status) -> str:
    if status.state == "running" and not folders.is_alive(status.owner):
        return f"its process {status.owner.pid} is gone; the same `ablations run` goes on from its last checkpoint"
    return "; ".join(part for part in (status.reason, f"W&B: {status.mirror}" if status.mirror else "") if part)


def _by_seed(folder: Path) -> tuple[str, int]:
    digits = folder.name.removeprefix("seed")
    return str(folder.parent), int(digits) if digits.isdecimal() else -1


def _is_visible(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")
