"""The stages a child process runs: the supervised start, and RL with its evaluations."""

import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ablations import devices
from ablations.attempt import Attempt, run_attempt
from ablations.evaluation import Evaluator, evaluate_step
from ablations.filtering import filter_rows, usable_problems
from ablations.grading import open_grader
from ablations.job import Job, Progress
from ablations.mirror import accuracies, is_shown, step_values
from ablations.mixing import open_supervision
from ablations.tasks import load_problems
from klear_core.data.tasks import get_task
from klear_core.errors import DataError, DivergedError
from klear_core.rewards.grader import Grader
from klear_core.rollout.engines import open_engine
from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from klear_core.trainer.model_folder import load_model, save_model
from klear_core.trainer.placing import set_recomputing
from klear_core.trainer.policy import build_model
from klear_core.trainer.rl import RLTrainer, StepResult
from klear_core.trainer.sft import SFTTrainer

Report = Callable[[Progress], None]
Rows = list[dict[str, Any]]  # of EVAL_COLUMNS


def run_job(job: Job, report: Report) -> None:
    """Run a stage to its end, from its last checkpoint where there is one; ``run_attempt`` says what is recorded."""
    devices.set_up(job.config)
    stage = {"sft": _run_start, "supervised": _run_supervised, "rl": _run_rl}[job.stage]
    run_attempt(job, lambda attempt: stage(attempt, report))


def _run_start(attempt: Attempt, report: Report) -> None:
    """A supervised start that RL runs of many sweeps share."""
    config = attempt.job.config
    tokenizer = get_task(config.task).tokenizer()
    model = build_model(config.model, tokenizer, seed=config.seed)
    _imitate(attempt, report, model, tokenizer, _Clock(attempt.number), after_step=lambda row: [])
    with open_grader(config) as grader:
        attempt.graded_by(grader.told)
        evaluator = Evaluator(config, open_engine(config.engine, model, tokenizer), tokenizer, grader)
        for split in ("test", "validation"):
            _append(attempt, schema.EVAL_LOG, evaluator.run(split, ["t1.0"], step=0))
    attempt.sink.summarize(accuracies(_rows(attempt, schema.EVAL_LOG)))
    save_model(attempt.job.folder / schema.CHECKPOINT_DIR, model, tokenizer)


def _run_supervised(attempt: Attempt, report: Report) -> None:
    """A run of its own, whose data are what is compared: evaluated on the way and at the end."""
    job, config = attempt.job, attempt.job.config
    if job.checkpoint is None:
        tokenizer = get_task(config.task).tokenizer()
        model = build_model(config.model, tokenizer, seed=config.seed)
    else:
        model, tokenizer = load_model(job.checkpoint, config.model)
    with open_grader(config) as grader:
        attempt.graded_by(grader.told)
        evaluator = Evaluator(config, open_engine(config.engine, model, tokenizer), tokenizer, grader)
        clock = _Clock(attempt.number)

        def after_step(row: Mapping[str, float]) -> Rows:
            step = int(row["step"])
            evaluated, eval_s = evaluate_step(evaluator, config, step)
            if evaluated:
                _append(attempt, schema.EVAL_LOG, evaluated)
                attempt.records(schema.TIMINGS_FILE).append(clock.row(step, eval_s))
            return evaluated

        _imitate(attempt, report, model, tokenizer, clock, after_step)
    attempt.sink.summarize(accuracies(_rows(attempt, schema.EVAL_LOG)))
    save_model(job.folder / schema.CHECKPOINT_DIR, model, tokenizer)


def _imitate(
    attempt: Attempt,
    report: Report,
    model: Any,
    tokenizer: Any,
    clock: "_Clock",
    after_step: Callable[[Mapping[str, float]], Rows],
) -> None:
    """The supervised training itself, from the last checkpoint on."""
    job, config = attempt.job, attempt.job.config
    set_recomputing(model, config.model)
    supervision = open_supervision(config, tokenizer, context=model.config.max_position_embeddings)
    before = store.read_mix(job.folder)
    if attempt.goes_on and before != supervision.mix:
        raise DataError(
            f"the mix {config.sft_mix.name} is not the one that {job.folder} was begun with, as data have changed "
            f"since; move the folder away to start over"
        )
    store.write_json(job.folder / schema.MIX_FILE, supervision.mix)
    trainer = SFTTrainer(model, tokenizer, supervision.examples, config.sft, precision=config.model.precision)
    attempt.resume(trainer)
    log = attempt.records(schema.STEPS_FILE)
    for row in clock.timed(trainer.steps()):
        log.append(row)
        step = int(row["step"])
        if not math.isfinite(row["loss"]):
            raise DivergedError(f"diverged at step {step}: the loss is {row['loss']}")
        evaluated = after_step(row)
        if evaluated or is_shown(job.stage, step, config.sft.steps):
            attempt.sink.log(step_values(row, evaluated), step=step)
            report(Progress(step=step, total=config.sft.steps, metrics={"loss": row["loss"]}))
        attempt.checkpoint(trainer)


def _run_rl(attempt: Attempt, report: Report) -> None:
    with open_grader(attempt.job.config) as grader:
        attempt.graded_by(grader.told)
        _train(attempt, report, grader)


def _train(attempt: Attempt, report: Report, grader: Grader) -> None:
    job, config = attempt.job, attempt.job.config
    assert job.checkpoint is not None
    model, tokenizer = load_model(job.checkpoint, config.model)
    set_recomputing(model, config.model)
    engine = open_engine(config.engine, model, tokenizer)
    evaluator = Evaluator(config, engine, tokenizer, grader)
    problems = load_problems(config, "train")
    usable = usable_problems(config, problems, grader.code)
    store.write_json(job.folder / schema.FILTER_FILE, filter_rows(problems, usable))
    trainer = RLTrainer(
        config,
        model=model,
        tokenizer=tokenizer,
        engine=engine,
        grader=grader,
        problems=problems,
        usable=usable,
        after_rollout=lambda: attempt.checkpoint(trainer),
    )
    attempt.resume(trainer)
    for result in trainer.steps():
        step = result.metrics["step"]
        attempt.records(schema.STEPS_FILE).append(result.metrics)
        evaluated, eval_s = evaluate_step(evaluator, config, step)
        _append(attempt, schema.EVAL_LOG, evaluated)
        _append(attempt, schema.ROLLOUTS_LOG, _text_rows(result, config.launch.rollout_rows))
        attempt.records(schema.TIMINGS_FILE).append(_timing_row(result, eval_s, attempt.number))
        attempt.sink.log(step_values(result.metrics, evaluated), step=step)
        report(Progress(step=step, total=config.rl.steps, metrics=step_values(result.metrics)))
        if not result.diverged:
            attempt.checkpoint(trainer)
    if config.wandb.log_text:
        attempt.sink.log_texts(_rows(attempt, schema.ROLLOUTS_LOG), step=config.rl.steps)
    attempt.sink.summarize(accuracies(_rows(attempt, schema.EVAL_LOG)))
    save_model(job.folder / schema.CHECKPOINT_DIR, model, tokenizer)


class _Clock:
    """Seconds and tokens of the supervised updates since the last evaluation, in this attempt."""

    def __init__(self, attempt: int) -> None:
        self._attempt = attempt
        self._update_s, self._tokens = 0.0, 0.0

    def timed(self, steps: Iterator[dict[str, float]]) -> Iterator[dict[str, float]]:
        """The same rows; only the seconds in which each is made count."""
        while True:
            started = time.perf_counter()
            row = next(steps, None)
            if row is None:
                return
            self._update_s += time.perf_counter() - started
            self._tokens += row["response_tokens"]
            yield row

    def row(self, step: int, eval_s: float) -> dict[str, Any]:
        """The row of SFT_TIMING_FIELDS after an evaluation; the next one begins here."""
        update_s, tokens = self._update_s, self._tokens
        self._update_s, self._tokens = 0.0, 0.0
        return {
            "step": step,
            "attempt": self._attempt,
            "pid": os.getpid(),
            "update_s": round(update_s, 6),
            "eval_s": round(eval_s, 6),
            "total_s": round(update_s + eval_s, 6),
            "trained_tokens_per_s": round(tokens / update_s, 1),
            "peak_rss_mb": _peak_rss_mb(),
        }


def _peak_rss_mb() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def _append(attempt: Attempt, name: str, rows: list[dict[str, Any]]) -> None:
    records = attempt.records(name)
    for row in rows:
        records.append(row)


def _rows(attempt: Attempt, name: str) -> list[Mapping[str, Any]]:
    return list(read_log(attempt.records(name).path))


def _timing_row(result: StepResult, eval_s: float, attempt: int) -> dict[str, Any]:
    seconds = {name: round(value, 6) for name, value in result.seconds.items()}
    tokens = sum(len(c.token_ids) for group in result.rollout.groups for c in group.completions)
    return {
        "step": result.metrics["step"],
        "attempt": attempt,
        "pid": os.getpid(),
        **seconds,
        "eval_s": round(eval_s, 6),
        "total_s": round(sum(seconds.values()) + eval_s, 6),
        # A rollout that came from a checkpoint was not sampled here.
        "sampled_tokens_per_s": math.nan if result.resumed else round(tokens / result.seconds["rollout_s"], 1),
        "peak_rss_mb": _peak_rss_mb(),
    }


def _text_rows(result: StepResult, limit: int) -> list[dict[str, Any]]:
    """The first ``limit`` completions of the step, whole groups first, with what was made of them."""
    rows: list[dict[str, Any]] = []
    for p, group in enumerate(result.rollout.groups):
        for g, completion in enumerate(group.completions):
            if len(rows) == limit:
                return rows
            reward = result.rollout.rewards[p][g]
            rows.append(
                {
                    "step": result.metrics["step"],
                    "problem_id": group.problem.problem_id,
                    "sample": g,
                    "prompt": group.problem.prompt,
                    "response": completion.text,
                    "reward": reward.value,
                    "verdict": str(reward.verdict),
                    "pass_rate": reward.pass_rate,
                    "tests": reward.tests,
                    "advantage": float(result.rollout.credit.advantages_PG[p, g]),
                    "response_tokens": len(completion.token_ids),
                }
            )
    return rows
