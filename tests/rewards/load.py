"""Verdicts of a mixed set while the machine is idle, and while busy processes take four times its processors.

    python -m tests.rewards.load --rounds 5

TIMEOUT is said of CPU time, and of programs that sleep; so no verdict flips, and what the machine has failed twice is
INFRASTRUCTURE, which says nothing about a program.
"""

import argparse
import os
import subprocess
import sys
from collections import Counter

from klear_core.rewards import code
from klear_core.rewards.sandbox.limits import Limits
from klear_core.rewards.sandbox.pool import Sandbox
from tests.rewards import programs

LIMITS = Limits(
    cpu_s=0.4, wall_s=4.0, memory_mb=512, output_kb=256, stderr_kb=4, threads=32, open_files=32, max_timeouts=1
)
_NAMES = (
    *("controls/heavy_computation", "controls/recursion_in_a_thread", "controls/threads_joined", "controls/main_guard"),
    *("controls/short_sleep", "controls/thread_not_joined", "controls/solution_method", "controls/deep_recursion"),
    *("resources/busy_loop", "resources/sleep", "resources/deadlock", "resources/busy_function"),
    *("resources/endless_lines", "early_exit/os_exit", "comparison/lying_eq", "resources/threads_that_yield"),
    *("resources/sleep_in_tiny_steps", "resources/thread_outlives_main"),
)


def verdicts(slots: int) -> dict[str, str]:
    """Verdicts of the set by name."""
    cases = [case for case in programs.load({}) if case.name in _NAMES]
    assert len(cases) == len(_NAMES)
    with Sandbox(LIMITS, slots=slots) as sandbox:
        found = code.CodeJudge(sandbox).judge_all([(case.source, case.tests) for case in cases])
    return {case.name: "".join(letters) for case, letters in zip(cases, found, strict=True)}


def flips(rounds: int, *, slots: int) -> Counter[str]:
    """What changes under load, by words."""
    idle = verdicts(slots)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        loaded = [verdicts(slots) for _ in range(rounds)]
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return Counter(
        f"{name}: {idle[name]} -> {each[name]}" for each in loaded for name in idle if each[name] != idle[name]
    )


def main() -> None:
    """Load and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", type=int, default=8)
    options = parser.parse_args()
    found = flips(options.rounds, slots=options.slots)
    print(f"{sum(found.values())} flips in {options.rounds} rounds of {len(_NAMES)} programs", *found.items(), sep="\n")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
