"""Where the time of an RL step at laptop scale goes: by phase, and how much of it is matrix products.

    python tests/benchmarks/split.py [--steps 6] [--updates 4 16] [--compile]

Trains the supervised start of seed 0, then makes the same steps twice from it: once plain, for seconds by phase, and
once under torch's profiler, for the seconds inside matrix products (attention's among them).  Their quotient is the
share of a step that a faster harness could not save.  The last step before the clock starts warms up.  ``--compile``
has torch compile the training's forward and backward pass, and tells how long the step that does it takes.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0", HF_HUB_OFFLINE="1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from measured import Metric, tell
from torch.profiler import ProfilerActivity, profile

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
    graded = Grader(Scoring(scores={verdict: float(verdict is Verdict.CORRECT) for verdict in Verdict}, soft=False))
    engine = open_engine(config.engine, model, tokenizer)
    problems = load_problems(config, "train")
    given = {"engine": engine, "grader": graded, "problems": problems}
    return RLTrainer(config, model=model, tokenizer=tokenizer, **given).steps()


def products_s(config: RunConfig, folder: Path, count: int, *, compiled: bool) -> float:
    """Seconds inside matrix products, a step."""
    run = steps(config, folder, compiled=compiled)
    next(run)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(count):
            next(run)
    events = [event for event in profiler.key_averages() if event.key.startswith(PRODUCTS)]
    return sum(event.self_cpu_time_total for event in events) * 1e-6 / count


def main() -> None:
    """Measure, print a table, tell the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--updates", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    metrics = []
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
            inside_s = products_s(config, start, options.steps, compiled=options.compile)
            told = ", ".join(f"{name[:-2]} {seconds:.3f}" for name, seconds in phases.items())
            outside = 1 - inside_s / step_s
            print(f"{updates} updates: a step {step_s:.3f} s ({told}); {outside:.0%} of it outside matrix products")
            metrics.append(
                Metric(name=f"outside products, {updates} updates", value=outside, unit="share", better="lower")
            )
    tell(metrics, steps=options.steps, threads=1, **({"compiled": True} if options.compile else {}))


if __name__ == "__main__":
    main()
