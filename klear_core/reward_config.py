"""The parts of a config that say how completions are graded, and what a grade is worth."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ScoresConfig:
    """What each verdict on a completion is worth; the fields are ``klear_core.records.Verdict`` in lower case."""

    correct: float
    wrong: float
    no_answer: float
    unparsable: float
    timeout: float
    missing_open: float
    missing_close: float
    bad_format: float
    truncated: float


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """What a completion earns. ``soft`` spreads a program's score from wrong to correct by the tests that it passes."""

    name: str
    note: str
    soft: bool
    group_filter: str  # off | acc: whether groups without both right and wrong completions are thrown away
    verifier: str  # exact | math_verify: how a reference answer is compared
    scores: ScoresConfig


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """How programs are isolated, and what one test may use; see ``klear_core.rewards.sandbox.limits.Limits``."""

    backend: str  # auto | native | bubblewrap
    allow_unisolated: bool
    cpu_s: float
    wall_s: float
    memory_mb: int
    output_kb: int
    stderr_kb: int
    threads: int
    open_files: int
    max_timeouts: int


@dataclass(frozen=True, kw_only=True)
class CodeFilterConfig:
    """Which training problems are left out before RL: none, those that a reference solver fails, or planted flaws.

    ``reference`` drops a problem when less than ``min_pass_rate`` of ``completions`` solutions by a solver of mean
    accuracy ``accuracy`` pass all its tests.
    """

    name: str
    rule: str  # off | reference | oracle
    accuracy: float
    completions: int
    min_pass_rate: float
