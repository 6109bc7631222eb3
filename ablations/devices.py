"""The device that runs train on: whether it is there, how many share it, and how it is set up and told.

Nothing here imports torch at once: the parent starts without it, and the fork server must not touch a GPU, which a forked
process could not use then.
"""

import os
from collections.abc import Sequence
from multiprocessing import connection

from ablations import machine_limits
from ablations.pool import fork_server
from klear_core.config import RunConfig
from klear_core.errors import ConfigError

_USABLE = 0.95  # of a GPU's memory; the rest is for the contexts of the processes
_ON_CPU = "model.device=cpu"


def num_slots(config: RunConfig) -> int:
    """Runs side by side: as configured, else one on a GPU, or one a core that this process may use."""
    if config.launch.slots is not None:
        return config.launch.slots
    return 1 if config.model.device == "cuda" else machine_limits.cores()


def check_devices(configs: Sequence[RunConfig]) -> None:
    """ConfigError when runs ask for a GPU that torch does not see. Asked in a child, as the parent has no torch."""
    if all(config.model.device == "cpu" for config in configs):
        return
    context = fork_server()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_look, args=(sender,), daemon=True)
    process.start()
    sender.close()
    try:
        reason: str = receiver.recv()
    except EOFError:
        reason = "the process that looked for a GPU ended without a word"
    process.join()
    if reason:
        raise ConfigError(f"model.device is 'cuda', but {reason}; allowed here: {_ON_CPU}")


def _look(pipe: connection.Connection) -> None:
    # Libraries print what they think of a driver.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        reason = _missing()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
    pipe.send(reason)


def _missing() -> str:
    """Why there is no GPU, "" when a first number has been computed on it."""
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build without CUDA"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} for CUDA {torch.version.cuda} sees no GPU"
    return "" if float(torch.ones(1, device="cuda")) == 1 else "it computes wrongly"


def set_up(config: RunConfig) -> None:
    """Set up this process for its run, before anything else: one thread; on a GPU an equal share of its memory, no
    TF32, and deterministic kernels where there are some.
    """
    import torch

    torch.set_num_threads(1)
    if config.model.device != "cuda":
        return
    torch.cuda.set_per_process_memory_fraction(_USABLE / num_slots(config))
    torch.set_float32_matmul_precision("highest")
    # Where there is none, such as for a cumulative sum, the fast one is used, and the log says so.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # What is written before it is read need not be cleared.
    torch.utils.deterministic.fill_uninitialized_memory = False


def told(config: RunConfig) -> str:
    """The GPU of a run for its records, "" for one on the CPU."""
    if config.model.device != "cuda":
        return ""
    import torch

    seen = torch.cuda.get_device_properties(0)
    return f"{seen.name}, {seen.total_memory / 2**30:.0f} GiB, capability {seen.major}.{seen.minor}, CUDA {torch.version.cuda}"


def peak_mb(config: RunConfig) -> float:
    """Most memory of the GPU that this process has held so far, MB; 0 for a run on the CPU."""
    if config.model.device != "cuda":
        return 0.0
    import torch

    return torch.cuda.max_memory_reserved() / 1e6
