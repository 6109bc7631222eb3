"""After a sweep of controls: the algebraic identities of its objectives on one stored batch, in a child process.

A control that fails is for the report to tell; what goes wrong here is told in the file and stops nothing.
"""

import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from ablations.child import limit_memory
from ablations.pool import fork_server
from ablations.processes import die_with_parent, stop_requests
from klear_core.config import ObjectiveConfig, RunConfig
from klear_core.errors import HarnessError, RunStoreError
from klear_core.runs import provenance, schema, store
from klear_core.settings import build
from klear_core.trainer.model_folder import checkpoint_folder

_COMPARED = "control.name"  # by the sweeps that have identities
_UNALTERED = "none"
_LIMIT_S = 900.0  # they take seconds, even on a busy machine
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the child needs: where to write, and the run whose start and final policy make the batch."""

    sweep: Path
    run: schema.PlannedRun
    start: Path
    source: str  # hash of the code


def is_asked(config: RunConfig) -> bool:
    """Whether a sweep is one of controls."""
    return config.sweep.compare == _COMPARED


def make_identities(sweep: Path, plan: schema.Plan, runs_dir: Path, say: Callable[[str], None]) -> None:
    """Write identities.json and its batch into a sweep's folder, unless they are there and of this code."""
    source = provenance.source_hash()
    try:
        task = _task(sweep, plan, runs_dir, source)
        if isinstance(task, str):
            store.write_json(sweep / schema.IDENTITIES_FILE, _without_checks(task, source))
        elif not _is_done(task):
            _compute_in_child(task)
        found = store.read_identities(sweep)
    except RunStoreError as error:
        say(f"identities: {error}")
        return
    if found is None:
        say("identities: none were written")
    elif found.problem:
        say(f"identities: not checked: {found.problem}")
    else:
        states = [check.state for check in found.checks]
        counts = ", ".join(f"{states.count(state)} {state}" for state in schema.IDENTITY_STATES if state in states)
        say(f"identities: {counts} ({sweep / schema.IDENTITIES_FILE})")


def _task(sweep: Path, plan: schema.Plan, runs_dir: Path, source: str) -> Task | str:
    """What is to be computed, or why nothing can be."""
    runs = sorted((run for run in plan.runs if run.treatment == _UNALTERED), key=lambda run: run.seed)
    if not runs:
        return f"the sweep has no arm {_UNALTERED!r}, whose policy is needed"
    for run in runs:
        status = store.read_status(sweep / run.folder)
        if status is not None and status.state == "done":
            given = _config(sweep, run).sft.checkpoint
            own = runs_dir / schema.SFT_STORE_DIR / run.sft / schema.CHECKPOINT_DIR
            return Task(sweep=sweep, run=run, start=own if given is None else checkpoint_folder(given), source=source)
    return f"no run of the arm {_UNALTERED!r} is done"


def _is_done(task: Task) -> bool:
    try:
        found = store.read_identities(task.sweep)
    except RunStoreError:
        return False
    if found is None or found.problem or not (task.sweep / schema.IDENTITY_BATCH_FILE).is_file():
        return False
    return (found.source, found.policy) == (task.source, task.run.run_id)


def _compute_in_child(task: Task) -> None:
    path = task.sweep / schema.IDENTITIES_FILE
    path.unlink(missing_ok=True)
    process = fork_server().Process(target=_main, args=(task,), daemon=True)
    process.start()
    last = time.monotonic() + _LIMIT_S
    with stop_requests() as stop:
        while process.is_alive() and not stop.is_set() and time.monotonic() < last:
            process.join(_LOOK_S)
    told = "interrupted by the user" if stop.is_set() else f"it took more than {_LIMIT_S:g} seconds"
    if process.is_alive():
        process.kill()
        process.join()
    elif not stop.is_set():
        told = f"its process ended with exit code {process.exitcode}"
    if not path.is_file():
        store.write_json(path, _without_checks(told, task.source))


def _main(task: Task) -> None:
    """The child: whatever goes wrong becomes the reason why there are no checks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    die_with_parent()
    try:
        found = _compute(task)
    except Exception as error:
        # Of our own errors the line is enough; others are bugs.
        if not isinstance(error, HarnessError):
            traceback.print_exc()
        told = " ".join(f"{'' if isinstance(error, HarnessError) else type(error).__name__ + ': '}{error}".split())
        found = _without_checks(told, task.source)
    with suppress(RunStoreError):  # a disk that takes no file: the parent finds none
        store.write_json(task.sweep / schema.IDENTITIES_FILE, found)


def _compute(task: Task) -> schema.Identities:
    # Imported here: the parent imports this module, and need not wait for torch.
    import torch

    from ablations.commands import catalog
    from ablations.filtering import usable_problems
    from ablations.grading import open_grader
    from ablations.tasks import load_problems
    from klear_core.objectives.surrogates import check_params
    from klear_core.rollout.engines import open_engine
    from klear_core.trainer.identities import all_checks
    from klear_core.trainer.identity_batch import read_batch, sample_batch, write_batch
    from klear_core.trainer.identity_sides import Policies
    from klear_core.trainer.model_folder import load_model
    from klear_core.trainer.rl import RLTrainer

    torch.set_num_threads(1)
    config = _config(task.sweep, task.run)
    limit_memory(config.launch.memory_limit_mb)
    presets = [
        ObjectiveConfig(**(row | {"params": check_params(row["surrogate"], row["params"])}))
        for row in catalog.objectives()
    ]
    start, tokenizer = load_model(task.start)
    trained, _ = load_model(task.sweep / task.run.folder / schema.CHECKPOINT_DIR)
    with open_grader(config) as grader:
        problems = load_problems(config, "train")
        usable = usable_problems(config, problems, grader.code)

        def make_trainer(config: RunConfig, model: object) -> RLTrainer:
            return RLTrainer(
                config,
                model=model,
                tokenizer=tokenizer,
                engine=open_engine(config.engine, model, tokenizer),
                grader=grader,
                problems=problems,
                usable=usable,
            )

        path = task.sweep / schema.IDENTITY_BATCH_FILE
        write_batch(path, sample_batch(lambda model: make_trainer(config, model), start, trained))
        stored = read_batch(path)
        policies = Policies(old=start, new=trained, config=config, make_trainer=make_trainer)
        checks = list(all_checks(stored, policies, presets))
    return schema.Identities(
        problem="",
        source=task.source,
        start=task.run.sft or task.start.name,
        policy=task.run.run_id,
        tokens=len(stored.tokens()[0]),
        corners=stored.corners(),
        checks=checks,
    )


def _config(sweep: Path, run: schema.PlannedRun) -> RunConfig:
    path = sweep / run.folder / schema.CONFIG_FILE
    try:
        return build(RunConfig, yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RunStoreError(f"{path} cannot be read: {' '.join(str(error).split())}") from None


def _without_checks(problem: str, source: str) -> schema.Identities:
    return schema.Identities(problem=problem, source=source, start="", policy="", tokens=0, corners={}, checks=[])
