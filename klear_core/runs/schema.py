"""Names of everything a sweep leaves on disk: files, fields and their units. Standard library only.

A sweep is one folder::

    runs/
      _sft/<hash>/                  one supervised checkpoint per (settings, seed), shared by every arm of every sweep
        config.yaml  manifest.json  status.json  steps.jsonl  eval.jsonl  eval.parquet  checkpoint/  log.txt
      <sweep>/
        plan.json                   what was to be run, and the comparison declared before the start
        ledger.jsonl                what happened, in order: starts, ends, retries, reuse
        gradient_weights.json       F(r, sign A) of every treatment on a grid of ratios
        <arm>/seed<k>/
          config.yaml  manifest.json  status.json  log.txt
          steps.jsonl  timings.jsonl  eval.jsonl  rollouts.jsonl     the records: append-only, checked line by line
          *.cut<n>.jsonl            rows that a resume has cut off and made again, kept for inspection
          eval.parquet  rollouts.parquet                             the same rows as tables, made when the run is done
          resume/                   training state of an unfinished run: two generations and ``latest``
          checkpoint/               the final model
        report/                     written by ``python -m reports <sweep>``

Each line of a ``*.jsonl`` ends with its sequence number and a checksum (``klear_core.runs.log``).  ``steps.jsonl`` and
``eval.jsonl`` hold only fields that the same command reproduces byte for byte, interrupted or not; seconds and memory
are in ``timings.jsonl``, joined by ``step``.  Undefined values (no token had an advantage, say) are NaN in both.
"""

from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 2

PLAN_FILE = "plan.json"
WEIGHTS_FILE = "gradient_weights.json"
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
RESUME_DIR = "resume"
CHECKPOINT_DIR = "checkpoint"
LOG_FILE = "log.txt"
REPORT_DIR = "report"
SFT_STORE_DIR = "_sft"

# The band in which a ratio counts as unclipped for every arm, also for those that have no band of their own.
REFERENCE_BAND = (0.8, 1.28)

# Corner name -> what it holds: sign of the advantage x side of the reference band.
CORNERS = {
    "pos_above": "A > 0 and r above the band: likely tokens of good answers; PPO-clip stops them",
    "pos_below": "A > 0 and r below the band: no clipped loss stops them",
    "neg_above": "A < 0 and r above the band: no clipped loss stops them without a dual clip",
    "neg_below": "A < 0 and r below the band: unlikely tokens of bad answers; PPO-clip stops them",
}


def _corner_fields() -> dict[str, str]:
    fields: dict[str, str] = {}
    for corner, meaning in CORNERS.items():
        fields[f"corner_{corner}_fraction"] = f"{meaning}; share of response tokens with A != 0"
        fields[f"corner_{corner}_mass"] = "sum |F A| in the corner / sum |F A|, what the loss used"
        fields[f"corner_{corner}_mass_unclipped"] = "sum |r A| in the corner / sum |r A|, what no clipping would use"
    return fields


# steps.jsonl of an RL run. "Later updates" are all updates of the step after its first (at the first, r = 1).
STEP_FIELDS: dict[str, str] = {
    "step": "rollout steps done, from 1",
    "updates": "optimizer updates done so far",
    "samples": "completions sampled so far",
    "tokens": "response tokens sampled so far",
    "learning_rate": "learning rate of the step's last update",
    "problems_hash": "hash of the problem ids of the step in order; equal over the arms of a seed",
    "reward_mean": "mean reward of the step's completions",
    "correct_fraction": "share of completions with verdict CORRECT",
    "no_answer_fraction": "share of completions with verdict NO_ANSWER or BAD_FORMAT",
    "truncated_fraction": "share of completions cut at the token cap",
    "zero_variance_groups": "share of problems whose completions all have one reward",
    "response_tokens_mean": "mean response length in tokens",
    "entropy": "mean entropy of the sampling policy per response token, nats",
    "loss": "mean loss over the step's updates",
    "grad_norm_mean": "mean gradient norm before clipping",
    "grad_norm_max": "largest gradient norm before clipping",
    "clipped_updates": "share of updates whose gradient norm was cut",
    "nonfinite_updates": "updates of the step whose loss, ratio, gradient norm or advantage was not finite",
    "skipped_updates": "updates left out for that reason so far (rl.max_skipped_updates)",
    "kept_rows": "share of completions that went through forward and backward",
    "sampler_gap_max": "largest |engine - trainer| log-probability of a sampled token, nats",
    "band_fraction": "share of response tokens with A != 0 outside the reference band, later updates",
    **_corner_fields(),
    "entropy_inside": "mean sampling entropy of tokens with A != 0 inside the band, later updates, nats",
    "entropy_outside": "the same outside the band",
    "ess": "effective sample size of the ratios / number of tokens, later updates",
    "ratio_p01": "1 % quantile of the ratio, later updates",
    "ratio_p50": "median",
    "ratio_p99": "99 % quantile",
    "ratio_max": "largest ratio",
}

SFT_STEP_FIELDS: dict[str, str] = {
    "step": "optimizer updates done, from 1",
    "loss": "mean cross-entropy per response token, nats",
    "learning_rate": "learning rate of the update",
    "grad_norm": "gradient norm before clipping",
}

TIMING_FIELDS: dict[str, str] = {
    "step": "joins steps.jsonl",
    "attempt": "the start of the run that took these seconds, from 1",
    "pid": "its process",
    "rollout_s": "sampling, seconds",
    "checkpoint_s": "saving the training state between rollout and updates, seconds",
    "reward_s": "grading, seconds",
    "score_s": "old log-probabilities under the trainer, seconds",
    "update_s": "forward, backward and optimizer, seconds",
    "eval_s": "evaluation after this step, seconds",
    "total_s": "the whole step, seconds",
    "sampled_tokens_per_s": "response tokens / rollout_s",
    "peak_rss_mb": "largest resident memory of the process so far, MiB",
}

# eval.parquet: one row per question and sample.
EVAL_COLUMNS: dict[str, str] = {
    "step": "RL step of the policy; 0 is the SFT checkpoint",
    "split": "test or validation",
    "decoding": "t1.0, t0.6_p0.95 or greedy",
    "question": "index of the question in its split, the same for every arm and seed",
    "problem_id": "stable id of the problem",
    "sample": "index of the sample",
    "answer": "reference answer",
    "extracted": "answer found in the response, empty when there is none",
    "verdict": "CORRECT, WRONG, NO_ANSWER, BAD_FORMAT or TRUNCATED",
    "correct": "verdict is CORRECT",
    "response_tokens": "length of the response, end-of-text included",
    "response": "decoded text",
}

ROLLOUT_COLUMNS: dict[str, str] = {
    "step": "RL step that sampled the completion",
    "problem_id": "stable id of the problem",
    "sample": "index within the group",
    "prompt": "text",
    "response": "decoded text",
    "reward": "number that entered the advantage",
    "verdict": "as in eval.parquet",
    "advantage": "advantage of the completion",
    "response_tokens": "length of the response, end-of-text included",
}

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
    step: int  # RL step that is evaluated


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """plan.json: the comparison as declared before any run started."""

    sweep: str
    title: str
    baseline: str | None  # a treatment
    primary: PrimaryMetric
    treatments: dict[str, str]  # treatment -> one line that says what it is, with every parameter
    points: dict[str, str]  # point -> one line that says what it is
    fixed: dict[str, str]  # what is the same in every run: label -> value, shown in the report
    floor: float | None  # accuracy of the best constant answer on the test questions
    floor_note: str
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
class Provenance:
    """Where a result comes from; holds no absolute path and no host name."""

    commit: str  # "" outside a git checkout
    dirty: bool | None  # None outside a git checkout
    source_hash: str  # of the python files of klear_core and ablations
    versions: dict[str, str]  # package -> version
    machine: dict[str, str]  # processor, cores, memory, system, python
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
