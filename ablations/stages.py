"""The stages a child process runs: the supervised start, and RL with its evaluations."""

import math
import os
import random
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from ablations.attempt import Attempt, run_attempt
from ablations.evaluation import Evaluator, evaluate_step
from ablations.filtering import filter_rows, usable_problems
from ablations.grading import open_grader
from ablations.job import Job, Progress
from ablations.mirror import accuracies, is_shown, step_values
from ablations.tasks import load_problems
from klear_core.config import RunConfig
from klear_core.data.order import shuffled_forever
from klear_core.data.tasks import get_task
from klear_core.records import SFTExample
from klear_core.rewards.grader import Grader
from klear_core.rollout.native import NativeEngine
from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from klear_core.trainer.model_folder import load_model, save_model
from klear_core.trainer.policy import build_model
from klear_core.trainer.rl import RLTrainer, StepResult
from klear_core.trainer.sft import SFTTrainer

Report = Callable[[Progress], None]


def run_job(job: Job, report: Report) -> None:
    """Run a stage to its end, from its last checkpoint where there is one; ``run_attempt`` says what is recorded."""
    torch.set_num_threads(1)
    stage = _run_sft if job.stage == "sft" else _run_rl
    run_attempt(job, lambda attempt: stage(attempt, report))


def _run_sft(attempt: Attempt, report: Report) -> None:
    config = attempt.job.config
    tokenizer = get_task(config.task).tokenizer()
    model = build_model(config.model, tokenizer, seed=config.seed)
    trainer = SFTTrainer(model, tokenizer, lambda start: supervised_examples(config, start), config.sft)
    attempt.resume(trainer)
    log = attempt.records(schema.STEPS_FILE)
    for row in trainer.steps():
        log.append(row)
        step = int(row["step"])
        if is_shown("sft", step, config.sft.steps):
            attempt.sink.log(row, step=step)
            report(Progress(step=step, total=config.sft.steps, metrics={"loss": row["loss"]}))
        attempt.checkpoint(trainer)
    with open_grader(config) as grader:
        attempt.graded_by(grader.told)
        evaluator = Evaluator(config, model, tokenizer, grader)
        for split in ("test", "validation"):
            _append(attempt, schema.EVAL_LOG, evaluator.run(split, ["t1.0"], step=0))
    attempt.sink.summarize(accuracies(_rows(attempt, schema.EVAL_LOG)))
    save_model(attempt.job.folder / schema.CHECKPOINT_DIR, model, tokenizer)


def supervised_examples(config: RunConfig, start: int = 0) -> Iterator[SFTExample]:
    """The teacher's demonstrations from visit ``start`` on, endless: a fresh one at every visit of a problem.

    SFT is to see the teacher's distribution, not one draw of it. Each depends on (seed, visit) only.
    """
    task, pool = get_task(config.task), load_problems(config, "train")
    order = shuffled_forever(len(pool), name=f"sft/{config.seed}", start=start)
    for visit, index in enumerate(order, start=start):
        yield task.demonstrate(pool[index], random.Random(f"teacher/{config.seed}/{visit}"))


def _run_rl(attempt: Attempt, report: Report) -> None:
    with open_grader(attempt.job.config) as grader:
        attempt.graded_by(grader.told)
        _train(attempt, report, grader)


def _train(attempt: Attempt, report: Report, grader: Grader) -> None:
    job, config = attempt.job, attempt.job.config
    assert job.checkpoint is not None
    model, tokenizer = load_model(job.checkpoint)
    evaluator = Evaluator(config, model, tokenizer, grader)
    problems = load_problems(config, "train")
    usable = usable_problems(config, problems, grader.code)
    store.write_json(job.folder / schema.FILTER_FILE, filter_rows(problems, usable))
    trainer = RLTrainer(
        config,
        model=model,
        tokenizer=tokenizer,
        engine=NativeEngine(model, tokenizer),
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


def _append(attempt: Attempt, name: str, rows: list[dict[str, Any]]) -> None:
    records = attempt.records(name)
    for row in rows:
        records.append(row)


def _rows(attempt: Attempt, name: str) -> list[Mapping[str, Any]]:
    return list(read_log(attempt.records(name).path))


def _timing_row(result: StepResult, eval_s: float, attempt: int) -> dict[str, Any]:
    seconds = {name: round(value, 6) for name, value in result.seconds.items()}
    tokens = sum(len(c.token_ids) for group in result.rollout.groups for c in group.completions)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "step": result.metrics["step"],
        "attempt": attempt,
        "pid": os.getpid(),
        **seconds,
        "eval_s": round(eval_s, 6),
        "total_s": round(sum(seconds.values()) + eval_s, 6),
        # A rollout that came from a checkpoint was not sampled here.
        "sampled_tokens_per_s": math.nan if result.resumed else round(tokens / result.seconds["rollout_s"], 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1),
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
