"""From a checked plan to a report: decide what is to be done, run it, and say how it ended."""

import dataclasses
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ablations import identities
from ablations.board import Board, make_board
from ablations.decide import Action, ConflictError, Decision, Start, decide, starts
from ablations.devices import num_slots
from ablations.estimate import check_disk
from ablations.grading import check_grading
from ablations.job import Job, stage_of
from ablations.ledger import Ledger
from ablations.plan import CheckedPlan, make_plan
from ablations.pool import Limits, Pool, Tried
from ablations.preflight import check_checkpoints, check_devices, check_engines
from ablations.processes import die_with_parent, stop_requests
from ablations.told import clock
from klear_core.config import RunConfig
from klear_core.errors import ConfigError
from klear_core.objectives.diagnostics import gradient_weight
from klear_core.objectives.surrogates import get_surrogate
from klear_core.runs import folders, provenance, schema, store
from klear_core.runs.wandb_sink import resolve_mode
from klear_core.settings import to_plain
from klear_core.trainer.checkpoint import Checkpoints
from klear_core.trainer.model_folder import checkpoint_folder

_INTERRUPTED = 130
_SWEEP_LOCK_S = 3.0
_MAX_NEW_FOLDERS = 1000
_RATIOS = [round(0.02 * k, 2) for k in range(1, 126)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan with what happens with each of its runs."""

    checked: CheckedPlan
    decisions: list[Decision]
    starts: list[Start]

    @property
    def config(self) -> RunConfig:
        """Settings that all runs share."""
        return self.checked.configs[0]

    def counts(self) -> dict[str, int]:
        """How many runs are new, continued, reused or left out."""
        found = Counter(str(decision.action).replace(" ", "_") for decision in self.decisions)
        return {str(action).replace(" ", "_"): found[str(action).replace(" ", "_")] for action in Action}


def prepare(configs: Sequence[RunConfig]) -> Prepared:
    """Check everything that can be checked and decide; nothing is written. HarnessError, one line, for what is refused.

    With reuse=new_folder the sweep is renamed to <name>-2, <name>-3 and so on until nothing stands in its way.
    """
    name = configs[0].sweep.name
    for number in range(1, _MAX_NEW_FOLDERS):
        checked = make_plan(configs if number == 1 else [_renamed(config, f"{name}-{number}") for config in configs])
        try:
            decisions = decide(checked)
        except ConflictError:
            if configs[0].reuse != "new_folder":
                raise
            continue
        plan = dataclasses.replace(checked.plan, runs=[decision.run for decision in decisions])
        checked = dataclasses.replace(checked, plan=plan)
        return Prepared(checked=checked, decisions=decisions, starts=starts(checked, decisions))
    raise ConflictError(f"no free folder among {name}-2 to {name}-{_MAX_NEW_FOLDERS - 1}; set sweep.name")


def run_sweep(configs: Sequence[RunConfig]) -> int:
    """Run what is not done yet, then write the report. Exit code 0: all done; 1: some failed; 130: interrupted.

    With dry_run the plan is shown instead.
    """
    prepared = prepare(configs)
    if prepared.config.only_failed and prepared.counts()["left_out"] == len(prepared.decisions):
        raise ConfigError(
            f"only_failed is true, but no run in {prepared.checked.folder} has failed; leave it out to run all"
        )
    has_work = any(decision.action in (Action.NEW, Action.CONTINUE) for decision in prepared.decisions)
    if has_work:
        check_engines(configs)
        check_devices(configs)
    check_checkpoints(prepared.decisions, prepared.starts)
    if has_work and (warning := check_grading(prepared.config)):
        sys.stderr.write(f"warning: {warning}\n")
    if prepared.config.dry_run:
        from ablations.dry_run import show_plan

        return show_plan(prepared)
    check_disk(prepared.checked.runs_dir, prepared.decisions, prepared.starts)
    with folders.held(prepared.checked.folder, wait_s=_SWEEP_LOCK_S):
        # Decided again under the lock: another command may have ended meanwhile.
        prepared = prepare(configs)
        ledger = Ledger(prepared.checked.folder)
        try:
            code = _run(prepared, ledger)
            ledger.sweep_ended(code)
        finally:
            ledger.close()
        if ledger.problem:
            sys.stderr.write(f"warning: the ledger is not complete: {ledger.problem}\n")
    return code


def _run(prepared: Prepared, ledger: Ledger) -> int:
    started = time.perf_counter()
    checked, config = prepared.checked, prepared.config
    mode = resolve_mode(config.wandb.mode)
    jobs = lay_out(prepared, wandb_mode=mode.mode)
    board = make_board(_shown(prepared), jobs, live=config.launch.live)
    slots = num_slots(config)
    destination = "uploading to" if mode.mode == "online" else "for"
    board.say(f"W&B mode {mode.mode} ({mode.reason}), {destination} project {config.wandb.project}")
    board.say(f"sweep {checked.plan.sweep}: {len(checked.configs)} runs in {checked.folder}, {slots} side by side")
    _tell_decisions(prepared, board, ledger)
    limits = Limits(
        retries=config.retries,
        max_failures=config.max_failures,
        fail_fast=config.fail_fast,
        time_limit_s=config.launch.time_limit_s,
    )
    with stop_requests() as stop:
        pool = Pool(jobs, board, ledger, slots=slots, limits=limits)
        try:
            tried = pool.run(stop)
        finally:
            pool.stop_children("interrupted by the user" if stop.is_set() else "its sweep ended before it")
            board.close()
    if stop.is_set():
        sys.stderr.write("interrupted: all runs are stopped; the same command goes on from their last checkpoints\n")
        return _INTERRUPTED
    failed = _tell_failures(prepared, tried, board, started)
    if identities.is_asked(config):
        identities.make_identities(checked.folder, checked.plan, checked.runs_dir, board.say)
    return max(_write_report(checked), int(failed))


def lay_out(prepared: Prepared, *, wandb_mode: str) -> list[Job]:
    """Write plan.json and the config of every run that is to start; returns their jobs, supervised starts first."""
    checked = prepared.checked
    source = provenance.source_hash()
    common: dict[str, Any] = {"source": source, "command": checked.plan.command, "wandb_mode": wandb_mode}
    jobs = [
        Job(stage="sft", config=start.config, folder=start.folder, checkpoint=None, sft=start.key, **common)
        for start in prepared.starts
        if start.action is not Action.REUSE
    ]
    for decision in prepared.decisions:
        if decision.action in (Action.NEW, Action.CONTINUE):
            key, folder, config = decision.run.sft, decision.folder, decision.config
            start = _start_of(decision, checked.runs_dir)
            jobs.append(Job(stage=stage_of(config), config=config, folder=folder, checkpoint=start, sft=key, **common))
    reused = [start.folder for start in prepared.starts if start.action is Action.REUSE]
    reused += [decision.folder for decision in prepared.decisions if decision.action is Action.REUSE]
    for folder in reused:
        # Left behind when a run was killed between its last word and its clearing up.
        Checkpoints(folder / schema.RESUME_DIR).remove()
    for job in jobs:
        text = yaml.safe_dump(to_plain(job.config), sort_keys=False, allow_unicode=True)
        store.write_text(job.folder / schema.CONFIG_FILE, text)
    store.write_json(checked.folder / schema.PLAN_FILE, checked.plan)
    if checked.plan.stage == "rl":
        store.write_text(checked.folder / schema.WEIGHTS_FILE, json.dumps(_gradient_weights(checked.configs)) + "\n")
    return jobs


def _start_of(decision: Decision, runs_dir: Path) -> Path | None:
    """The model folder that a run starts from, None where it builds a model."""
    given = decision.config.sft.checkpoint
    if given is not None:
        return checkpoint_folder(given)
    own = runs_dir / schema.SFT_STORE_DIR / decision.run.sft / schema.CHECKPOINT_DIR
    return own if decision.run.sft else None


def _renamed(config: RunConfig, name: str) -> RunConfig:
    return dataclasses.replace(config, sweep=dataclasses.replace(config.sweep, name=name))


def _shown(prepared: Prepared) -> schema.Plan:
    """The plan without the runs that this command leaves out."""
    runs = [decision.run for decision in prepared.decisions if decision.action is not Action.LEAVE]
    return dataclasses.replace(prepared.checked.plan, runs=runs)


def _tell_decisions(prepared: Prepared, board: Board, ledger: Ledger) -> None:
    ledger.sweep_started(prepared.checked.plan.command, prepared.counts())
    for note in prepared.checked.notes:
        board.say(note)
    reused = [decision for decision in prepared.decisions if decision.action is Action.REUSE]
    for decision in reused:
        ledger.run_reused(decision.run.run_id, decision.run.folder, decision.run.other_code)
    others = sum(bool(decision.run.other_code) for decision in reused)
    told = f", {others} of them made by other code (reuse=any_code)" if others else ""
    counts = prepared.counts()
    if reused:
        board.say(f"{len(reused)} finished runs are reused{told}")
    if counts["continue"]:
        board.say(f"{counts['continue']} unfinished runs go on from their last checkpoints")
    if counts["left_out"]:
        board.say(f"{counts['left_out']} runs are left out (only_failed)")


def _tell_failures(prepared: Prepared, tried: Tried, board: Board, started: float) -> bool:
    for job, outcome in tried.failed:
        board.say(f"failed: {job.folder}: {outcome.told} (see {job.folder / schema.LOG_FILE})")
    for job, reason in tried.not_started:
        board.say(f"not started: {job.folder}: {reason}")
    missing = sum(job.stage != "sft" for job, _ in tried.failed) + len(tried.not_started)
    left_out = prepared.counts()["left_out"]
    total = len(prepared.decisions)
    board.say(f"{total - missing - left_out} of {total} runs done in {clock(time.perf_counter() - started)}")
    if missing:
        board.say("the same command tries the others again, from their last checkpoints")
    return missing > 0 or bool(tried.failed)


def _gradient_weights(configs: Sequence[RunConfig]) -> dict[str, Any]:
    """F(r, A) of every treatment on a grid of ratios, for the figure of the report."""
    weights = {}
    for config in {config.treatment: config for config in configs}.values():
        surrogate = get_surrogate(config.objective.surrogate)
        weights[config.treatment] = {
            name: gradient_weight(surrogate, config.objective.params, _RATIOS, sign).tolist()
            for name, sign in (("positive", 1.0), ("negative", -1.0))
        }
    return {"ratios": _RATIOS, "weights": weights}


def _write_report(checked: CheckedPlan) -> int:
    """The report runs in a process of its own: it needs pandas and plots, and nothing of what trained."""
    command = [sys.executable, "-m", "reports", checked.plan.sweep, "--runs", str(checked.runs_dir)]
    return int(subprocess.run(command, check=False, preexec_fn=die_with_parent).returncode != 0)
