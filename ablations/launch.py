"""Starting the runs of a checked plan: one child process a run, a few side by side, and the report at the end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection, context, get_context
from pathlib import Path
from threading import Event
from typing import Any

import yaml

from ablations.board import Board, make_board
from ablations.plan import CheckedPlan, check_folder
from ablations.processes import die_with_parent, stop_requests
from ablations.stages import Job, Progress, discard, run_job
from klear_core.config import RunConfig
from klear_core.errors import HarnessError, RunStoreError
from klear_core.objectives.diagnostics import gradient_weight
from klear_core.objectives.surrogates import get_surrogate
from klear_core.runs import provenance, schema, store
from klear_core.runs.wandb_sink import resolve_mode
from klear_core.settings import build, to_plain

_INTERRUPTED = 130
# One thread a run: at this size two runs side by side beat one on two threads, and busy-waiting threads starve both.
_CHILD_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "TQDM_DISABLE": "1",
}
_RATIOS = [round(0.02 * k, 2) for k in range(1, 126)]


@dataclass(slots=True, kw_only=True)
class _Child:
    job: Job
    process: context.ForkServerProcess
    pipe: connection.Connection


def run_sweep(checked: CheckedPlan) -> int:
    """Run what is not done yet, then write the report. Exit code 0: all done; 1: some failed; 130: interrupted."""
    started = time.perf_counter()
    mode = resolve_mode(checked.configs[0].wandb.mode)
    jobs, reused = prepare(checked, wandb_mode=mode.mode)
    board = make_board(checked.plan, jobs, live=checked.configs[0].launch.live)
    slots = checked.configs[0].launch.slots or _cores()
    destination = "uploading to" if mode.mode == "online" else "for"
    board.say(f"W&B mode {mode.mode} ({mode.reason}), {destination} project {checked.configs[0].wandb.project}")
    board.say(f"sweep {checked.plan.sweep}: {len(checked.configs)} runs in {checked.folder}, {slots} side by side")
    for note in checked.notes:
        board.say(note)
    if reused:
        board.say(f"{reused} finished runs are reused")
    with stop_requests() as stop:
        pool = _Pool(jobs, board, slots=slots)
        try:
            failed = pool.run(stop)
        finally:
            pool.stop()
            board.close()
    if stop.is_set():
        sys.stderr.write("interrupted: all runs are stopped; the same command starts the unfinished ones again\n")
        return _INTERRUPTED
    for job, reason in failed:
        board.say(f"failed: {job.folder}: {reason} (see {job.folder / schema.LOG_FILE})")
    board.say(f"{len(checked.configs) - len(failed)} of {len(checked.configs)} runs done in {_clock(started)}")
    return max(_write_report(checked), int(bool(failed)))


def prepare(checked: CheckedPlan, *, wandb_mode: str) -> tuple[list[Job], int]:
    """Lay out folders and plan.json; returns the jobs that have to run and how many finished runs are reused.

    RunStoreError when a file stands where a folder is needed, or when a finished run was made with other settings or
    other code: nothing is ever overwritten.
    """
    for run in checked.plan.runs:
        check_folder(checked.folder / run.folder)
    check_folder(checked.runs_dir / schema.SFT_STORE_DIR)
    source = provenance.source_hash()
    supervised: dict[str, Job] = {}
    jobs: list[Job] = []
    for run, config in zip(checked.plan.runs, checked.configs, strict=True):
        store_folder = checked.runs_dir / schema.SFT_STORE_DIR / run.sft
        given = config.sft.checkpoint
        checkpoint = store_folder / schema.CHECKPOINT_DIR if given is None else Path(given)
        common: dict[str, Any] = {"config": config, "sft": run.sft, "command": checked.plan.command}
        folder = checked.folder / run.folder
        if _is_finished(folder, config.run_id, source):
            continue
        jobs.append(Job(stage="rl", folder=folder, checkpoint=checkpoint, wandb_mode=wandb_mode, **common))
        if given is None and run.sft not in supervised and not _is_finished(store_folder, f"sft-{run.sft}", source):
            supervised[run.sft] = Job(
                stage="sft", folder=store_folder, checkpoint=None, wandb_mode=wandb_mode, **common
            )
    for job in (*supervised.values(), *jobs):
        _make_way(job)
    store.write_json(checked.folder / schema.PLAN_FILE, checked.plan)
    store.write_text(checked.folder / schema.WEIGHTS_FILE, json.dumps(_gradient_weights(checked.configs)) + "\n")
    return [*supervised.values(), *jobs], len(checked.configs) - len(jobs)


def _is_finished(folder: Path, run_id: str, source: str) -> bool:
    if not (folder / schema.MANIFEST_FILE).is_file():
        return False
    manifest = store.read_manifest(folder)
    if manifest.state != "done":
        return False
    for name, found, wanted in (
        ("settings", manifest.run_id, run_id),
        ("code", manifest.provenance.source_hash, source),
    ):
        if found != wanted:
            raise RunStoreError(
                f"{folder} holds a finished run of other {name} ({found[:40]}, not {wanted[:40]}); "
                f"move it away or set launch.runs_dir or sweep.name"
            )
    return True


def _make_way(job: Job) -> None:
    """Store the config of a run that is to start; the remains of an unfinished attempt are kept beside it."""
    if job.folder.exists() and any(job.folder.iterdir()):
        if job.stage == "sft":
            discard(job.folder)
        else:
            attempt = 1
            while (aside := job.folder.with_name(f"{job.folder.name}.attempt{attempt}")).exists():
                attempt += 1
            job.folder.rename(aside)
    text = yaml.safe_dump(to_plain(job.config), sort_keys=False, allow_unicode=True)
    store.write_text(job.folder / schema.CONFIG_FILE, text)


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


class _Pool:
    """Runs jobs side by side; an RL run waits for the SFT checkpoint of its seed."""

    def __init__(self, jobs: Sequence[Job], board: Board, *, slots: int) -> None:
        os.environ.update(_CHILD_ENVIRONMENT)
        self._waiting = list(jobs)
        self._pending_sft = {job.sft for job in jobs if job.stage == "sft"}
        self._children: list[_Child] = []
        self._failed: list[tuple[Job, str]] = []
        self._board = board
        self._slots = slots
        self._context = get_context("forkserver")
        # The imports cost seconds; children are forked from a server that has done them and run nothing.
        self._context.set_forkserver_preload(["ablations.server"])

    def run(self, stop: Event) -> list[tuple[Job, str]]:
        """Run everything until ``stop`` is set; returns the failed jobs with their reasons."""
        while (self._waiting or self._children) and not stop.is_set():
            self._start_ready()
            handles = [handle for child in self._children for handle in (child.pipe, child.process.sentinel)]
            connection.wait(handles, timeout=0.5)
            for child in list(self._children):
                self._drain(child)
                if not child.process.is_alive():
                    self._drain(child)
                    self._finish(child)
            self._board.refresh()
        return self._failed

    def stop(self) -> None:
        """End the children that still run and say so in their manifests."""
        for child in self._children:
            child.process.terminate()
        for child in self._children:
            child.process.join(timeout=2)
            if child.process.is_alive():
                child.process.kill()
                child.process.join()
            _close_manifest(child.job.folder, state="interrupted", reason="interrupted by the user")

    def _start_ready(self) -> None:
        for job in list(self._waiting):
            if len(self._children) >= self._slots:
                return
            if job.stage == "rl" and job.sft in self._pending_sft:
                continue
            self._waiting.remove(job)
            receiver, sender = self._context.Pipe(duplex=False)
            process = self._context.Process(target=_child_main, args=(job, sender), daemon=True)
            process.start()
            sender.close()
            self._children.append(_Child(job=job, process=process, pipe=receiver))
            self._board.started(job)

    def _drain(self, child: _Child) -> None:
        while child.pipe.poll():
            try:
                message = child.pipe.recv()
            except (EOFError, OSError):
                return
            self._board.progress(child.job, message)

    def _finish(self, child: _Child) -> None:
        self._children.remove(child)
        child.process.join()
        child.pipe.close()
        job, code = child.job, child.process.exitcode
        reason = ""
        if code:
            died = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            reason = _close_manifest(job.folder, state="failed", reason=died)
            if job.stage == "rl":
                self._failed.append((job, reason))
        if job.stage == "sft":
            self._release(job, reason)
        self._board.ended(job, reason)

    def _release(self, sft: Job, reason: str) -> None:
        """Let the runs of an SFT checkpoint start, or fail them with its reason."""
        self._pending_sft.discard(sft.sft)
        if not reason:
            return
        for job in [job for job in self._waiting if job.sft == sft.sft]:
            self._waiting.remove(job)
            self._failed.append((job, f"its SFT checkpoint {sft.folder} failed: {reason}"))
            self._board.ended(job, reason)


def _child_main(job: Job, pipe: connection.Connection) -> None:
    """Entry of a child: output to the run's log, progress to the parent, its end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    with (job.folder / schema.LOG_FILE).open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    stored = yaml.safe_load((job.folder / schema.CONFIG_FILE).read_text(encoding="utf-8"))
    job = replace(job, config=build(RunConfig, stored))

    def report(progress: Progress) -> None:
        try:
            pipe.send(progress)
        except BrokenPipeError:
            raise SystemExit("the parent process is gone") from None

    try:
        run_job(job, report)
    except HarnessError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


def _close_manifest(folder: Path, *, state: str, reason: str) -> str:
    """Record how a run ended when it could not do so itself; returns the reason that stands in the manifest."""
    try:
        manifest = store.read_manifest(folder)
    except RunStoreError:
        return reason
    if manifest.state == "running":
        manifest = replace(manifest, state=state, reason=reason, ended=provenance.utc_now())
        store.write_json(folder / schema.MANIFEST_FILE, manifest)
    return manifest.reason


def _write_report(checked: CheckedPlan) -> int:
    """The report runs in a process of its own: it needs pandas and plots, and nothing of what trained."""
    command = [sys.executable, "-m", "reports", checked.plan.sweep, "--runs", str(checked.runs_dir)]
    return int(subprocess.run(command, check=False).returncode != 0)


def _cores() -> int:
    """Cores that this process may use; not every system can tell them from those the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _clock(started: float) -> str:
    seconds = round(time.perf_counter() - started)
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"
