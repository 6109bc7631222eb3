"""Where the time of an RL step at laptop scale goes: by phase, and how much of it is matrix products.

    python tests/benchmarks/split.py [--steps 6] [--updates 4 16] [--compile] [--sweep-s SECONDS]

Trains the supervised start of seed 0, then makes the same steps twice from it: once plain, for seconds by phase, and
once under torch's profiler, for the seconds inside matrix products (attention's among them).  Their quotient is the
share of a step that a faster harness could not save.  The last step before the clock starts warms up.  ``--compile``
has torch compile the training's forward and backward pass, and tells how long the step that does it takes.

``--sweep-s`` takes the wall time of ``make sweep`` on two cores and tells the share outside matrix products: from those
of its five supervised starts with their evaluations, and of 60 steps of twenty runs at 4 and twenty at 16 updates with
theirs, each measured here.
"""

import argparse
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0", HF_HUB_OFFLINE="1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from measured import Metric, tell
from torch.profiler import ProfilerActivity, profile

from ablations.evaluation import Evaluator, evaluate_step
from ablations.mixing import open_supervision
from ablations.run import compose
from ablations.tasks import load_problems
from klear_core.config import RunConfig
from klear_core.data.tasks import get_task
from klear_core.records import Verdict
from klear_core.rewards.grader import Grader, Scoring
from klear_core.rollout.engines import open_engine
from klear_core.trainer.model_folder import load_model, save_model
from klear_core.trainer.policy import build_model
from klear_core.trainer.rl import RLTrainer, StepResult
from klear_core.trainer.sft import SFTTrainer

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::_scaled_dot_product")
GRADER = Grader(Scoring(scores={verdict: float(verdict is Verdict.CORRECT) for verdict in Verdict}, soft=False))
PHASES = ("rollout_s", "reward_s", "score_s", "update_s")


def train_start(config: RunConfig, folder: Path) -> None:
    """The supervised start that the steps begin from."""
    task = get_task(config.task)
    tokenizer = task.tokenizer()
    model = build_model(config.model, tokenizer, seed=config.seed)
    examples = open_supervision(config, tokenizer, context=task.context_tokens or 0).examples
    for _ in SFTTrainer(model, tokenizer, examples, config.sft, precision=config.model.precision).steps():
        pass
    save_model(folder, model, tokenizer)


def steps(config: RunConfig, folder: Path, *, compiled: bool) -> Any:
    """The steps of a trainer that starts there."""
    model, tokenizer = load_model(folder)
    if compiled:
        model.base_model.compile(dynamic=True)  # mini-batches differ in their rows
    engine = open_engine(config.engine, model, tokenizer)
    problems = load_problems(config, "train")
    given = {"engine": engine, "grader": GRADER, "problems": problems}
    return RLTrainer(config, model=model, tokenizer=tokenizer, **given).steps()


def products_s(work: Iterable[object]) -> float:
    """Seconds that going through ``work`` spends inside matrix products."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in work:
            pass
    events = [event for event in profiler.key_averages() if event.key.startswith(PRODUCTS)]
    return sum(event.self_cpu_time_total for event in events) * 1e-6


def rest_products_s(config: RunConfig, folder: Path) -> tuple[float, float]:
    """Seconds inside matrix products of a supervised start, and of all evaluations of a run of RL."""
    model, tokenizer = load_model(folder)
    examples = open_supervision(config, tokenizer, context=128).examples
    imitation = SFTTrainer(model, tokenizer, examples, config.sft, precision=config.model.precision).steps()
    next(imitation)
    count = 30
    update_s = products_s(islice(imitation, count)) / count
    model, tokenizer = load_model(folder)
    evaluator = Evaluator(config, open_engine(config.engine, model, tokenizer), tokenizer, GRADER)
    config = dataclasses.replace(config, rl=dataclasses.replace(config.rl, steps=60))
    of_start_s = products_s(evaluator.run(split, ["t1.0"], step=0) for split in ("test", "validation"))
    of_run_s = products_s(evaluate_step(evaluator, config, step) for step in range(1, 61))
    return config.sft.steps * update_s + of_start_s, of_run_s


def main() -> None:
    """Measure, print a table, tell the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--updates", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--sweep-s", type=float, help="wall time of make sweep")
    options = parser.parse_args()
    torch.set_num_threads(1)
    metrics, inside = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        start = Path(scratch) / "start"
        for updates in options.updates:
            (config,) = compose([f"rl.updates_per_rollout={updates}", "rl.steps=1000"])
            if not start.exists():
                train_start(config, start)
            run = steps(config, start, compiled=options.compile)
            started = time.perf_counter()
            next(run)
            if options.compile:
                print(f"{updates} updates: the first step, which compiles, {time.perf_counter() - started:.1f} s")
            found: list[StepResult] = [next(run) for _ in range(options.steps)]
            phases = {name: statistics.median(one.seconds[name] for one in found) for name in PHASES}
            step_s = statistics.median(sum(one.seconds.values()) for one in found)
            run = steps(config, start, compiled=options.compile)
            next(run)
            inside[updates] = inside_s = products_s(islice(run, options.steps)) / options.steps
            told = ", ".join(f"{name[:-2]} {seconds:.3f}" for name, seconds in phases.items())
            outside = 1 - inside_s / step_s
            print(f"{updates} updates: a step {step_s:.3f} s ({told}); {outside:.0%} of it outside matrix products")
            metrics.append(
                Metric(name=f"outside products, {updates} updates", value=outside, unit="share", better="lower")
            )
            metrics += [
                Metric(name=f"{name}, {updates} updates", value=value, unit="s", better="lower", is_compared=False)
                for name, value in {**phases, "step_s": step_s}.items()
            ]
        if options.sweep_s:
            of_start_s, of_run_s = rest_products_s(config, start)
            runs_s = sum(20 * (60 * inside[updates] + of_run_s) for updates in (4, 16))
            outside = 1 - (5 * of_start_s + runs_s) / (2 * options.sweep_s)
            print(f"the clipping sweep: {outside:.0%} of the time of two processors outside matrix products")
    tell(metrics, steps=options.steps, threads=1, **({"compiled": True} if options.compile else {}))


if __name__ == "__main__":
    main()
