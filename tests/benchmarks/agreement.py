"""The same checkpoint asked by every engine that is installed: do the scores agree, and do greedy answers?

    python -m tests.benchmarks.agreement runs/clipping/gppo-u16/seed0/checkpoint

Each engine answers the test questions of the checkpoint's run through `ablations evaluate`, sampled and greedily; that
of vLLM in .venv-vllm. Scores are paired by question. Engines that share their random numbers draw the same answers but
for rounding; vLLM has its own, so that its scores differ by sampling. Where .venv-lighteval is there, lighteval's
pipeline asks the native engine too, and scores the answers itself.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from klear_core.runs import schema
from klear_core.runs.benchmarks import EVAL_DIR
from reports.stats import mean_interval

ROOT = Path(__file__).resolve().parents[2]
VLLM = ROOT / ".venv-vllm" / "bin" / "python"
LIGHTEVAL = ROOT / ".venv-lighteval" / "bin" / "python"
ENGINES = {"native": sys.executable, "transformers": sys.executable, "vllm": str(VLLM)}
GREEDY = ("temperature=0", "samples=1")


def evaluate(python: str, model: Path, runs: Path, name: str, settings: tuple[str, ...]) -> Path:
    """The folder of one evaluation, made by the command."""
    words = [f"model={model}", "task=laptop", f"name={name}", *settings]
    subprocess.run(
        [python, "-m", "ablations.cli", "evaluate", *words, "--runs", str(runs)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return runs / EVAL_DIR / name / "laptop"


def rows_of(model: Path, engine: str, runs: Path, name: str, settings: tuple[str, ...]) -> pd.DataFrame:
    """The stored rows of one evaluation, by question and sample."""
    folder = evaluate(ENGINES[engine], model, runs, name, (f"engine={engine}", *settings))
    table = pd.read_parquet(folder / schema.EVAL_FILE)
    return table.sort_values(["question", "sample"], ignore_index=True)


def tell_lighteval(model: Path, runs: Path, samples: int, drawn: pd.DataFrame) -> None:
    """The score of lighteval's pipeline, and how many of its answers are those of the native engine."""
    settings = (f"samples={samples}", "backend=lighteval")
    folder = evaluate(str(LIGHTEVAL), model, runs, "lighteval", settings)
    kept = json.loads((folder / "lighteval.json").read_text())
    same = sum(
        text == own
        for problem, rows in drawn.groupby("problem_id")
        for text, own in zip(kept["texts"][problem], rows["response"], strict=True)
    )
    mean = kept["scores"][f"avg@n:n={samples}"]
    print(f"lighteval: avg@{samples} {mean:.4f} by its own scorer; same sampled answers {same / len(drawn):.1%}")


def main() -> None:
    """Print one line for each engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="checkpoint folder of a run")
    parser.add_argument("--samples", type=int, default=8, help="answers to each question")
    arguments = parser.parse_args()
    model, sampled = arguments.model.resolve(), (f"samples={arguments.samples}",)
    installed = [engine for engine in ENGINES if Path(ENGINES[engine]).exists()]
    with TemporaryDirectory(prefix="agreement-") as folder:
        runs = Path(folder)
        found = {
            engine: (
                rows_of(model, engine, runs, f"{engine}-sampled", sampled),
                rows_of(model, engine, runs, f"{engine}-greedy", GREEDY),
            )
            for engine in installed
        }
        if LIGHTEVAL.exists():
            tell_lighteval(model, runs, arguments.samples, found["native"][0])
    drawn, greedy = found["native"]
    rates_Q = drawn.groupby("question")["correct"].mean().to_numpy(float)
    print(f"native: avg@{arguments.samples} {rates_Q.mean():.4f} over {len(rates_Q)} questions")
    for engine, (others, greedy_others) in found.items():
        if engine == "native":
            continue
        gaps_Q = others.groupby("question")["correct"].mean().to_numpy(float) - rates_Q
        gap = mean_interval(gaps_Q)
        same = np.mean(others["response"].to_numpy() == drawn["response"].to_numpy())
        same_greedy = np.mean(greedy_others["response"].to_numpy() == greedy["response"].to_numpy())
        print(
            f"{engine}: avg@{arguments.samples} {rates_Q.mean() + gap.value:.4f}, {gap.value:+.4f} "
            f"[{gap.low:+.4f}, {gap.high:+.4f}] against native, paired by question; same sampled answers "
            f"{same:.1%}, same greedy answers {same_greedy:.1%} of {len(greedy)}"
        )


if __name__ == "__main__":
    main()
