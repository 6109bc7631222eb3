"""The device that runs train on: how many share it, how a process is set up for it, and what the records say of it.

torch is imported late, as the parent starts without it.
"""

from ablations import machine_limits
from klear_core.config import RunConfig

_USABLE = 0.95  # of a GPU's memory; the rest is for the contexts of the processes


def num_slots(config: RunConfig) -> int:
    """Runs side by side: as configured, else one on a GPU, or one a core that this process may use."""
    if config.launch.slots is not None:
        return config.launch.slots
    return 1 if config.model.device == "cuda" else machine_limits.cores()


def without_gpu() -> str:
    """Why torch has no GPU here, "" when it sees one; none is used to find out."""
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build without CUDA"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} for CUDA {torch.version.cuda} sees no GPU"
    return ""


def set_up(config: RunConfig) -> None:
    """Set up this process for its run, before anything else, see ``set_up_on``."""
    set_up_on(config.model.device, slots=num_slots(config))


def set_up_on(device: str, *, slots: int) -> None:
    """Set up this process: one thread; on a GPU an equal share of its memory where others run beside it, no TF32, and
    deterministic kernels where there are some.
    """
    import torch

    torch.set_num_threads(1)
    if device != "cuda":
        return
    if slots > 1:
        # Alone a process needs no share, and what a sleeping engine has given back would count against it.
        torch.cuda.set_per_process_memory_fraction(_USABLE / slots)
    torch.set_float32_matmul_precision("highest")
    # Where there is none, such as for a cumulative sum, the fast one is used, and the log says so.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # What is written before it is read need not be cleared.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def told(config: RunConfig) -> str:
    """The GPU of a run for its records, "" for one on the CPU."""
    return told_of(config.model.device)


def told_of(device: str) -> str:
    """The first GPU for records, "" for the CPU."""
    if device != "cuda":
        return ""
    import torch

    seen = torch.cuda.get_device_properties(0)
    size = f"{seen.total_memory / 2**30:.0f} GiB"
    return f"{seen.name}, {size}, capability {seen.major}.{seen.minor}, CUDA {torch.version.cuda}"


def peak_mb(config: RunConfig) -> float:
    """Most memory of the GPU that this process has held so far, MB; 0 for a run on the CPU."""
    if config.model.device != "cuda":
        return 0.0
    import torch

    return float(torch.cuda.max_memory_reserved()) / 1e6
