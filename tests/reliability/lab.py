"""Small sweeps for the fault tests: seconds of a real command, with faults planted where a test wants them.

A run of this size takes half a second.  All start from one supervised checkpoint, so that a test may damage, starve or
kill anything and pay for no more than the runs it is about.
"""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from tests.reliability.killing import Runner, fingerprints
from tests.reliability.zygote import shared

STEPS = 4
ARM = "gppo-u2"
SMALL = [
    *("+sweep=clipping", "scale=smoke", "objective=gppo", "seed=0", "launch.slots=2", "retries=0", "launch.live=false"),
    *(f"rl.steps={STEPS}", "rl.problems_per_step=8", "rl.completions_per_problem=8"),
    *("rl.updates_per_rollout=2", "rl.warmup_updates=2", "rl.max_response_tokens=14", "task.params.num_terms=2"),
    *("task.train_problems=64", "eval.test_questions=8", "eval.validation_questions=8"),
]
# What a supervised start is made from: settings that have no effect, and are refused, beside a given checkpoint.
SUPERVISED = [
    *("model.hidden_size=48", "model.intermediate_size=96", "model.num_layers=1", "model.num_heads=3"),
    *("model.num_kv_heads=1", "sft.steps=60", "sft.batch_size=32", "sft.learning_rate=1e-2", "sft.warmup_steps=5"),
]
ALWAYS = "launch.checkpoint_every_s=1e-9"
PLANT = "tests.reliability.poison:plant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    text: str  # standard output and error together

    @property
    def error(self) -> str:
        """The only line of a refusal."""
        assert self.code == 2, self.text
        (line,) = self.text.splitlines()
        assert line.startswith("error: ")
        return line


class Lab:
    """Starts small commands; each has an output of its own in ``scratch``."""

    def __init__(self, scratch: Path) -> None:
        self._runner = Runner(shared())
        self._scratch = scratch
        self._outputs: dict[int, Path] = {}
        self._numbers = itertools.count()
        self.checkpoint: Path | None = None

    def start(
        self, root: Path, *arguments: str, seeds: Iterable[int] = (0,), report: bool = False, **planted: Any
    ) -> int:
        """Start a command on ``root`` with the faults of ``poison.plant``; returns the pid that leads its group."""
        output = self._scratch / f"output{next(self._numbers)}.txt"
        given = [*SMALL, *SUPERVISED]
        if self.checkpoint is not None:
            given = [*SMALL, f"sft.checkpoint={self.checkpoint}"]
        command = _merged([*given, f"launch.runs_dir={root}", *arguments])
        pid = shared().start(command, output, patch=PLANT, report=report, seeds=list(seeds), **planted)
        self._outputs[pid] = output
        return pid

    def wait(self, pid: int) -> Ended:
        """The end of a command that ends by itself."""
        code = self._runner.wait(pid, timeout_s=60)
        return Ended(code=code, text=self._outputs[pid].read_text())

    def run(self, root: Path, *arguments: str, **given: Any) -> Ended:
        """A command from its start to its end."""
        return self.wait(self.start(root, *arguments, **given))

    def kill(self, pid: int) -> None:
        """End a command and its runs, if it still goes on."""
        if self._runner.poll(pid) is None:
            os.killpg(pid, signal.SIGKILL)
            self._runner.wait(pid)


def _merged(arguments: list[str]) -> list[str]:
    """The arguments with the last of each key: a command line may name a key once."""
    return list({argument.partition("=")[0]: argument for argument in arguments}.values())


def make_lab(scratch: Path) -> Lab:
    """A lab whose sweeps all start from one supervised checkpoint, which is trained here."""
    lab = Lab(scratch)
    ended = lab.run(scratch / "start", "rl.steps=1", "sft.steps=60")
    assert ended.code == 0, ended.text
    (found,) = (scratch / "start" / schema.SFT_STORE_DIR).glob(f"*/{schema.CHECKPOINT_DIR}")
    lab.checkpoint = found
    return lab


def folder_of(root: Path, seed: int = 0, arm: str = ARM) -> Path:
    """The folder of a run."""
    return root / "clipping" / arm / f"seed{seed}"


def status_of(folder: Path) -> schema.Status:
    """Where a run that has started stands."""
    status = store.read_status(folder)
    assert status is not None, folder
    return status


def how(folder: Path) -> tuple[str, str]:
    """State and exit class of a run."""
    status = status_of(folder)
    return status.state, status.exit_class


def events(root: Path, kind: str) -> list[dict[str, Any]]:
    """The ledger's events of a kind."""
    return [row for row in read_log(root / "clipping" / schema.LEDGER_FILE) if row["event"] == kind]


def until(condition: Callable[[], Any], *, within_s: float = 30) -> Any:
    """What ``condition`` says once it says something."""
    deadline = time.monotonic() + within_s
    while not (said := condition()):
        assert time.monotonic() < deadline, "what the test waits for does not happen"
        time.sleep(0.01)
    return said


def rows(path: Path) -> list[dict[str, Any]]:
    """Whole rows of a record file that may be missing or in use."""
    return list(read_log(path)) if path.exists() else []


def check_same(root: Path, whole: Path, seed: int = 0) -> None:
    """A run is done, and its deterministic records and weights are those of the sweep without a fault."""
    assert fingerprints(folder_of(root, seed)) == fingerprints(folder_of(whole, seed))


def flip(path: Path, where: float = 0.5) -> None:
    """Change one bit of one byte."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    """Leave half of a file."""
    os.truncate(path, path.stat().st_size // 2)
