"""Names of everything a sweep leaves on disk: files, fields and their units. Standard library only.

A sweep is one folder::

    runs/
      _sft/<hash>/                  one supervised checkpoint per (settings, seed), shared by every arm of every sweep
        config.yaml  manifest.json  status.json  steps.jsonl  eval.jsonl  eval.parquet  checkpoint/  log.txt
      _filter/<hash>/               shares.json: how often a reference solver solved each training problem
      <sweep>/
        plan.json                   what was to be run, and the comparison declared before the start
        ledger.jsonl                what happened, in order: starts, ends, retries, reuse
        gradient_weights.json       F(r, sign A) of every treatment on a grid of ratios
        identities.json             in a sweep of controls: what must agree exactly on one stored batch, and whether it does
        identity_batch.safetensors  that batch: tokens, masks, log-probabilities of two policies, advantages
        <arm>/seed<k>/
          config.yaml  manifest.json  status.json  log.txt
          steps.jsonl  timings.jsonl  eval.jsonl  rollouts.jsonl     the records: append-only, checked line by line
          *.cut<n>.jsonl            rows that a resume has cut off and made again, kept for inspection
          eval.parquet  rollouts.parquet                             the same rows as tables, made when the run is done
          filter.json               training problems kept and dropped, by difficulty and planted flaw
          mix.json                  what supervised training imitated, in a run (or a start) that had some
          resume/                   training state of an unfinished run: two generations and ``latest``
          checkpoint/               the final model
        report/                     written by ``python -m reports <sweep>``

Each line of a ``*.jsonl`` ends with its sequence number and a checksum (``klear_core.runs.log``).  ``steps.jsonl`` and
``eval.jsonl`` hold only fields that the same command reproduces byte for byte, interrupted or not; seconds and memory
are in ``timings.jsonl``, joined by ``step``.  Undefined values (no token had an advantage, say) are NaN in both.
"""

from dataclasses import dataclass, field
from typing import Any

from klear_core.runs.fields import (
    CORNERS,
    EVAL_COLUMNS,
    EVAL_TYPES,
    LATER_STEP_FIELDS,
    REFERENCE_BAND,
    ROLLOUT_COLUMNS,
    SFT_STEP_FIELDS,
    SFT_TIMING_FIELDS,
    STEP_FIELDS,
    TIMING_FIELDS,
)

__all__ = [
    "CORNERS",
    "EVAL_COLUMNS",
    "EVAL_TYPES",
    "LATER_STEP_FIELDS",
    "REFERENCE_BAND",
    "ROLLOUT_COLUMNS",
    "SFT_STEP_FIELDS",
    "SFT_TIMING_FIELDS",
    "STEP_FIELDS",
    "TIMING_FIELDS",
]

SCHEMA_VERSION = 4

PLAN_FILE = "plan.json"
WEIGHTS_FILE = "gradient_weights.json"
IDENTITIES_FILE = "identities.json"
IDENTITY_BATCH_FILE = "identity_batch.safetensors"
CONFIG_FILE = "config.yaml"
LEDGER_FILE = "ledger.jsonl"
LOCK_FILE = ".lock"
MANIFEST_FILE = "manifest.json"
STATUS_FILE = "status.json"
STEPS_FILE = "steps.jsonl"
TIMINGS_FILE = "timings.jsonl"
EVAL_LOG = "eval.jsonl"
ROLLOUTS_LOG = "rollouts.jsonl"
EVAL_FILE = "eval.parquet"
ROLLOUTS_FILE = "rollouts.parquet"
FILTER_FILE = "filter.json"
MIX_FILE = "mix.json"
SHARES_FILE = "shares.json"
RESUME_DIR = "resume"
CHECKPOINT_DIR = "checkpoint"
LOG_FILE = "log.txt"
REPORT_DIR = "report"
SFT_STORE_DIR = "_sft"
FILTER_STORE_DIR = "_filter"

# What ``state`` of a status may hold, and ``exit_class`` beside it (empty while the run goes on).
STATES = ("running", "done", "failed", "interrupted")
EXIT_CLASSES = {
    "ok": "the run is done",
    "config_error": "a setting that only the run itself could refuse",
    "data_error": "an input file, a checkpoint or a prompt without the promised form",
    "oom": "more memory was asked for than there is, or than launch.memory_limit_mb allows",
    "diverged": "a loss, a ratio, a gradient norm or an advantage is not finite: an outcome, not a crash",
    "killed": "ended from outside: a signal, a stop request, launch.time_limit_s",
    "infrastructure": "disk, file system or process trouble around the run",
    "bug": "anything else, crashes of native code included",
}

# What ``state`` of an identity may hold.
IDENTITY_STATES = {
    "passed": "the largest difference is within the tolerance",
    "failed": "it is not",
    "not exercised": "the batch has no token in some piece of the gradient weight, so that nothing was tested there",
}


# mix.json: of the task's own teacher the name alone; else also the hash over all demonstrations before those that are too
# long are left out, what each step did (name, before, after, details), how many demonstrations and prompts are left, how
# many were too long, and the counts ([{value, count}]) of four fields of what is left.
MIX_FIELDS: dict[str, type] = {
    "name": str,
    "content_hash": str,
    "steps": list,
    "examples": int,
    "prompts": int,
    "too_long": int,
    "max_tokens": int,
    **dict.fromkeys(("source", "teacher", "difficulty", "is_correct"), list),
}

# Record file -> the table that a done run has of it, and its columns.
TABLES = ((EVAL_LOG, EVAL_FILE, tuple(EVAL_COLUMNS)), (ROLLOUTS_LOG, ROLLOUTS_FILE, tuple(ROLLOUT_COLUMNS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run of a plan; ``arm`` = treatment and operating point, all that varies but the seed."""

    arm: str
    treatment: str  # the compared choice: an objective in sweep=clipping
    point: str  # the operating point, "" when the sweep has one only
    seed: int
    folder: str  # relative to the sweep folder
    run_id: str
    sft: str  # key of the shared SFT checkpoint under runs/_sft, "" when a checkpoint folder was given
    other_code: str = ""  # source hash of the code that made a reused run, where it is not that of the plan


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryMetric:
    """The metric that the sweep declared before its start; everything else in a report is secondary."""

    metric: str  # "avg@8"
    split: str  # "test"
    decoding: str  # "t1.0"
    step: int  # that is evaluated: the last one of RL, or of supervised training where no RL follows


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Accuracy of the best answer that does not read the test questions, with a line that names it."""

    accuracy: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """plan.json: the comparison as declared before any run started."""

    sweep: str
    title: str
    stage: str  # of its runs: rl, or sft where no RL follows supervised training
    baseline: str | None  # a treatment
    primary: PrimaryMetric
    treatments: dict[str, str]  # treatment -> one line that says what it is, with every parameter
    points: dict[str, str]  # point -> one line that says what it is
    fixed: dict[str, str]  # what is the same in every run: label -> value, shown in the report
    floors: dict[str, Floor]  # by point
    runs: list[PlannedRun]
    command: str
    created: str  # ISO 8601, UTC
    schema_version: int = SCHEMA_VERSION
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightCurves:
    """F(r, A) of one treatment on the grid of ratios, for both signs of A."""

    positive: list[float]
    negative: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientWeights:
    """gradient_weights.json: the curves of every treatment."""

    ratios: list[float]
    weights: dict[str, WeightCurves]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityCheck:
    """One row of identities.json: two computations that must agree, and how far they are apart."""

    name: str  # of the check, such as "gradient per token"; one row an objective and a dtype
    objective: str  # a preset of sweeps/objective; "" where the row is about no single one
    compared: str  # the two sides, in words
    dtype: str  # float32 | float64
    tokens: int  # response tokens with A != 0 that entered
    pieces: dict[str, int]  # tokens in each piece of F that clipping or bounding makes, such as "A>0, r>1.28"
    difference: float  # the largest, relative where the reference passes 1 in size; NaN where nothing was compared
    tolerance: float  # the largest that passes
    state: str  # one of IDENTITY_STATES
    note: str  # why it is not exercised, and what a reader has to know of how it was measured; "" for nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """identities.json: checks on one rollout of a start, between its policy (old) and a trained one (new)."""

    problem: str  # why there are no checks; "" when there are
    source: str  # hash of the code that made it
    start: str  # what sampled the batch: the key of a supervised start, or the folder's name that was given
    policy: str  # run_id of the run whose final model is the new policy
    tokens: int  # of the batch: response tokens with A != 0
    corners: dict[str, int]  # how many of them in each of CORNERS, outside REFERENCE_BAND
    checks: list[IdentityCheck]
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a result comes from; holds no absolute path and no host name."""

    commit: str  # "" outside a git checkout
    dirty: bool | None  # None outside a git checkout
    source_hash: str  # of the python files of klear_core and ablations
    versions: dict[str, str]  # package -> version
    machine: dict[str, str]  # processor, cores, memory, system, python, and the gpu of a run on one
    threads: int
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """manifest.json: what one run is, written when it starts; ``Status`` says where it stands."""

    run_id: str
    sweep: str
    arm: str
    treatment: str
    point: str
    seed: int
    identity: str  # hash of config hash and source hash
    config_hash: str
    data_hash: str  # of the prompts and answers of all splits that the run uses
    sft: str
    grading: str  # how programs were isolated and answers compared
    provenance: Provenance  # of the last attempt
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process, named so that a later one of the same number is not taken for it."""

    pid: int
    process_start: str  # clock ticks since boot, "" where the system does not tell
    boot_id: str  # of the machine's current uptime, "" where the system does not tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """status.json: where one run stands; replaced whole at its start and at its end."""

    run_id: str
    identity: str
    state: str  # one of STATES
    attempt: int  # starts so far, from 1
    exit_class: str  # one of EXIT_CLASSES, "" while running
    reason: str  # why it ended, "" when done
    owner: Owner  # of the attempt
    started: str  # of the attempt, ISO 8601, UTC
    ended: str  # "" while running
    wall_s: float  # seconds of all attempts whose end was seen, imports left out
    sources: list[str]  # source hashes of the code that made the rows, in order; one unless reuse=any_code
    resumed_step: int | None = None  # steps that the attempt took over from a checkpoint; None from the start
    mirror: str = ""  # why the W&B mirror is not complete, as it is not before it is closed; "" when it is
    schema_version: int = SCHEMA_VERSION
