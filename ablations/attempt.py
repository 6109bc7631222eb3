"""One attempt of a run, in its child process: the lock, the status, the records, the checkpoints and the mirror."""

import dataclasses
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import torch

from ablations import devices
from ablations.data_hash import data_hash
from ablations.exits import of_error
from ablations.job import Job, Outcome
from ablations.mirror import open_mirror
from klear_core.errors import RunStoreError
from klear_core.runs import folders, log, provenance, schema, store
from klear_core.trainer.checkpoint import Checkpoints, TrainState

_log = logging.getLogger(__name__)
# Longer than a killed process takes to die; a supervised start is worth waiting for, as its holder is training it.
_LOCK_WAIT_S = {"rl": 10.0, "supervised": 10.0, "sft": 24 * 3600.0}
_UNCLOSED = "an attempt ended without closing it, so rows of its last second may be missing"
_RECORDS = (schema.STEPS_FILE, schema.TIMINGS_FILE, schema.EVAL_LOG, schema.ROLLOUTS_LOG)


class Trainer(Protocol):
    """What a checkpoint is taken of."""

    def state(self) -> TrainState:
        """Everything that the next step depends on."""
        ...

    def restore(self, state: TrainState) -> None:
        """Go on where a state was taken."""
        ...


class Attempt:
    """The store of one attempt; made by ``run_attempt``, which holds the folder's lock."""

    def __init__(self, job: Job, prior: schema.Status | None) -> None:
        """Find the last whole checkpoint and cut the records back to it."""
        self.job = job
        self._started = time.monotonic()
        self._checkpoints = Checkpoints(job.folder / schema.RESUME_DIR)
        self._state = self._usable_state()
        self._kept: dict[str, int] = {} if self._state is None else dict(self._state.data["records"])
        self._logs: dict[str, log.RecordLog] = {}
        self._saved = self._started
        for _, table, _ in schema.TABLES:
            (job.folder / table).unlink(missing_ok=True)
        earlier = [] if prior is None or self._state is None else prior.sources
        self._status = schema.Status(
            run_id=job.run_id,
            identity=job.identity,
            state="running",
            attempt=1 if prior is None else prior.attempt + 1,
            exit_class="",
            reason="",
            owner=folders.owner_of(os.getpid()),
            started=provenance.utc_now(),
            ended="",
            wall_s=0.0 if prior is None else prior.wall_s,
            sources=list(dict.fromkeys([*earlier, job.source])),
            resumed_step=None if self._state is None else self._state.data["step"],
            mirror="" if job.wandb_mode == "disabled" else _UNCLOSED,
        )
        # What an earlier attempt has not mirrored is not made again when the run goes on after it.
        self._holes = "" if prior is None or self._state is None else prior.mirror
        # The status first: records without one are taken for those of an older version.
        store.write_json(job.folder / schema.STATUS_FILE, self._status)
        self._manifest = _manifest(job)
        store.write_json(job.folder / schema.MANIFEST_FILE, self._manifest)
        self.syncer = log.Syncer()
        self.sink = open_mirror(
            job.config,
            stage=job.stage,
            arm=job.arm,
            run_id=job.run_id,
            folder=job.folder,
            mode=job.wandb_mode,
            finish_timeout_s=job.config.wandb.finish_timeout_s,
        )

    @property
    def number(self) -> int:
        """Which attempt this is, from 1."""
        return self._status.attempt

    @property
    def goes_on(self) -> bool:
        """Whether it takes over from a checkpoint; known until ``resume``."""
        return self._state is not None

    def records(self, name: str) -> log.RecordLog:
        """The record file ``name`` of the run, opened at its first use."""
        if name not in self._logs:
            self._logs[name] = log.RecordLog(self.job.folder / name, self.syncer)
        return self._logs[name]

    def graded_by(self, told: str) -> None:
        """Note in the manifest how this attempt isolates programs and compares answers."""
        manifest = dataclasses.replace(self._manifest, grading=told)
        store.write_json(self.job.folder / schema.MANIFEST_FILE, manifest)

    def resume(self, trainer: Trainer) -> None:
        """Put a trainer where the last checkpoint found it; without one it starts from its beginning."""
        if self._state is not None:
            trainer.restore(self._state)
            _log.warning("attempt %d goes on after step %d", self.number, self._state.data["step"])
            self._state = None

    def checkpoint(self, trainer: Trainer) -> None:
        """Save a checkpoint when the last one is ``launch.checkpoint_every_s`` old."""
        if time.monotonic() - self._saved < self.job.config.launch.checkpoint_every_s:
            return
        # The records first: a checkpoint never knows more than they do.
        self.syncer.sync()
        state = trainer.state()
        extra = {
            # Also the rows of a file that this attempt has not come to write into yet.
            "records": self._kept | {name: records.seq for name, records in self._logs.items()},
            "config_hash": self.job.config_hash,
            "identity": self.job.identity,
            "attempt": self.number,
        }
        self._checkpoints.save(dataclasses.replace(state, data={**state.data, **extra}))
        self._saved = time.monotonic()

    def end(self, outcome: Outcome) -> None:
        """Write how it ended; the mirror is closed after that, so that W&B holds up no result."""
        done = outcome.exit_class == "ok"
        path = self.job.folder / schema.STATUS_FILE
        status = dataclasses.replace(
            self._status,
            state="done" if done else "failed",
            exit_class=outcome.exit_class,
            reason=outcome.reason,
            ended=provenance.utc_now(),
            wall_s=round(self._status.wall_s + time.monotonic() - self._started, 3),
        )
        try:
            store.write_json(path, status)
            if done:
                self._checkpoints.remove()
        finally:
            self.sink.finish(failed=not done)
        if (mirror := self._holes or self.sink.problem) != status.mirror:
            store.write_json(path, dataclasses.replace(status, mirror=mirror))

    def _usable_state(self) -> TrainState | None:
        """The last checkpoint, with the records cut back to what it knows; None when the run starts over."""
        folder = self.job.folder
        state = self._checkpoints.load()
        if state is not None and state.data["config_hash"] != self.job.config_hash:
            raise RunStoreError(f"{folder / schema.RESUME_DIR} holds a checkpoint of other settings; move it away")
        kept = {} if state is None else state.data["records"]
        try:
            _cut_records(self.job, kept)
        except RunStoreError as error:
            if state is None:
                raise
            _log.warning("%s: the run starts over, and what it has stays beside its records", error)
            state = None
            _cut_records(self.job, {})
        return state


def run_attempt(job: Job, stage: Callable[[Attempt], None]) -> None:
    """Run a stage under the folder's lock, from its last checkpoint to a final status; what goes wrong is raised."""
    with folders.held(job.folder, wait_s=_LOCK_WAIT_S[job.stage]):
        prior = store.read_status(job.folder)
        if prior is not None and prior.state == "done":
            return  # another sweep has made it meanwhile
        attempt = Attempt(job, prior)
        try:
            with attempt.syncer:
                stage(attempt)
            store.write_tables(job.folder)
        except BaseException as error:
            with suppress(RunStoreError):  # a full disk: the parent is told through its pipe as well
                attempt.end(of_error(error, memory_limit_mb=job.config.launch.memory_limit_mb))
            raise
        attempt.end(Outcome(exit_class="ok", reason=""))


def _cut_records(job: Job, kept: dict[str, int]) -> None:
    for name in _RECORDS:
        if (aside := log.cut_log(job.folder / name, kept.get(name, 0))) is not None:
            _log.warning("rows of %s after the checkpoint are made again; the old ones are in %s", name, aside.name)


def _manifest(job: Job) -> schema.Manifest:
    config = job.config
    is_sft = job.stage == "sft"
    return schema.Manifest(
        run_id=job.run_id,
        sweep=config.sweep.name,
        arm=job.arm,
        treatment=job.arm if is_sft else config.treatment,
        point="" if is_sft else config.point,
        seed=config.seed,
        identity=job.identity,
        config_hash=job.config_hash,
        data_hash=data_hash(config),
        sft=job.sft,
        grading="",
        provenance=provenance.collect_provenance(
            source=job.source, command=job.command, threads=torch.get_num_threads(), gpu=devices.told(config)
        ),
    )
