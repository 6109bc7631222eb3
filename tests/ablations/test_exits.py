import errno
import signal
import subprocess
import sys

import pytest
import torch

from ablations.exits import RETRIED, of_error, of_exit_code
from klear_core.errors import ConfigError, DataError, DivergedError, EngineError, RunStoreError
from klear_core.runs.schema import EXIT_CLASSES


def torch_out_of_memory():
    try:
        torch.empty(2**60, dtype=torch.uint8)
    except RuntimeError as error:
        return error
    raise AssertionError("an exbibyte was allocated")


@pytest.mark.parametrize(
    ("error", "exit_class"),
    [
        (ConfigError("x"), "config_error"),
        (DataError("x"), "data_error"),
        (EngineError("x"), "data_error"),
        (DivergedError("x"), "diverged"),
        (RunStoreError("x"), "infrastructure"),
        (OSError(errno.ENOSPC, "No space left on device"), "infrastructure"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "oom"),
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "oom"),
        (torch_out_of_memory(), "oom"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "bug"),
        (AssertionError("x"), "bug"),
        (ValueError("two\nlines"), "bug"),
        (KeyboardInterrupt(), "killed"),
    ],
)
def test_every_exception_has_its_class_and_one_line(error, exit_class):
    outcome = of_error(error)
    assert outcome.exit_class == exit_class
    assert "\n" not in outcome.told
    assert outcome.told.startswith(f"{exit_class}: ")


@pytest.mark.parametrize(
    ("code", "kills", "exit_class", "reason"),
    [
        (-signal.SIGSEGV, 0, "bug", "SIGSEGV"),
        (-signal.SIGABRT, 0, "bug", "SIGABRT"),
        (-signal.SIGKILL, 0, "killed", "SIGKILL"),
        (-signal.SIGKILL, 1, "oom", "out of memory"),
        (-signal.SIGTERM, 1, "killed", "SIGTERM"),
        (-signal.SIGXFSZ, 0, "infrastructure", "SIGXFSZ"),
        (-70, 0, "killed", "signal 70"),
        (3, 0, "bug", "exit code 3"),
        (255, 0, "infrastructure", "server"),
    ],
)
def test_every_end_without_a_word_has_its_class(code, kills, exit_class, reason):
    outcome = of_exit_code(code, oom_kills=kills)
    assert outcome.exit_class == exit_class
    assert reason in outcome.reason


def test_the_classes_are_those_of_the_schema_and_only_trouble_around_a_run_is_tried_again():
    assert set(RETRIED) == {"infrastructure", "oom"} < set(EXIT_CLASSES)


_LIMITED = """
import torch
from ablations.child import limit_memory
from ablations.exits import of_error
limit_memory(600)
torch.zeros(2**20)
try:
    torch.zeros(2**28)
except RuntimeError as error:
    print(of_error(error).told)
"""


def test_an_allocation_beyond_the_memory_limit_is_out_of_memory():
    done = subprocess.run([sys.executable, "-c", _LIMITED], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("oom: ")
    assert "1073741824 bytes" in done.stdout
