"""The entry of a child process: its limits, its log, its end with the parent, and what it tells of its end."""

import os
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import connection

import yaml

from ablations.exits import of_error
from ablations.job import Job, Outcome, Progress
from ablations.processes import die_with_parent
from klear_core.config import RunConfig
from klear_core.data.formats.hub import PREFIX
from klear_core.errors import HarnessError
from klear_core.runs import schema
from klear_core.settings import build

# One thread a run: at this size two runs side by side beat one on two threads, and busy-waiting threads starve both.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    # A look for GPUs through their driver's list leaves CUDA alone, which a process that forks must not have started.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # what deterministic matrix products need
}
OFFLINE = "HF_HUB_OFFLINE"  # 1 unless the user or ``allow_hub`` says otherwise


def allow_hub(configs: Sequence[RunConfig]) -> None:
    """Let this process and its children read the Hub when a config names one of its data sets or models."""
    if any(PREFIX in repr((config.task.params, config.sft_mix, config.sft.checkpoint)) for config in configs):
        os.environ.setdefault(OFFLINE, "0")


def main(job: Job, pipe: connection.Connection) -> None:
    """Run ``job``; progress and, at the end, an ``Outcome`` go through ``pipe``. Exit code 1 unless all went well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    outcome = Outcome(exit_class="ok", reason="")
    try:
        _open_log(job)
        limit_memory(job.config.launch.memory_limit_mb)
        # Imported here: the parent imports this module, and need not wait for torch.
        from ablations.stages import run_job

        stored = yaml.safe_load((job.folder / schema.CONFIG_FILE).read_text(encoding="utf-8"))
        run_job(replace(job, config=build(RunConfig, stored)), lambda progress: _tell(pipe, progress))
    except BaseException as error:
        outcome = of_error(error, memory_limit_mb=job.config.launch.memory_limit_mb)
        with suppress(OSError):  # a full disk takes no log either, and the parent is to be told all the same
            if isinstance(error, HarnessError):
                sys.stderr.write(f"error: {error}\n")
            else:
                traceback.print_exc()
    _tell(pipe, outcome)
    sys.exit(0 if outcome.exit_class == "ok" else 1)


def limit_memory(limit_mb: int | None) -> None:
    """Bound the data segment, which on Linux holds all private memory; nothing for None."""
    if limit_mb is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (limit_mb * 2**20, hard))


def _open_log(job: Job) -> None:
    with (job.folder / schema.LOG_FILE).open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def _tell(pipe: connection.Connection, message: Progress | Outcome) -> None:
    try:
        pipe.send(message)
    except BrokenPipeError:
        raise SystemExit("the parent process is gone") from None
