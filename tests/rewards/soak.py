"""Many runs of a mix of the corpus and of small honest programs, after which nothing may have grown.

    python -m tests.rewards.soak --runs 100000

Runs are counted by tests.  After every batch the verdicts are compared, and processes, descriptors and memory of
trainer and zygote with what they were after the first batches; at the end the host with what it was before.
"""

import argparse
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from klear_core.rewards import code
from klear_core.rewards.sandbox.pool import Sandbox
from tests.rewards import processes, programs
from tests.rewards.examine import LIMITS
from tests.rewards.host import Host

_BATCH = 400  # programs
_WARM = 3  # batches, after which nothing grows
_GROWTH_MB = 12  # of either process, by fragmentation
# Programs that last as long as a limit allows; a few of each batch are enough.
_LONG = frozenset({code.TestVerdict.TIMEOUT, code.TestVerdict.MEMORY, code.TestVerdict.OUTPUT_LIMIT})


def footprint(zygote: int) -> dict[str, float]:
    """What must not grow."""
    return {
        "descriptors": len(processes.descriptors()),
        "descriptors of the zygote": len(list(Path(f"/proc/{zygote}/fd").iterdir())),
        "children of the zygote": len(processes.children(zygote)),
        "children": len(processes.children(os.getpid())),
        "MB": _resident_mb(os.getpid()),
        "MB of the zygote": _resident_mb(zygote),
    }


def _resident_mb(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def honest(count: int, chance: random.Random) -> list[programs.Case]:
    """Programs that no cache knows."""
    (model,) = (case for case in programs.load({}) if case.name == "controls/main_guard")
    return [
        programs.Case(
            name="honest",
            source=f"{model.source}\n# {chance.random()}",
            tests=model.tests,
            expected=model.expected,
        )
        for _ in range(count)
    ]


def soak(runs: int, *, long_a_batch: int, tell=lambda text: None) -> list[str]:
    """Run so many tests; what went wrong, in words."""
    with tempfile.TemporaryDirectory(prefix="soak") as folder, Host(Path(folder)) as host:
        with Sandbox(LIMITS) as sandbox:
            wrong = _batches(sandbox, programs.load(host.planted()), runs, long_a_batch, tell)
        return wrong + host.changes()  # files in temporary folders and shared memory, too


def _batches(sandbox: Sandbox, corpus: list[programs.Case], runs: int, long_a_batch: int, tell) -> list[str]:
    chance = random.Random(5)
    quick = [case for case in corpus if not case.expected & _LONG]
    slow = [case for case in corpus if case.expected & _LONG]
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    before: dict[str, float] = {}
    batch, began = 0, time.monotonic()
    while sum(counts.values()) < runs:
        batch += 1
        cases = chance.choices(quick, k=_BATCH // 3) + chance.sample(slow, long_a_batch)
        cases += honest(_BATCH - len(cases), chance)
        chance.shuffle(cases)
        judge = code.CodeJudge(sandbox)  # without what the last one remembers
        found = judge.judge_all([(f"{case.source}\n# {k}", case.tests) for k, case in enumerate(cases)])
        for case, verdicts in zip(cases, found, strict=True):
            counts.update(verdicts)
            if not set(verdicts) <= case.expected:
                wrong.append(f"{case.name}: {''.join(verdicts)}")
        assert sandbox._zygote is not None
        now = footprint(sandbox._zygote.process.pid)
        before = now if batch <= _WARM else before
        wrong += [f"{key} grew from {before[key]} to {now[key]}" for key in now if _grew(key, before, now)]
        done = sum(counts.values())
        tell(f"{done} runs, {done / (time.monotonic() - began):.0f} a second, {dict(counts)}, {now}")
    return wrong


def _grew(key: str, before: dict[str, float], now: dict[str, float]) -> bool:
    return now[key] > before[key] + (_GROWTH_MB if key.startswith("MB") else 0)


def main() -> None:
    """Soak and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100000)
    parser.add_argument("--long", type=int, default=6, help="programs a batch that last as long as a limit allows")
    options = parser.parse_args()
    wrong = soak(options.runs, long_a_batch=options.long, tell=lambda text: print(text, flush=True))
    print(f"{len(wrong)} findings", *sorted(set(wrong))[:50], sep="\n")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
