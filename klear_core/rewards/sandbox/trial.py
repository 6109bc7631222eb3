"""One program on its way through its tests: which guest comes next, and what came of those that ended."""

import os
from collections.abc import Sequence

from klear_core.rewards.sandbox import wire
from klear_core.rewards.sandbox.limits import INFRASTRUCTURE, Ended, Limits, Program, TestRun
from klear_core.rewards.sandbox.watch import Watch

_ATTEMPTS = 2
_TIMEOUTS = (Ended.CPU, Ended.ASLEEP)


class Trial:
    """A whole program gets a guest a test. A function gets one for all its calls, and another one for the rest after
    a call that ended its guest. A test that the machine has failed is repeated once.
    """

    def __init__(self, program: Program, limits: Limits) -> None:
        self.runs: list[TestRun] = []
        self._program = program
        self._limits = limits
        self._attempt = 1  # at the test that comes next

    @property
    def is_done(self) -> bool:
        """Whether every test has its run."""
        return len(self.runs) == len(self._program.inputs)

    def next(self) -> tuple[Watch, list[int]]:
        """A guest for the tests that come next: what watches it, and the descriptors to start it with."""
        program, at = self._program, len(self.runs)
        arguments = program.inputs[at:] if program.entry else ()
        watch = Watch(self._limits, calls=len(arguments))
        job = wire.job_file(program.source, program.entry, arguments, self._limits)
        if program.entry:
            stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        else:
            stdin = wire.anonymous_file("stdin", program.inputs[at].encode("utf-8", "surrogatepass"))
        return watch, [job, stdin, *watch.ends]

    def give_up(self, run: TestRun) -> None:
        """Nothing more can be run: every test without a run gets ``run``."""
        self.runs += [run] * (len(self._program.inputs) - len(self.runs))

    def take(self, runs: Sequence[TestRun]) -> None:
        """What came of a guest, nothing when it was lost before any answer."""
        for run in runs:
            if run.ended in INFRASTRUCTURE and self._attempt < _ATTEMPTS:
                self._attempt += 1
                return
            self._attempt = 1
            self.runs.append(run)
        if sum(run.ended in _TIMEOUTS for run in self.runs) >= self._limits.max_timeouts:
            none = TestRun(ended=Ended.NOT_RUN, output=b"", error="after too many timeouts", cpu_s=0.0, wall_s=0.0)
            self.give_up(none)
