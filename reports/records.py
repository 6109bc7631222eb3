"""Record files of all runs as frames: steps and timings; a file that is not what a run writes is named."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from klear_core.errors import RunStoreError
from klear_core.runs import schema
from klear_core.runs.log import read_log

_SHOWN = 5
# Fields that every row has; a column of later ones is absent where no row has them, and NaN where some have.
_FIELDS = {
    "rl": ([name for name in schema.STEP_FIELDS if name not in schema.LATER_STEP_FIELDS], schema.TIMING_FIELDS),
    "sft": (schema.SFT_STEP_FIELDS, schema.SFT_TIMING_FIELDS),
}
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecords:
    """Steps and timings of one run, empty where there are none; ``unreadable`` says why one of them cannot be read."""

    steps: pd.DataFrame
    timings: pd.DataFrame
    unreadable: str


def load_records(folders: Sequence[Path], stages: Sequence[str]) -> list[RunRecords]:
    """Records of every folder; ``stages`` (rl or sft) say which fields they must have."""
    reasons: list[str] = [""] * len(folders)
    found: list[list[Rows]] = [[], []]
    for k, (folder, stage) in enumerate(zip(folders, stages, strict=True)):
        for rows, name, fields in zip(found, (schema.STEPS_FILE, schema.TIMINGS_FILE), _FIELDS[stage], strict=True):
            try:
                rows.append(_read(folder / name, fields))
            except RunStoreError as error:
                reasons[k] = reasons[k] or str(error)
                rows.append([])
    return [
        RunRecords(steps=steps, timings=timings, unreadable=reason)
        for steps, timings, reason in zip(_frames(found[0]), _frames(found[1]), reasons, strict=True)
    ]


def is_torn(path: Path) -> bool:
    """Whether a record file ends within a row, as a kill leaves it."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"


def _read(path: Path, fields: Iterable[str]) -> Rows:
    """Rows of a record file; RunStoreError when they are not what a run writes."""
    try:
        rows = list(read_log(path)) if path.is_file() else []
    except RunStoreError as error:
        raise RunStoreError(f"{error}; move {path.parent} away") from None
    seen = set()
    for row in rows:
        if absent := [name for name in fields if name not in row]:
            raise RunStoreError(
                f"{path} holds rows of another version, without {', '.join(absent[:_SHOWN])}; move {path.parent} away"
            )
        if row["step"] in seen:
            raise RunStoreError(f"{path} holds step {row['step']} twice; move {path.parent} away")
        seen.add(row["step"])
    return rows


def _frames(runs: Sequence[Rows]) -> list[pd.DataFrame]:
    """One frame a run. Runs with the same fields are made into one frame and cut apart, which is faster by far.

    Rows gain fields when other code goes on with a run, so that the first and the last of them tell.
    """
    alike: dict[tuple[str, ...], list[int]] = {}
    for k, rows in enumerate(runs):
        if rows:
            alike.setdefault((*rows[0], *rows[-1]), []).append(k)
    found = [pd.DataFrame() for _ in runs]
    for places in alike.values():
        joined = pd.DataFrame([row for k in places for row in runs[k]])
        start = 0
        for k in places:
            found[k] = joined.iloc[start : start + len(runs[k])].reset_index(drop=True)
            start += len(runs[k])
    return found
