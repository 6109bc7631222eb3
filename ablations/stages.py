"""The stages a child process runs: supervised start, RL with its evaluations, and the records both leave behind."""

import random
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ablations.evaluation import Evaluator, accuracies, accuracy, evaluate_step, load_problems
from klear_core.config import RunConfig
from klear_core.data.chains import demonstrate
from klear_core.data.order import shuffled_forever
from klear_core.data.tokenizer import build_tokenizer
from klear_core.errors import HarnessError
from klear_core.records import SFTExample
from klear_core.rollout.native import NativeEngine
from klear_core.runs import provenance, schema, store
from klear_core.runs.wandb_sink import WandbSink
from klear_core.settings import to_plain
from klear_core.trainer.checkpoint import checkpoint_hash, load_checkpoint, save_checkpoint
from klear_core.trainer.policy import build_model
from klear_core.trainer.rl import RLTrainer, StepResult
from klear_core.trainer.sft import train_sft

SFT_ARM = "sft"
_CONTEXT_TOKENS = 128
_OPERATOR_NAMES = {"+": "add", "-": "sub", "*": "mul"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One child process: which stage, where it writes, and where its SFT checkpoint lies."""

    stage: str  # "sft" or "rl"
    config: RunConfig
    folder: Path
    checkpoint: Path | None  # what RL starts from; None for the SFT stage
    sft: str
    command: str
    wandb_mode: str

    @property
    def run_id(self) -> str:
        """Unique name, also in W&B."""
        return f"sft-{self.sft}" if self.stage == "sft" else self.config.run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a child tells its parent after a step."""

    step: int
    total: int
    metrics: Mapping[str, float]


Report = Callable[[Progress], None]


def run_job(job: Job, report: Report) -> None:
    """Run a stage from its start to a final manifest; what goes wrong is recorded there and raised."""
    torch.set_num_threads(1)
    with _recorded(job) as sink:
        (_run_sft if job.stage == "sft" else _run_rl)(job, sink, report)


@contextmanager
def _recorded(job: Job) -> Iterator[WandbSink]:
    """Keep the manifest true from start to end, and the W&B mirror open in between."""
    started = time.perf_counter()
    manifest = _manifest(job)
    path = job.folder / schema.MANIFEST_FILE
    store.write_json(path, manifest)
    is_sft = job.stage == "sft"
    arm = SFT_ARM if is_sft else job.config.arm
    sink = WandbSink(
        mode=job.wandb_mode,
        project=job.config.wandb.project,
        folder=job.folder,
        run_id=job.run_id,
        name=f"{arm}-s{job.config.seed}",
        group=job.config.sweep.name,
        job_type=job.stage,
        config={key: value for key, value in to_plain(job.config).items() if key not in ("launch", "wandb")}
        | {"sweep": job.config.sweep.name, "arm": arm, "seed": job.config.seed},
    )
    state, reason = "failed", ""
    try:
        yield sink
        state = "done"
    except BaseException as error:
        reason = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        raise
    finally:
        sink.finish(failed=state != "done")
        wall_s = round(time.perf_counter() - started, 3)
        store.write_json(path, replace(manifest, state=state, reason=reason, ended=provenance.utc_now(), wall_s=wall_s))


def _manifest(job: Job) -> schema.Manifest:
    config = job.config
    is_sft = job.stage == "sft"
    texts = [f"{p.prompt}{p.answer}" for split in ("train", "validation", "test") for p in load_problems(config, split)]
    if config.sft.checkpoint is not None and job.checkpoint is not None:
        texts.append(checkpoint_hash(job.checkpoint))
    return schema.Manifest(
        run_id=job.run_id,
        sweep=config.sweep.name,
        arm=SFT_ARM if is_sft else config.arm,
        treatment=SFT_ARM if is_sft else config.treatment,
        point="" if is_sft else config.point,
        seed=config.seed,
        state="running",
        reason="",
        config_hash=config.config_hash,
        data_hash=provenance.data_hash(texts),
        sft=job.sft,
        provenance=provenance.collect_provenance(command=job.command, threads=torch.get_num_threads()),
        started=provenance.utc_now(),
        ended="",
        wall_s=None,
    )


def _run_sft(job: Job, sink: WandbSink, report: Report) -> None:
    config = job.config
    tokenizer = build_tokenizer(max_length=_CONTEXT_TOKENS)
    model = build_model(config.model, tokenizer, seed=config.seed)
    examples = supervised_examples(config)
    with store.JsonLines(job.folder / schema.STEPS_FILE) as log:
        for row in train_sft(model, tokenizer, examples, config.sft):
            log.append(row)
            if row["step"] % 20 == 0 or row["step"] == config.sft.steps:
                sink.log(row, step=int(row["step"]))
                report(Progress(step=int(row["step"]), total=config.sft.steps, metrics={"loss": row["loss"]}))
    evaluator = Evaluator(config, model, tokenizer)
    rows = evaluator.run("test", ["t1.0"], step=0) + evaluator.run("validation", ["t1.0"], step=0)
    store.write_table(job.folder / schema.EVAL_FILE, rows, schema.EVAL_COLUMNS)
    sink.summarize({"test/correct": accuracy(rows, "test", "t1.0", 0)})
    save_checkpoint(job.folder / schema.CHECKPOINT_DIR, model, tokenizer)


def supervised_examples(config: RunConfig) -> Iterator[SFTExample]:
    """The teacher's demonstrations, endless: a fresh one at every visit of a problem.

    SFT is to see the teacher's distribution, not one draw of it.
    """
    pool = load_problems(config, "train")
    mistakes = {operator: getattr(config.task.teacher_mistakes, name) for operator, name in _OPERATOR_NAMES.items()}
    rng = random.Random(f"teacher/{config.seed}")
    for index in shuffled_forever(len(pool), name=f"sft/{config.seed}"):
        yield demonstrate(pool[index], mistakes=mistakes, rng=rng)


def _run_rl(job: Job, sink: WandbSink, report: Report) -> None:
    config = job.config
    assert job.checkpoint is not None
    model, tokenizer = load_checkpoint(job.checkpoint)
    engine = NativeEngine(model, tokenizer)
    evaluator = Evaluator(config, model, tokenizer)
    trainer = RLTrainer(
        config, model=model, tokenizer=tokenizer, engine=engine, problems=load_problems(config, "train")
    )
    evaluations: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    last = config.rl.steps
    try:
        with (
            store.JsonLines(job.folder / schema.STEPS_FILE) as steps,
            store.JsonLines(job.folder / schema.TIMINGS_FILE) as timings,
        ):
            for result in trainer.steps():
                step = result.metrics["step"]
                steps.append(result.metrics)
                evaluated, eval_s = evaluate_step(evaluator, config, step)
                evaluations += evaluated
                texts += _text_rows(result, config.launch.rollout_rows)
                timings.append(_timing_row(result, eval_s))
                sink.log(_numbers(result.metrics) | accuracies(evaluated), step=step)
                report(Progress(step=step, total=last, metrics=_numbers(result.metrics)))
    finally:
        # A run that fails keeps what it has measured.
        if texts:
            store.write_table(job.folder / schema.ROLLOUTS_FILE, texts, schema.ROLLOUT_COLUMNS)
        if evaluations:
            store.write_table(job.folder / schema.EVAL_FILE, evaluations, schema.EVAL_COLUMNS)
    if config.wandb.log_text:
        sink.log_texts(list(texts), step=last)
    sink.summarize(accuracies(evaluations))
    save_checkpoint(job.folder / schema.CHECKPOINT_DIR, model, tokenizer)


def _timing_row(result: StepResult, eval_s: float) -> dict[str, Any]:
    seconds = {name: round(value, 6) for name, value in result.seconds.items()}
    tokens = sum(len(c.token_ids) for group in result.rollout.groups for c in group.completions)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "step": result.metrics["step"],
        **seconds,
        "eval_s": round(eval_s, 6),
        "total_s": round(sum(seconds.values()) + eval_s, 6),
        "sampled_tokens_per_s": round(tokens / result.seconds["rollout_s"], 1),
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
                    "advantage": float(result.rollout.advantages_PG[p, g]),
                    "response_tokens": len(completion.token_ids),
                }
            )
    return rows


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}


def discard(folder: Path) -> None:
    """Remove the remains of an SFT job that did not finish; nothing else of it is ever read."""
    if folder.exists():
        shutil.rmtree(folder)
