"""The real command, once: a smoke sweep into two run roots."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "ablations.run"]


def environment(**changes: str) -> dict[str, str]:
    """A user's environment without W&B account."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    return kept | {"NETRC": os.devnull} | changes


def run_command(*arguments: str, timeout_s: float = 240, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, from the repository root."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two smoke sweeps by one command into two roots, the second with one slot: {root, again, output}."""
    first, second = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("again")
    done = run_command("+sweep=clipping", "scale=smoke", f"launch.runs_dir={first}")
    assert done.returncode == 0, done.stdout + done.stderr
    repeated = run_command(
        "+sweep=clipping", "scale=smoke", f"launch.runs_dir={second}", "launch.slots=1", WANDB_MODE="disabled"
    )
    assert repeated.returncode == 0, repeated.stdout + repeated.stderr
    return {"root": first, "again": second, "output": done.stdout, "errors": done.stderr}
