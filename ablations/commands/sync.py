"""`ablations sync`: the commands that upload offline mirrors, and mirrors and tables made anew from the records."""

import dataclasses
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.commands.catalog import read_yaml
from ablations.commands.inspect_runs import run_folders, run_name
from ablations.job import SFT_ARM, stage_of
from ablations.mirror import accuracies, is_shown, open_mirror, step_values
from klear_core.config import RunConfig
from klear_core.errors import ConfigError, HarnessError, RunStoreError
from klear_core.runs import folders, schema, store
from klear_core.runs.log import read_log
from klear_core.runs.wandb_sink import WandbSink, resolve_mode
from klear_core.settings import build

Say = Callable[[str], None]

_WANDB_DIR = "wandb"
_REPLACED_DIR = "replaced"
_OFFLINE = "offline-run-*"
# A rebuild has the time that the end of a run has not.
_PATIENCE_S = 600.0


def select(runs_dir: Path, sweeps: Sequence[str]) -> list[Path]:
    """Run folders of the named sweeps with their supervised starts, of all sweeps when none is named.

    ConfigError names the sweeps that there are when one is unknown.
    """
    found = run_folders(runs_dir)
    if not sweeps:
        return found
    known = sorted({_sweep_of(runs_dir, folder) for folder in found} - {schema.SFT_STORE_DIR})
    for sweep in sweeps:
        if sweep not in known:
            raise ConfigError(f"there is no sweep {sweep!r} in {runs_dir}; found: {', '.join(known) or 'none'}")
    chosen = [folder for folder in found if _sweep_of(runs_dir, folder) in sweeps]
    keys = {_start_key(folder) for folder in chosen}
    starts = [folder for folder in found if _is_start(folder) and folder.name in keys]
    return starts + chosen


def commands(runs_dir: Path, chosen: Sequence[Path]) -> Iterator[str]:
    """Lines for a shell: one ``wandb sync`` for every offline folder that is not uploaded, comments beside them."""
    wandb = "wandb" if shutil.which("wandb") else shlex.quote(str(Path(sys.executable).parent / "wandb"))
    count = 0
    for folder in chosen:
        name = run_name(runs_dir, folder)
        try:
            status = store.read_status(folder)
        except RunStoreError as error:
            yield f"# {name}: {error}"
            continue
        if status is not None and status.state == "running" and folders.is_alive(status.owner):
            yield f"# {name}: left out, process {status.owner.pid} is writing it"
            continue
        if status is not None and status.mirror:
            yield f"# {name}: its mirror is not complete ({status.mirror}); `ablations sync --from-ledger` rebuilds it"
        for offline in _offline(folder):
            if any(offline.glob("*.synced")):
                yield f"# {name}: {offline.name} is uploaded"
                continue
            count += 1
            yield f"{wandb} sync {shlex.quote(str(offline))}"
    yield f"# {count} offline folders of {len(chosen)} runs wait for an upload"


def rebuild(runs_dir: Path, chosen: Sequence[Path], mode: str | None, say: Say) -> bool:
    """Make tables and mirrors anew from the records; True when every run that nobody writes has a whole one.

    ConfigError when W&B is switched off and ``mode`` does not say otherwise.
    """
    resolved = resolve_mode(mode)
    if resolved.mode == "disabled":
        raise ConfigError(f"W&B is disabled ({resolved.reason}); allowed: --mode offline or --mode online")
    say(f"W&B mode {resolved.mode} ({'--mode' if mode else resolved.reason})")
    whole = True
    for folder in chosen:
        name = run_name(runs_dir, folder)
        try:
            with folders.held(folder, wait_s=0):
                problem, told = _rebuild_run(folder, resolved.mode)
        except folders.FolderInUseError:
            say(f"{name}: skipped, another process is writing it")
            continue
        except HarnessError as error:
            problem, told = str(error), ""
        whole = whole and not problem
        say(f"{name}: not rebuilt: {problem}" if problem else f"{name}: {told}")
    return whole


def _rebuild_run(folder: Path, mode: str) -> tuple[str, str]:
    """Why the mirror is not whole, "" when it is, and what was done; the folder must be held."""
    status = store.read_status(folder)
    if status is None:
        return "", "skipped, never started"
    config = build(RunConfig, read_yaml(folder / schema.CONFIG_FILE))
    is_start, is_done = _is_start(folder), status.state == "done"
    # Read before anything is opened: damaged records leave no half of a mirror.
    records = [_rows(folder / name) for name in (schema.STEPS_FILE, schema.EVAL_LOG, schema.ROLLOUTS_LOG)]
    if is_done:
        store.write_tables(folder)
    before = _offline(folder)
    sink = open_mirror(
        config,
        stage="sft" if is_start else stage_of(config),
        arm=SFT_ARM if is_start else config.arm,
        run_id=status.run_id,
        folder=folder,
        mode=mode,
        finish_timeout_s=_PATIENCE_S,
        patient=True,
    )
    _replay(*records, config=config, sink=sink, is_start=is_start, is_done=is_done)
    sink.finish(failed=not is_done)
    made = [path for path in _offline(folder) if path not in before]
    problem = sink.problem or ("wandb left no offline folder" if mode == "offline" and not made else "")
    # Of two mirrors the one that is not whole goes; neither is deleted.
    _set_aside(folder, made if problem else before)
    if not problem and status.mirror:
        store.write_json(folder / schema.STATUS_FILE, dataclasses.replace(status, mirror=""))
    what = "tables and mirror" if is_done else f"mirror ({status.state})"
    return problem, f"{what} rebuilt, {len(records[0])} steps"


def _replay(
    steps: Sequence[Mapping[str, Any]],
    evaluated: Sequence[Mapping[str, Any]],
    texts: Sequence[Mapping[str, Any]],
    *,
    config: RunConfig,
    sink: WandbSink,
    is_start: bool,
    is_done: bool,
) -> None:
    """Give a mirror what the run gave it, in the same order under the same step numbers."""
    stage, total = ("sft", config.sft.steps) if is_start else (stage_of(config), config.final_step)
    by_step: dict[int, list[Mapping[str, Any]]] = {}
    for row in evaluated:
        by_step.setdefault(row["step"], []).append(row)
    for row in steps:
        # The evaluation of a supervised start is of RL step 0, and stands in the summary only.
        found = [] if is_start else by_step.get(row["step"], [])
        if found or is_shown(stage, row["step"], total):
            sink.log(step_values(row, found), step=row["step"])
    if is_done:
        if config.wandb.log_text and not is_start:
            sink.log_texts(list(texts), step=total)
        sink.summarize(accuracies(evaluated))


def _set_aside(folder: Path, replaced: Sequence[Path]) -> None:
    if not replaced:
        return
    aside = folders.make_folder(folder / _WANDB_DIR / _REPLACED_DIR)
    for path in replaced:
        number, target = 1, aside / path.name
        while target.exists():
            number, target = number + 1, aside / f"{path.name}.{number}"
        try:
            path.rename(target)
        except OSError as error:
            raise RunStoreError(f"{path} cannot be moved to {aside}: {error.strerror}") from None


def _offline(folder: Path) -> list[Path]:
    return sorted((folder / _WANDB_DIR).glob(_OFFLINE))


def _rows(path: Path) -> list[Mapping[str, Any]]:
    return list(read_log(path)) if path.is_file() else []


def _start_key(folder: Path) -> str:
    """Key of the supervised start of a run, "" when its manifest does not tell."""
    try:
        return store.read_manifest(folder).sft
    except RunStoreError:
        return ""


def _is_start(folder: Path) -> bool:
    return folder.parent.name == schema.SFT_STORE_DIR


def _sweep_of(runs_dir: Path, folder: Path) -> str:
    return run_name(runs_dir, folder).split("/")[0]
