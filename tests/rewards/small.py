"""Small programs and limits that several tests of the sandbox use."""

import shutil

from klear_core.rewards.sandbox import limits

LIMITS = limits.Limits(
    cpu_s=1.0, wall_s=5.0, memory_mb=512, output_kb=64, stderr_kb=4, threads=32, open_files=32, max_timeouts=2
)
NO_BWRAP = shutil.which("bwrap") is None


def program(source, *inputs):
    """A whole program at its inputs."""
    return limits.Program(source=source, entry="", inputs=inputs or ("",))


SHORT = program("print(input())", "1", "2", "3")
SLEEPY = program("import time; time.sleep(0.3); print(input())", "7")


def outputs(runs):
    """What runs are compared by."""
    return [(run.ended, run.output) for run in runs]


def answers(*texts):
    """What ``outputs`` is of tests that printed these lines."""
    return [(limits.Ended.ANSWERED, f"{text}\n".encode()) for text in texts]
