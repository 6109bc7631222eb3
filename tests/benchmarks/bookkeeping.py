"""What records, checkpoints and the W&B mirror cost, as a share of all CPU seconds of a run and its processes.

    python tests/benchmarks/bookkeeping.py --steps 500

One run at laptop scale in this process, from a supervised start that is made first.  CPU seconds count as bookkeeping
when the main thread spends them inside a call that keeps a record, saves a checkpoint, feeds the mirror or writes a
final file, when another thread spends them (the syncer and the mirror's threads: the run has one thread of its own), or
when another process does (W&B's service).  The rest is training and evaluation.
"""

import argparse
import os
import resource
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "HF_HUB_OFFLINE": "1"}

from ablations import launch, stages
from ablations.attempt import Attempt
from ablations.run import compose
from klear_core.runs import log, schema, store
from klear_core.runs.wandb_sink import WandbSink

_TICKS = os.sysconf("SC_CLK_TCK")
_KEPT: list[tuple[Any, str]] = [
    *[(Attempt, name) for name in ("__init__", "checkpoint", "end")],
    *[(log.RecordLog, name) for name in ("append", "close")],
    *[(WandbSink, name) for name in ("log", "summarize", "log_texts")],
    *[(stages, name) for name in ("save_model", "_timing_row", "_text_rows", "step_values")],
    (store, "write_tables"),
]


class Meter:
    """CPU seconds of the main thread inside the outermost of some calls, by call."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inside = False

    def watch(self, owner: Any, name: str) -> None:
        """Count what ``owner.name`` takes from now on."""
        real: Callable[..., Any] = getattr(owner, name)
        label = f"{getattr(owner, '__name__', owner)}.{name}"

        def counted(*args: Any, **kwargs: Any) -> Any:
            if self._inside or threading.current_thread() is not threading.main_thread():
                return real(*args, **kwargs)
            self._inside = True
            started = time.thread_time()
            try:
                return real(*args, **kwargs)
            finally:
                self.seconds[label] += time.thread_time() - started
                self._inside = False

        setattr(owner, name, counted)


def cpu_of_children() -> float:
    """CPU seconds so far of all children of this process, living or waited for, and of theirs."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            total += sum(int(fields[k]) for k in (11, 12, 13, 14)) / _TICKS
    return total


def main() -> None:
    """Run and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--wandb", default="offline", choices=["offline", "disabled"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        overrides = [f"launch.runs_dir={scratch}", f"rl.steps={options.steps}", f"wandb.mode={options.wandb}"]
        prepared = launch.prepare(compose(overrides))
        supervised, job = launch.lay_out(prepared, wandb_mode=options.wandb)
        stages.run_job(supervised, lambda progress: None)
        meter = Meter()
        for owner, name in _KEPT:
            meter.watch(owner, name)
        children: list[float] = [cpu_of_children()]
        before = time.process_time(), time.thread_time(), children[0]
        real_finish = WandbSink.finish

        def finish(sink: WandbSink, *, failed: bool) -> None:
            """The service ends in here: read its clock before, and count what it takes to close as well."""
            started = time.thread_time()
            stop = threading.Event()

            def watch() -> None:
                while not stop.wait(0.02):
                    children.append(cpu_of_children())

            thread = threading.Thread(target=watch)
            thread.start()
            real_finish(sink, failed=failed)
            stop.set()
            thread.join()
            meter.seconds["WandbSink.finish"] += time.thread_time() - started

        WandbSink.finish = finish  # type: ignore[method-assign]
        stages.run_job(job, lambda progress: None)
        process, thread = time.process_time() - before[0], time.thread_time() - before[1]
        service = max(*children, cpu_of_children()) - before[2]
        kept = sum(meter.seconds.values())
        total = process + service
        steps = sum(1 for _ in log.read_log(job.folder / schema.STEPS_FILE))
        print(f"{steps} steps, W&B {options.wandb}: {total:.1f} CPU seconds in all, {process:.1f} in the run's process")
        for label, seconds in meter.seconds.most_common():
            print(f"  {label:34s} {seconds:7.2f} s  {seconds / total:6.2%}")
        print(f"  {'other threads':34s} {process - thread:7.2f} s  {(process - thread) / total:6.2%}")
        print(f"  {'other processes':34s} {service:7.2f} s  {service / total:6.2%}")
        share = (kept + process - thread + service) / total
        print(f"bookkeeping and mirror: {share:.2%} of all CPU seconds (aim: at most 5 %)")


if __name__ == "__main__":
    main()
