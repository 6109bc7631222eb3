"""Killing a sweep again and again, and asking whether anything was lost: the check behind the kill tests.

    python -m tests.reliability.killing --kills 200 [--real]

By default commands are forked from a process that has imported everything, and leave out the report; with --real they
are what a user types.

Every kill is SIGKILL at a random moment of a command, to its parent alone or to its whole process group; then the same
command is issued again, until it ends by itself.  Whatever was done by then must be what an uninterrupted run leaves:
the same bytes in the records that are deterministic and in the weights, every step once, every file readable.
"""

import argparse
import hashlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from klear_core.trainer.checkpoint import Checkpoints
from tests.reliability.zygote import ENVIRONMENT, ROOT, Zygote, shared

SWEEP = [
    *("+sweep=clipping", "scale=smoke", "objective=clip_higher,gppo", "launch.slots=2", "retries=0"),
    *("rl.steps=16", "rl.problems_per_step=8", "rl.updates_per_rollout=4", "rl.warmup_updates=2"),
    *("sft.steps=60", "sft.batch_size=32", "sft.learning_rate=1e-2", "sft.warmup_steps=5"),
    *("task.params.num_terms=3", "task.train_problems=64", "rl.max_response_tokens=24", "eval.validation_every=4"),
]
OFTEN = "launch.checkpoint_every_s=0.05"
DIES_WITHIN_S = 2.0
_SAME = (schema.STEPS_FILE, schema.EVAL_LOG, schema.ROLLOUTS_LOG, schema.EVAL_FILE, "model.safetensors")


class Runner:
    """Starts a sweep's command, through a zygote or as a user would."""

    def __init__(self, zygote: Zygote | None, *, report: bool = True) -> None:
        self._zygote = zygote
        self._report = report
        self._real: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, root: Path, *arguments: str, patch: str = "", **kwargs: Any) -> int:
        """Start the command on ``root``; returns the pid of its parent process, which leads its group."""
        root.mkdir(parents=True, exist_ok=True)
        command = [*SWEEP, OFTEN, f"launch.runs_dir={root}", *arguments]
        if self._zygote is not None:
            return self._zygote.start(command, root / "output.txt", patch=patch, report=self._report, **kwargs)
        with (root / "output.txt").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ablations.run", *command],
                cwd=ROOT,
                env=os.environ | ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._real[process.pid] = process
        return process.pid

    def poll(self, pid: int) -> int | None:
        """Exit code of a command, None while it runs."""
        return self._real[pid].poll() if self._zygote is None else self._zygote.poll(pid)

    def wait(self, pid: int, *, timeout_s: float = 240) -> int:
        """Exit code of a command that ends by itself."""
        deadline = time.monotonic() + timeout_s
        while (code := self.poll(pid)) is None:
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
                raise TimeoutError(f"the command did not end within {timeout_s} s")
            time.sleep(0.02)
        return code


def group_lives(group: int) -> bool:
    """Whether any process of the group still runs; one that waits only to be collected does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in ("Z", "X"):
            return True
    return False


def kill(pid: int, *, whole_group: bool) -> float:
    """SIGKILL the parent alone or its group; returns the seconds until nothing of the group runs any more."""
    started = time.monotonic()
    if whole_group:
        os.killpg(pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGKILL)
    while group_lives(pid):
        if time.monotonic() - started > 30:
            raise TimeoutError("children outlive their parent by 30 s")
        time.sleep(0.01)
    return time.monotonic() - started


def die_in(call: str, nth: int, torn: bool) -> None:
    """Plant a SIGKILL of the whole group in the ``nth`` call of os.write, os.fsync, os.rename or os.replace.

    With ``torn`` half of the bytes of a write get through, and the other calls are done before the kill, else not.
    """
    counter = multiprocessing.get_context("fork").Value("i", 0)
    real = getattr(os, call)

    def dying(*arguments: Any, **kwargs: Any) -> Any:
        with counter.get_lock():
            counter.value += 1
            now = counter.value == nth
        if not now:
            return real(*arguments, **kwargs)
        if torn:
            real(*((arguments[0], arguments[1][: len(arguments[1]) // 2]) if call == "write" else arguments), **kwargs)
        os.killpg(0, signal.SIGKILL)
        raise AssertionError("alive after a kill")

    setattr(os, call, dying)


def run_with_kills(runner: Runner, root: Path, *, kills: int, rng: random.Random, longest_s: float) -> dict[str, Any]:
    """Kill the command ``kills`` times, in as many sweeps as that takes; returns what was seen.

    A kill comes a uniformly random time after the command's start, at most ``longest_s``.  A sweep that ends before its
    kill is checked against nothing here; the next one starts in a fresh folder.
    """
    done, sweep, slowest, folders = 0, 0, 0.0, [root / "sweep0"]
    while done < kills:
        pid = runner.start(folders[-1])
        deadline = time.monotonic() + rng.uniform(0, longest_s)
        while time.monotonic() < deadline and runner.poll(pid) is None:
            time.sleep(0.01)
        if (code := runner.poll(pid)) is not None:
            if code != 0:
                raise AssertionError((folders[-1] / "output.txt").read_text())
            sweep += 1
            folders.append(root / f"sweep{sweep}")
            continue
        slowest = max(slowest, kill(pid, whole_group=rng.random() < 0.5))
        done += 1
        check_readable(folders[-1])
    code = runner.wait(runner.start(folders[-1]))
    if code != 0:
        raise AssertionError((folders[-1] / "output.txt").read_text())
    return {"folders": folders, "slowest_death_s": slowest}


def check_readable(root: Path) -> None:
    """Whatever moment a kill came at: plans, statuses, manifests, records and the latest checkpoint can be read."""
    for path in root.rglob(schema.STATUS_FILE):
        assert store.read_status(path.parent) is not None
    for path in root.rglob(schema.MANIFEST_FILE):
        store.read_manifest(path.parent)
    for path in root.rglob("*.jsonl"):
        if ".cut" not in path.name:
            list(read_log(path))
    for folder in root.rglob(schema.RESUME_DIR):
        status = store.read_status(folder.parent)
        if status is not None and status.state == "done":
            continue  # being cleared away
        whole = [path for path in folder.iterdir() if path.name.isdigit()]
        assert not whole or Checkpoints(folder).load() is not None, folder


def fingerprints(root: Path) -> dict[str, str]:
    """sha256 of what a command must reproduce byte for byte, by place; every step of every run exactly once."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.name in (
            schema.STEPS_FILE,
            schema.EVAL_LOG,
            schema.ROLLOUTS_LOG,
            schema.EVAL_FILE,
            "model.safetensors",
        ):
            found[path.relative_to(root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in root.rglob(schema.STATUS_FILE):
        status = store.read_status(path.parent)
        assert status is not None
        assert (status.state, status.exit_class) == ("done", "ok"), path
        assert not (path.parent / schema.RESUME_DIR).exists()
    for path in root.rglob(schema.STEPS_FILE):
        steps = [row["step"] for row in read_log(path)]
        assert steps == list(range(1, len(steps) + 1)), path
    for path in root.rglob(schema.TIMINGS_FILE):
        steps = [row["step"] for row in read_log(path)]
        assert steps == list(range(1, len(steps) + 1)), path
    return found


def seconds_of_work(root: Path) -> float:
    """Seconds that all runs took, summed: more than the command did, as some ran side by side."""
    return sum(status.wall_s for path in root.rglob(schema.STATUS_FILE) if (status := store.read_status(path.parent)))


def check_same(found: dict[str, str], expected: dict[str, str]) -> None:
    """AssertionError that names the files which differ or are missing."""
    parted = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
    assert not parted, f"not as without a kill: {', '.join(parted)}"


def main() -> None:
    """Kill as often as asked and print what was found; AssertionError when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", action="store_true", help="start python -m ablations.run itself, imports included")
    options = parser.parse_args()
    runner = Runner(None if options.real else shared(), report=False)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        started = time.monotonic()
        assert runner.wait(runner.start(root / "whole")) == 0, (root / "whole" / "output.txt").read_text()
        length = time.monotonic() - started
        work_s = seconds_of_work(root / "whole")
        expected = fingerprints(root / "whole")
        seen = run_with_kills(
            runner,
            root,
            kills=options.kills,
            rng=random.Random(options.seed),
            longest_s=length if options.real else work_s,
        )
        for folder in seen["folders"]:
            check_same(fingerprints(folder), expected)
        attempts = [
            store.read_status(path.parent).attempt  # type: ignore[union-attr]
            for folder in seen["folders"]
            for path in folder.rglob(schema.STATUS_FILE)
        ]
        print(
            f"{options.kills} kills in {len(seen['folders'])} sweeps of {len(expected)} files: nothing lost; "
            f"uninterrupted {length:.1f} s, attempts a run up to {max(attempts)}, "
            f"slowest death {seen['slowest_death_s']:.2f} s, {time.monotonic() - started:.0f} s in all"
        )


if __name__ == "__main__":
    main()
