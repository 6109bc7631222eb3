"""Tests a second: our sandbox, bubblewrap with an interpreter a program, and a multiprocessing check beside torch.

    python tests/benchmarks/sandbox.py --rounds 7 --tests 100

One test a program, no program twice, so that nothing is cached; every method uses all processors, and its answers are
checked.  Methods alternate, as machines are shared and noisy; the ratios are medians over the rounds.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from measured import Metric, ratio, tell

from klear_core.rewards.sandbox.isolation import LIBRARIES
from klear_core.rewards.sandbox.limits import Ended, Limits, Program
from klear_core.rewards.sandbox.pool import Sandbox

LIMITS = Limits(
    cpu_s=10.0, wall_s=100.0, memory_mb=1024, output_kb=256, stderr_kb=4, threads=32, open_files=32, max_timeouts=2
)
_FORK = multiprocessing.get_context("fork")


def sources(count: int, mark: int) -> list[str]:
    """Programs of a dozen lines that print twice their input."""
    imports = "import sys, math, collections, heapq, itertools\n"
    body = "def solve(n):\n    counts = collections.Counter(range(n))\n    return 2 * len(counts)\n"
    return [f"# {mark} {k}\n{imports}{body}print(solve(int(sys.stdin.readline())))\n" for k in range(count)]


def ours(sandbox: Sandbox, programs: Sequence[str]) -> None:
    """The sandbox as the trainer uses it."""
    for (run,) in sandbox.run_all([Program(source=source, entry="", inputs=("21\n",)) for source in programs]):
        assert (run.ended, run.output) == (Ended.ANSWERED, b"42\n"), run


def bubblewrap(workers: int, programs: Sequence[str]) -> None:
    """A fresh interpreter in bubblewrap for every program."""
    folders = [*LIBRARIES, sys.base_prefix]
    binds = [word for folder in folders for word in ("--ro-bind-try", folder, folder)]
    interpreter = [os.path.realpath(sys.executable), "-I", "-S", "-c"]
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", *binds, *interpreter]

    def run(source: str) -> str:
        return subprocess.run([*command, source], input="21\n", capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(workers) as pool:
        assert set(pool.map(run, programs)) == {"42\n"}


def _execute(source: str, found: list[str]) -> None:
    sys.stdin, out = io.StringIO("21\n"), io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(source, {"__name__": "__main__"})
    found.append(out.getvalue())


def _check_all(programs: Sequence[str]) -> None:
    """What common trainers do: a manager and a forked process for every program, without any isolation."""
    for source in programs:
        with _FORK.Manager() as manager:
            found = manager.list()
            process = _FORK.Process(target=_execute, args=(source, found))
            process.start()
            process.join(timeout=10)
            assert list(found) == ["42\n"]


def beside_torch(workers: int, programs: Sequence[str]) -> None:
    """The same in as many processes, each forked from one that has loaded torch."""
    started = [_FORK.Process(target=_check_all, args=(programs[k::workers],)) for k in range(workers)]
    for worker in started:
        worker.start()
    for worker in started:
        worker.join()
        assert worker.exitcode == 0


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tests", type=int, default=100)
    options = parser.parse_args()
    workers = os.cpu_count() or 1
    torch.ones(64, 64) @ torch.ones(64, 64)  # what is loaded lazily is loaded now
    with Sandbox(LIMITS) as sandbox:
        methods: dict[str, Callable[[Sequence[str]], None]] = {"ours": lambda programs: ours(sandbox, programs)}
        if shutil.which("bwrap"):
            methods["bubblewrap"] = lambda programs: bubblewrap(workers, programs)
        methods["multiprocessing"] = lambda programs: beside_torch(workers, programs)
        times: dict[str, list[float]] = {name: [] for name in methods}
        for turn in range(options.rounds + 1):
            for name, method in methods.items():
                programs = sources(options.tests, turn)
                started = time.perf_counter()
                method(programs)
                times[name].append((time.perf_counter() - started) / options.tests)
    print(f"{workers} workers, {options.rounds} rounds of {options.tests} tests, {sandbox.isolation}")
    each = 1e3 * statistics.median(times["ours"][1:])
    metrics = [Metric(name="ours", value=each, unit="ms a test", better="lower", is_compared=False)]
    for name, seconds in times.items():
        ratios = [other / own for other, own in zip(seconds[1:], times["ours"][1:], strict=True)]
        if name != "ours":
            metrics.append(ratio(f"{name} / ours", ratios))
        print(
            f"  {name:16s} {1e3 * statistics.median(seconds[1:]):6.2f} ms a test,"
            f" {statistics.median(ratios):5.1f} times ours (rounds: {min(ratios):.1f} to {max(ratios):.1f})"
        )
    tell(metrics, workers=workers, rounds=options.rounds, tests=options.tests)


if __name__ == "__main__":
    main()
