"""Code reward: what each test of a program says, and the share of tests that it passes."""

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum

from klear_core.records import CodeTests, TestKind
from klear_core.rewards.outputs import same_text, same_value
from klear_core.rewards.sandbox.limits import INFRASTRUCTURE, Ended, Program, TestRun
from klear_core.rewards.sandbox.pool import Sandbox

_BATCH = 256  # programs whose outputs are in memory at once
_CACHED = 200_000  # programs; a set of verdicts takes some 300 bytes
_BLOCK = re.compile(
    r"^[ \t]*```[ \t]*(?:python|py|python3)?[ \t]*\r?\n(.*?)^[ \t]*```[ \t]*\r?$",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)


class TestVerdict(StrEnum):
    """What one test says about a program; the value is its letter in records."""

    PASS = "P"
    WRONG = "W"
    RUNTIME_ERROR = "R"  # an exception, an exit code, a signal, too many threads, a value that is no plain data
    TIMEOUT = "T"  # CPU limit, or asleep at the wall limit; also the tests after too many timeouts
    MEMORY = "M"
    OUTPUT_LIMIT = "O"
    INFRASTRUCTURE = "I"  # the grading failed twice; says nothing about the program


_OF_ENDED = {
    Ended.FAILED: TestVerdict.RUNTIME_ERROR,
    Ended.THREADS: TestVerdict.RUNTIME_ERROR,
    Ended.CPU: TestVerdict.TIMEOUT,
    Ended.ASLEEP: TestVerdict.TIMEOUT,
    Ended.NOT_RUN: TestVerdict.TIMEOUT,
    Ended.MEMORY: TestVerdict.MEMORY,
    Ended.OUTPUT: TestVerdict.OUTPUT_LIMIT,
    **dict.fromkeys(INFRASTRUCTURE, TestVerdict.INFRASTRUCTURE),
}

Verdicts = tuple[TestVerdict, ...]


def judge(run: TestRun, expected: str, kind: TestKind) -> TestVerdict:
    """The verdict of one test; only here does an output meet what was expected."""
    if run.ended is not Ended.ANSWERED:
        return _OF_ENDED[run.ended]
    same = same_text if kind is TestKind.STDIN else same_value
    return TestVerdict.PASS if same(run.output, expected) else TestVerdict.WRONG


def pass_rate(verdicts: Verdicts) -> float:
    """Share of tests passed: the p of the soft reward."""
    return sum(verdict is TestVerdict.PASS for verdict in verdicts) / len(verdicts)


def extract_program(text: str) -> str:
    """The last fenced block of ``text``, "" when there is none."""
    blocks = _BLOCK.findall(text)
    return str(blocks[-1]) if blocks else ""


class CodeJudge:
    """Runs programs against their tests in a sandbox; the same program at the same tests is run once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.runs = 0  # programs that were run, for the records
        self._cache: OrderedDict[bytes, Verdicts] = OrderedDict()

    def judge_all(self, submissions: Sequence[tuple[str, CodeTests]]) -> list[Verdicts]:
        """Verdicts of every program's tests, in order. What the machine has failed is not remembered."""
        keys = [_key(source, tests) for source, tests in submissions]
        unknown = {key: k for k, key in enumerate(keys) if key not in self._cache}
        fresh: dict[bytes, Verdicts] = {}
        items = [*unknown.items()]
        # A batch at a time, as outputs are held until they are judged, and programs may print up to their limit.
        for at in range(0, len(items), _BATCH):
            batch = {key: submissions[k] for key, k in items[at : at + _BATCH]}
            fresh |= self._judge_batch(batch)
        found = [fresh[key] if key in fresh else self._cache[key] for key in keys]
        for key, verdicts in fresh.items():
            if TestVerdict.INFRASTRUCTURE not in verdicts:
                self._cache[key] = verdicts
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return found

    def _judge_batch(self, batch: dict[bytes, tuple[str, CodeTests]]) -> dict[bytes, Verdicts]:
        answers = self.sandbox.run_all([_program(source, tests) for source, tests in batch.values()])
        self.runs += len(batch)
        return {
            key: tuple(judge(run, expected, tests.kind) for run, expected in zip(runs, tests.outputs, strict=True))
            for (key, (_, tests)), runs in zip(batch.items(), answers, strict=True)
        }


def _program(source: str, tests: CodeTests) -> Program:
    return Program(source=source, entry=tests.entry, inputs=tests.inputs)


def _key(source: str, tests: CodeTests) -> bytes:
    parts = [source, tests.kind, tests.entry, *tests.inputs, *tests.outputs]
    return hashlib.sha256(json.dumps(parts).encode()).digest()
