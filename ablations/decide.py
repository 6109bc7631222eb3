"""What happens with each planned run: it is new, goes on, or is reused; what would mix results is refused."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from ablations.data_hash import data_hash, reads_files
from ablations.differences import differing
from ablations.plan import CheckedPlan, check_folder
from klear_core.config import RunConfig
from klear_core.errors import RunStoreError
from klear_core.runs import folders, provenance, schema, store
from klear_core.settings import to_plain

_SHOWN_DIFFERENCES = 8
_DEATH_S = 5.0  # a run whose parent was killed a moment ago is about to end


class Action(StrEnum):
    """What a command does with a planned run."""

    NEW = "new"
    CONTINUE = "continue"
    REUSE = "reuse"
    LEAVE = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A planned run with its config and what happens with it."""

    run: schema.PlannedRun
    config: RunConfig
    folder: Path
    action: Action
    note: str  # for the plan that a person reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A supervised checkpoint that runs of the sweep need."""

    key: str
    config: RunConfig
    folder: Path
    action: Action


class ConflictError(RunStoreError):
    """A folder holds a run of other settings or other code."""


def decide(checked: CheckedPlan) -> list[Decision]:
    """One decision a planned run, in their order; ConflictError, in one line, when any folder holds something else."""
    for run in checked.plan.runs:
        check_folder(checked.folder / run.folder)
    check_folder(checked.runs_dir / schema.SFT_STORE_DIR)
    return [_decide(checked, run, config) for run, config in zip(checked.plan.runs, checked.configs, strict=True)]


def starts(checked: CheckedPlan, decisions: list[Decision]) -> list[Start]:
    """The supervised checkpoints that the runs to be done need, each once."""
    found: dict[str, Start] = {}
    for decision in decisions:
        key = decision.run.sft
        if key and key not in found and decision.action in (Action.NEW, Action.CONTINUE):
            folder = checked.runs_dir / schema.SFT_STORE_DIR / key
            status = store.read_status(folder)
            action = Action.NEW if status is None else Action.REUSE if status.state == "done" else Action.CONTINUE
            found[key] = Start(key=key, config=decision.config, folder=folder, action=action)
    return list(found.values())


def _decide(checked: CheckedPlan, run: schema.PlannedRun, config: RunConfig) -> Decision:
    folder = checked.folder / run.folder
    status = store.read_status(folder)
    other = _other_code(folder, status)
    _refuse_other_settings(folder, config)
    if other and config.reuse != "any_code":
        raise ConflictError(
            f"{folder} holds a run of other code (source {other[:12]}, not {provenance.source_hash()[:12]}); "
            f"set reuse=any_code to count it all the same, reuse=new_folder, or sweep.name"
        )
    if status is not None and (status.state == "done" or (folder / schema.RESUME_DIR).is_dir()):
        _refuse_other_data(folder, config)  # what has come to nothing yet starts over with what there is now
    if status is not None and status.state == "running" and not folders.is_gone(status.owner, wait_s=_DEATH_S):
        raise folders.FolderInUseError(
            f"{folder} is in use by process {status.owner.pid}; wait for it, or set sweep.name or launch.runs_dir"
        )
    if status is None:
        action = Action.LEAVE if config.only_failed else Action.NEW
        note = "never started" if config.only_failed else ""
    elif status.state == "done":
        action, note = Action.REUSE, "other code" if other else ""
    elif config.only_failed and status.state != "failed":
        action, note = Action.LEAVE, f"{status.state}, not failed"
    else:
        action = Action.CONTINUE
        note = f"attempt {status.attempt} {status.state}" + (f": {status.exit_class}" if status.exit_class else "")
    sft = _start_of(checked.runs_dir, folder, config, run.sft) if run.sft else ""
    stamped = other if action is Action.REUSE else ""
    return Decision(
        run=dataclasses.replace(run, sft=sft, other_code=stamped),
        config=config,
        folder=folder,
        action=action,
        note=note,
    )


def _other_code(folder: Path, status: schema.Status | None) -> str:
    """Source hash of the code that made the rows of a folder, "" when it is this code or there are none."""
    if status is None:
        if (folder / schema.MANIFEST_FILE).is_file() or (folder / schema.STEPS_FILE).is_file():
            raise ConflictError(
                f"{folder} holds records without {schema.STATUS_FILE}, of an older version or half removed; "
                f"move it away, or set reuse=new_folder or sweep.name"
            )
        return ""
    ours = provenance.source_hash()
    return next((source for source in reversed(status.sources) if source != ours), "")


def _refuse_other_settings(folder: Path, config: RunConfig) -> None:
    path = folder / schema.CONFIG_FILE
    if not path.is_file():
        return
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise RunStoreError(f"{path} cannot be read: {told}; move {folder} away") from None
    if not isinstance(stored, Mapping):
        raise RunStoreError(f"{path} holds no settings; move {folder} away")
    try:
        differences = differing(stored, to_plain(config))
    except RecursionError:  # YAML's anchors can put a mapping into itself
        raise RunStoreError(f"{path} holds settings within themselves; move {folder} away") from None
    if differences:
        shown = "; ".join(
            f"{key} is {there}, asked for {here}" for key, there, here in differences[:_SHOWN_DIFFERENCES]
        )
        more = len(differences) - _SHOWN_DIFFERENCES
        raise ConflictError(
            f"{folder} holds a run of other settings: {shown}{f'; and {more} more' if more > 0 else ''}. "
            f"Set sweep.name or reuse=new_folder"
        )


def _refuse_other_data(folder: Path, config: RunConfig) -> None:
    """ConflictError when a file has changed behind the name that settings hold."""
    if not (folder / schema.MANIFEST_FILE).is_file() or not reads_files(config):
        return
    try:
        manifest = store.read_manifest(folder)
    except RunStoreError:
        return  # a damaged one says nothing about data; a run that goes on writes it anew
    if manifest.data_hash != data_hash(config):
        raise ConflictError(
            f"{folder} holds a run of other data: a file of problems, of demonstrations or of sft.checkpoint has "
            f"changed since. Set sweep.name or reuse=new_folder"
        )


def _start_of(runs_dir: Path, folder: Path, config: RunConfig, exact: str) -> str:
    """Key of the supervised checkpoint of a run; with reuse=any_code a finished one of the same settings will do."""
    if config.reuse != "any_code":
        return exact
    root = runs_dir / schema.SFT_STORE_DIR
    keys = [exact]
    if (folder / schema.MANIFEST_FILE).is_file():
        keys.insert(0, store.read_manifest(folder).sft)
    keys += sorted(path.parent.name for path in root.glob(f"*/{schema.MANIFEST_FILE}"))
    for key in keys:
        status = store.read_status(root / key)
        if status is None or status.state != "done":
            continue
        if store.read_manifest(root / key).config_hash == config.sft_key:
            return key
    return exact
