"""Seconds from a child's start, its imports done, to its first new step after a kill, at laptop scale.

python tests/benchmarks/resume.py --kills 5
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from klear_core.runs import schema
from klear_core.runs.log import read_log

ROOT = Path(__file__).resolve().parents[2]


def start(root: Path) -> subprocess.Popen[bytes]:
    """The command of a user, one run of 400 steps."""
    command = [sys.executable, "-m", "ablations.run", "rl.steps=400", f"launch.runs_dir={root}", "wandb.mode=disabled"]
    output = (root / "output.txt").open("ab")
    return subprocess.Popen(
        [*command, "launch.checkpoint_every_s=1"], cwd=ROOT, stdout=output, stderr=output, start_new_session=True
    )


def events(root: Path) -> list[str]:
    """Names of the ledger's RL events so far."""
    path = root / "adhoc" / schema.LEDGER_FILE
    lines = path.read_text().splitlines() if path.is_file() else []
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return [row["event"] for row in found if row.get("stage") == "rl"]


def rows(root: Path) -> int:
    """Steps recorded so far."""
    path = root / "adhoc" / "clip_higher" / "seed0" / schema.STEPS_FILE
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def wait_until(condition, timeout_s: float = 300) -> float:  # type: ignore[no-untyped-def]
    """The moment at which the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)
    return time.monotonic()


def main() -> None:
    """Kill and go on, and print what the first step of each attempt took beyond an ordinary step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        process = start(root)
        for _ in range(options.kills):
            reached = rows(root)
            wait_until(lambda reached=reached: rows(root) >= reached + 8)
            time.sleep(1.5)  # a checkpoint is due every second
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            begun = events(root).count("run_started")
            process = start(root)
            started = wait_until(lambda begun=begun: events(root).count("run_started") > begun)
            cut = wait_until(lambda: '"running"' in (root / "adhoc/clip_higher/seed0/status.json").read_text())
            assert cut >= started
            kept = rows(root)
            first = wait_until(lambda kept=kept: rows(root) > kept)
            found.append(first - started)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        timings = list(read_log(root / "adhoc" / "clip_higher" / "seed0" / schema.TIMINGS_FILE))
    step = statistics.median(row["total_s"] for row in timings)
    told = ", ".join(f"{seconds:.2f}" for seconds in found)
    print(f"from imports done to the first step after a kill: {told} s; a step takes {step:.2f} s (aim: at most 5 s)")


if __name__ == "__main__":
    main()
