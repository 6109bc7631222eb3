"""What a plan will cost: disk from the settings, time and memory from a short measured probe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablations import machine_limits
from ablations.decide import Action, Decision, Start
from ablations.probe import Measured
from klear_core.config import RunConfig
from klear_core.errors import RunStoreError
from klear_core.trainer.model_folder import checkpoint_folder

# Bytes, rounded up from stored runs of the laptop scale.
_STEP_ROW = 2_600  # steps.jsonl, timings.jsonl and the offline mirror of both
_SFT_ROW = 320  # steps.jsonl and the offline mirror of supervised training
_EVAL_ROW = 360  # eval.jsonl and its table, with a response of a few dozen tokens
_TEXT_ROW = 420
_FEW_DOZEN, _TOKEN = 64, 8  # tokens; bytes of each further one, in the records and in the table
_FIXED = 400_000  # config, manifest, log, tokenizer, the mirror's own files
_GENERATIONS = 3  # of checkpoints: two kept and one being written
# Bytes of a parameter: weight, moments, and the float32 master or the kept error; and of the final model's weights.
_STATE = {"float32": 4 + 8, "bf16_master": 2 + 8 + 4, "bf16_kahan": 2 + 8 + 2}
_WEIGHT = {"float32": 4, "bf16_master": 2, "bf16_kahan": 2}

_VOCABULARY = 96  # tokens; more than any task has


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the runs that are to be done will take; ``seconds`` leaves out imports and the report."""

    seconds: float
    sft_s: float  # one supervised start
    run_s: dict[str, float]  # operating point -> one run
    peak_mb: float  # one process
    gpu_mb: float  # one process on a GPU, else 0
    disk_bytes: int  # at most


def estimate(decisions: Sequence[Decision], starts: Sequence[Start], measured: Measured, *, slots: int) -> Estimate:
    """Time from the probe's figures, runs side by side on ``slots``; a run that goes on counts whole."""
    open_runs = [d for d in decisions if d.action in (Action.NEW, Action.CONTINUE)]
    open_starts = [start for start in starts if start.action is not Action.REUSE]
    config = decisions[0].config
    per_token = 1 / measured.tokens_per_s
    length = measured.response_tokens
    ev = config.eval
    start_answers = ev.test_questions * ev.test_samples + ev.validation_questions * ev.validation_samples
    sft_s = measured.startup_s + config.sft.steps * measured.sft_update_s + start_answers * length * per_token
    run_s = {}
    for each in (decision.config for decision in decisions):
        step_s = measured.train_s[each.point] + (measured.rollout_s if each.stage == "rl" else 0.0)
        answers_s = num_answers(each) * length * per_token
        run_s[each.point] = measured.startup_s + each.final_step * step_s + answers_s
    # The supervised starts come first, and the last batch of either may not fill the slots.
    rounds_s = _rounds(len(open_starts), slots) * sft_s
    by_point = [sum(decision.config.point == point for decision in open_runs) * run_s[point] for point in run_s]
    longest = max(run_s.values(), default=0.0) if open_runs else 0.0
    return Estimate(
        seconds=rounds_s + max(sum(by_point) / slots, longest),
        sft_s=sft_s,
        run_s=run_s,
        peak_mb=measured.peak_mb,
        gpu_mb=measured.gpu_mb,
        disk_bytes=disk_needed(decisions, starts),
    )


def _rounds(count: int, slots: int) -> int:
    return -(-count // slots)


def disk_needed(decisions: Sequence[Decision], starts: Sequence[Start]) -> int:
    """Most bytes that the runs which are to be done will have on the disk."""
    needed = sum(disk_bytes(d.config) for d in decisions if d.action in (Action.NEW, Action.CONTINUE))
    return needed + sum(sft_disk_bytes(start.config) for start in starts if start.action is not Action.REUSE)


def check_disk(runs_dir: Path, decisions: Sequence[Decision], starts: Sequence[Start]) -> None:
    """RunStoreError unless the disk of ``runs_dir`` holds what the runs will write at most."""
    needed, free = disk_needed(decisions, starts), machine_limits.free_disk(runs_dir)
    if needed > free:
        raise RunStoreError(
            f"the runs need up to {needed / 1e6:,.0f} MB of disk, and {runs_dir} has {free / 1e6:,.0f} MB free; "
            f"free some, or set launch.runs_dir"
        )


def num_answers(config: RunConfig) -> int:
    """Answers that the evaluations of one run sample."""
    ev = config.eval
    validations = config.final_step // ev.validation_every + bool(config.final_step % ev.validation_every)
    return validations * ev.validation_questions * ev.validation_samples + ev.test_questions * (2 * ev.test_samples + 1)


def disk_bytes(config: RunConfig) -> int:
    """Most bytes that one run has on the disk at a time."""
    rl = config.rl
    asked = num_answers(config)
    longer = _longer(config)
    if config.stage == "sft":
        rows = config.sft.steps * _SFT_ROW + asked * (_EVAL_ROW + longer)
        return rows + _weights_bytes(config) + _FIXED
    texts = rl.steps * min(config.launch.rollout_rows, rl.problems_per_step * rl.completions_per_problem)
    rollout = rl.problems_per_step * rl.completions_per_problem * rl.max_response_tokens * 24 * 3
    rows = rl.steps * _STEP_ROW + asked * (_EVAL_ROW + longer) + texts * (_TEXT_ROW + longer)
    return rows + rollout + _weights_bytes(config) + _FIXED


def sft_disk_bytes(config: RunConfig) -> int:
    """Most bytes that one supervised start has on the disk at a time."""
    asked = config.eval.test_questions * config.eval.test_samples
    asked += config.eval.validation_questions * config.eval.validation_samples
    rows = config.sft.steps * _SFT_ROW + asked * (_EVAL_ROW + _longer(config))
    return rows + _weights_bytes(config) + _FIXED


def _weights_bytes(config: RunConfig) -> int:
    """Checkpoints of one run and its final model."""
    precision = config.model.precision
    return (_GENERATIONS * _STATE[precision] + _WEIGHT[precision]) * num_parameters(config)


def _longer(config: RunConfig) -> int:
    """Bytes by which a row with the longest response is larger than one of a few dozen tokens."""
    return _TOKEN * max(0, config.rl.max_response_tokens - _FEW_DOZEN)


def num_parameters(config: RunConfig, vocabulary: int = _VOCABULARY) -> int:
    """Parameters of the configured model with tied embeddings; those of a given checkpoint folder by its files."""
    if config.sft.checkpoint is not None:
        return sum(path.stat().st_size for path in checkpoint_folder(config.sft.checkpoint).glob("*.safetensors")) // 2
    m = config.model
    attention = m.hidden_size * m.head_dim * (2 * m.num_heads + 2 * m.num_kv_heads) + 2 * m.head_dim
    layer = attention + 3 * m.hidden_size * m.intermediate_size + 2 * m.hidden_size
    return vocabulary * m.hidden_size + m.num_layers * layer + m.hidden_size
