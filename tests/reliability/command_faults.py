"""Faults of a command and of all that it starts, by name: each is called with a value before the command begins."""

import ctypes
import os
import resource
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

import ablations.launch
from klear_core.runs import provenance, schema, store
from klear_core.trainer.sft import SFTTrainer
from tests.reliability.run_faults import no_room, until

_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION = 0x20080522


def file_limit(value: Any) -> None:
    """Once the command line is read, no file of the command and its runs grows beyond ``value`` bytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    _before_the_sweep(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (value, hard)))


def other_user(value: Any) -> None:
    """Become the user ``value`` once the command line is read: the interpreter may be out of that user's reach."""

    def become() -> None:
        os.setgid(value)
        os.setuid(value)

    provenance.source_hash()
    _before_the_sweep(become)


def _before_the_sweep(act: Callable[[], None]) -> None:
    original = ablations.launch.run_sweep

    def run(configs: Any) -> int:
        act()
        return original(configs)

    ablations.launch.run_sweep = run


def temporary_folder(value: str) -> None:
    """Temporary files go to the folder ``value``."""
    tempfile.tempdir = value


def sft_fails(value: Any) -> None:
    """The supervised start fails at its third update."""

    def fail() -> None:
        raise ZeroDivisionError("a planted mistake")

    _at_third_sft_update(fail)


def sft_waits(value: str) -> None:
    """The supervised start waits at its third update for the file ``value``."""

    _at_third_sft_update(lambda: until(Path(value).exists))


def _at_third_sft_update(act: Callable[[], None]) -> None:
    original, seen = SFTTrainer.score, iter(range(1, 10**9))

    def score(self: SFTTrainer, prompts: Any, responses: Any) -> tuple[Tensor, int]:
        if next(seen) == 3:
            act()
        return original(self, prompts, responses)

    SFTTrainer.score = score  # type: ignore[method-assign]


def full_at_report(value: Any) -> None:
    """No room is left when everything is done but the report."""
    original = ablations.launch._write_report

    def write(checked: Any) -> int:
        no_room(checked.configs[0])
        return original(checked)

    ablations.launch._write_report = write


def die_after_first_file(value: Any) -> None:
    """A power cut at the one moment at which a run has either its status or its manifest, and not both."""
    original = store.write_json

    def write(path: Path, content: Any) -> None:
        original(path, content)
        if path.name in (schema.MANIFEST_FILE, schema.STATUS_FILE):
            os.killpg(0, signal.SIGKILL)

    store.write_json = write


def without_power_over_files(value: Any) -> None:
    """Take the superuser's right to pass over modes and owners, in this command and all that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    data = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    for word in range(3):  # effective, permitted, inheritable
        data[word] &= ~(1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH)
    assert libc.capset(header, data) == 0, os.strerror(ctypes.get_errno())


COMMAND_FAULTS: dict[str, Callable[[Any], None]] = {
    fault.__name__: fault
    for fault in (
        *(file_limit, other_user, temporary_folder, sft_fails, sft_waits, full_at_report),
        *(die_after_first_file, without_power_over_files),
    )
}
