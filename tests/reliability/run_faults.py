"""Faults inside a run, by name: each is called with the run's config and the advantages of the step that it strikes.

One that returns advantages puts them in the place of the right ones.
"""

import contextlib
import ctypes
import dataclasses
import errno
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ablations.stages
import klear_core.trainer.update
from klear_core.config import RunConfig
from klear_core.runs import provenance, store
from klear_core.trainer.checkpoint import Checkpoints

GO = "go"  # what a waiting run waits for
WAITS = "waits"  # with its seed, what it says
FULL = "ballast"  # what fills a disk


def folder_of(config: RunConfig) -> Path:
    """The folder of the run."""
    return Path(config.launch.runs_dir) / config.sweep.name / config.arm / f"seed{config.seed}"


def exception(config: RunConfig, advantages: Tensor) -> None:
    raise ZeroDivisionError("a planted mistake")


def segfault(config: RunConfig, advantages: Tensor) -> None:
    ctypes.string_at(0)


def segfault_together(config: RunConfig, advantages: Tensor) -> None:
    """Four runs that crash in the same moment."""
    _meet(config)
    ctypes.string_at(0)


def memory(config: RunConfig, advantages: Tensor) -> None:
    """More than the limit in pieces that are never touched, so that the machine does not feel them."""
    hoard = []
    while True:
        hoard.append(torch.empty(2**28, dtype=torch.uint8))


def memory_together(config: RunConfig, advantages: Tensor) -> None:
    _meet(config)
    memory(config, advantages)


def hang(config: RunConfig, advantages: Tensor) -> None:
    threading.Event().wait()


def hang_deaf(config: RunConfig, advantages: Tensor) -> None:
    """A hang that does not listen to SIGTERM either."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Event().wait()


def nan(config: RunConfig, advantages: Tensor) -> Tensor:
    """As if a reward had overflown: everything downstream is computed from it."""
    return advantages * float("nan")


def nan_loss_once(config: RunConfig, advantages: Tensor) -> None:
    """The next update's loss, and so its gradients, are NaN."""
    original = klear_core.trainer.update.policy_loss

    def poisoned(*arguments: Any, **named: Any) -> Any:
        klear_core.trainer.update.policy_loss = original
        output = original(*arguments, **named)
        return dataclasses.replace(output, total=output.total * float("nan"))

    klear_core.trainer.update.policy_loss = poisoned


def disk_trouble(config: RunConfig, advantages: Tensor) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO), "a planted file")


def die(config: RunConfig, advantages: Tensor) -> None:
    """What a power cut leaves: nothing is closed, told or written."""
    os.kill(os.getpid(), signal.SIGKILL)


def terminated(config: RunConfig, advantages: Tensor) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait()


def silent_exit(config: RunConfig, advantages: Tensor) -> None:
    os._exit(0)


def wait(config: RunConfig, advantages: Tensor) -> None:
    """Say that the run waits, and wait for a file in the root of the runs."""
    (Path(config.launch.runs_dir) / f"{WAITS}{config.seed}").touch()
    until((Path(config.launch.runs_dir) / GO).exists)


def clock_back(config: RunConfig, advantages: Tensor) -> None:
    _shift_clock(-3600)


def clock_forward(config: RunConfig, advantages: Tensor) -> None:
    _shift_clock(3600)


def full_at_record(config: RunConfig, advantages: Tensor) -> None:
    no_room(config)


def full_at_checkpoint(config: RunConfig, advantages: Tensor) -> None:
    original = Checkpoints.save

    def save(self: Checkpoints, state: Any) -> Path:
        no_room(config)
        return original(self, state)

    Checkpoints.save = save  # type: ignore[method-assign]


def full_at_model(config: RunConfig, advantages: Tensor) -> None:
    original = ablations.stages.save_model

    def save(*arguments: Any) -> None:
        no_room(config)
        original(*arguments)

    ablations.stages.save_model = save


def full_at_tables(config: RunConfig, advantages: Tensor) -> None:
    original = store.write_tables

    def write(folder: Path) -> None:
        no_room(config)
        original(folder)

    store.write_tables = write


def sync_fails(config: RunConfig, advantages: Tensor) -> None:
    """A disk that takes bytes and then cannot keep them."""

    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    os.fsync = refuse


def folder_removed(config: RunConfig, advantages: Tensor) -> None:
    shutil.rmtree(folder_of(config))


def no_room(config: RunConfig) -> None:
    """Fill the file system of the runs when it is one of its own; else no file of this process may grow any more."""
    root = Path(config.launch.runs_dir)
    if root.is_mount():
        fill(root)
    else:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))


def fill(root: Path) -> None:
    """Leave not one free block."""
    with (root / FULL).open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(1024))


def until(condition: Callable[[], bool]) -> None:
    """Wait, but not for ever: a test that fails leaves nothing behind."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the test does not go on")
        time.sleep(0.01)


def _meet(config: RunConfig) -> None:
    root = Path(config.launch.runs_dir)
    (root / f"here{os.getpid()}").touch()
    until(lambda: len(list(root.glob("here*"))) == 4)


def _shift_clock(seconds: float) -> None:
    real, utc_now = time.time, provenance.datetime

    class Shifted(utc_now):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return utc_now.fromtimestamp(real() + seconds, tz)

    time.time = lambda: real() + seconds
    time.time_ns = lambda: int((real() + seconds) * 1e9)
    provenance.datetime = Shifted


FAULTS: dict[str, Callable[[RunConfig, Tensor], Tensor | None]] = {
    fault.__name__: fault
    for fault in (
        *(exception, segfault, segfault_together, memory, memory_together, hang, hang_deaf, nan, nan_loss_once),
        *(disk_trouble, die, terminated, silent_exit, wait, clock_back, clock_forward),
        *(full_at_record, full_at_checkpoint, full_at_model, full_at_tables, sync_fails, folder_removed),
    )
}
