"""Run benchmarks, keep their results as JSON, and compare them with an earlier run on the same machine.

    python -m tests.benchmarks                  # those that end within minutes: what `make bench` runs
    python -m tests.benchmarks head rollout     # some of them
    python -m tests.benchmarks --keep           # these results become the baseline

Results go to .bench/results.json; .bench/baseline.json is what they are compared with.  Exit code 1 when a benchmark
fails or a compared metric is worse by more than 10 %, 2 when a name is unknown.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks import measured

ROOT = Path(__file__).resolve().parents[2]
# Name -> script and arguments, at sizes that two cores finish within a minute or two each.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "head": ("head.py",),
    "rollout": ("rollout.py", "--rounds", "5"),
    "rollout_hog": ("rollout.py", "--hog", "--rounds", "5"),
    "packing": ("packing.py",),
    "split": ("split.py",),
    "sandbox": ("sandbox.py", "--rounds", "5"),
    "maths": ("math_reward.py", "--rounds", "5"),
    "report": ("report.py",),
    "trl": ("vs_trl.py", "--steps", "7"),
}
NEEDS = {"trl": "trl", "maths": "math_verify"}  # packages of extras; a benchmark without its package is left out
_TAIL = 5  # lines of a failed benchmark that are shown


def main(arguments: list[str]) -> int:
    """Run, store, compare."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(BENCHMARKS)}")
    parser.add_argument("--out", type=Path, default=Path(".bench"), help="folder of the results (default: .bench)")
    parser.add_argument("--keep", action="store_true", help="make these results the baseline of later runs")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in BENCHMARKS]:
        parser.error(f"unknown benchmark {', '.join(unknown)}; allowed: {', '.join(BENCHMARKS)}")
    results: dict[str, Any] = {"machine": measured.machine(), "benchmarks": {}}
    failed = []
    for name in given.names or BENCHMARKS:
        if name in NEEDS and find_spec(NEEDS[name]) is None:
            print(f"{name}: left out, as {NEEDS[name]} is not installed")
            continue
        told, why = run(name)
        if told is None:
            failed.append(name)
            print(f"{name}: failed\n{why}")
            continue
        results["benchmarks"][name] = told
        for metric in told["metrics"]:
            spread = f" ({metric['low']:.3g} to {metric['high']:.3g})" if metric["low"] is not None else ""
            print(f"{name}: {metric['name']} {metric['value']:.3g} {metric['unit']}{spread}", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1) + "\n"
    (given.out / "results.json").write_text(text)
    flagged = _compare(given.out / "baseline.json", results)
    if given.keep and not failed:
        (given.out / "baseline.json").write_text(text)
    return 1 if failed or flagged else 0


def run(name: str) -> tuple[dict[str, Any] | None, str]:
    """What one benchmark told, with its seconds and the load before it; or None and the end of its output."""
    script, *arguments = BENCHMARKS[name]
    before = os.getloadavg()[0]
    started = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    command = [sys.executable, str(Path(__file__).parent / script), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    told = measured.read(done.stdout)
    if done.returncode or told is None:
        lines = (done.stdout + done.stderr).splitlines()
        return None, "\n".join(f"  {line}" for line in lines[-_TAIL:])
    return told | {"seconds": round(time.perf_counter() - started, 1), "load_before": round(before, 2)}, ""


def _compare(path: Path, results: dict[str, Any]) -> bool:
    """Print what changed against the baseline; whether anything is flagged."""
    if not path.is_file():
        print(f"no baseline in {path}; --keep makes one of these results")
        return False
    try:
        changes = measured.compare(results, json.loads(path.read_text()))
    except ValueError as error:
        print(f"not compared: {error}")
        return False
    for change in changes:
        if change.is_flagged:
            told = f"{change.metric.value:.3g} {change.metric.unit}, was {change.baseline:.3g}"
            print(f"WORSE by {change.worse_by:.0%}: {change.benchmark} {change.metric.name} {told}")
    flagged = any(change.is_flagged for change in changes)
    if changes and not flagged:
        print(f"{len(changes)} metrics, none worse than its baseline by more than {measured.TOLERANCE:.0%}")
    return flagged


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
