"""Sampled tokens a second of the native engine beside transformers' generate, idle and beside busy processes.

    python tests/benchmarks/rollout.py
    python tests/benchmarks/rollout.py --hog
    python tests/benchmarks/rollout.py --continuous      # its continuous batching too; on a CPU that needs psutil
    python tests/benchmarks/rollout.py --device cuda     # on a GPU; ours with CUDA graphs too

Workloads, all prompts chains of four terms, eight completions each, float32, temperature 1: 512 rows under a model
of 0.86M parameters (hidden 128, inner 384, 4 layers, 4 heads of 32, vocabulary 30), 256 rows under that of the laptop
scale (hidden 64, inner 192, 2 layers, 4 heads of 16).  Its weights are drawn, and all rows are sampled to 24 tokens,
about what a trained policy answers, or, ``ending``, each to its end of text, which such a model draws early and late,
or to 48 tokens; or they are ``trained`` on demonstrations first, as every policy is when RL begins: then completions
of a problem begin alike, which ours computes once.  The engine returns log-probabilities, entropies and texts,
``generate`` tokens only.

Each side is a process of its own that waits while another one samples; the sides take turns in every round, and a ratio
is the median over the rounds.  ``generate`` runs with the threads and the waiting of ours, by default one thread as in
a run of the harness; ``generate, own threads`` with what torch and OpenMP choose themselves.  ``--hog`` keeps one busy
Python process on every core meanwhile.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

_WORKLOADS = ["0.86M", "0.86M ending", "0.86M trained", "laptop", "laptop ending", "laptop trained"]
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_PARSER = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
_PARSER.add_argument("--rounds", type=int, default=7, help="timed alternations after one of warm-up (at least 5)")
_PARSER.add_argument("--threads", type=int, default=1, help="of the engine and of generate with its settings")
_PARSER.add_argument("--hog", action="store_true", help="keep a busy Python process on every core")
_PARSER.add_argument("--continuous", action="store_true", help="time continuous batching too")
_PARSER.add_argument("--device", default="cpu", help="where the models lie, as torch calls it")
_PARSER.add_argument("--workload", action="append", choices=_WORKLOADS)
_PARSER.add_argument("--side", help=argparse.SUPPRESS)  # the process of one side
_PARSER.add_argument("--start", type=Path, help=argparse.SUPPRESS)  # its trained model

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

# Name -> hidden, inner, layers, heads, size of a head; problems.
_SHAPES = {"0.86M": ((128, 384, 4, 4, 32), 64), "laptop": ((64, 192, 2, 4, 16), 32)}
_GROUP, _TOKENS, _TOKENS_ENDING = 8, 24, 48
_OPENMP = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "MKL_NUM_THREADS")
_OURS, _GRAPHS, _SAME, _OWN = "native", "native, CUDA graphs", "generate", "generate, own threads"
_CONTINUOUS = "continuous batching"


class _Endless:
    """A tokenizer whose end of text is never sampled."""

    eos_token_id = -1

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def train(workload: str, folder: Path) -> None:
    """A model of the workload's shape after the supervised updates of the laptop scale."""
    from split import train_start

    from ablations.run import compose

    (hidden, inner, layers, heads, size), _ = _SHAPES[workload.partition(" ")[0]]
    sizes = {"hidden_size": hidden, "intermediate_size": inner, "num_layers": layers, "head_dim": size}
    sizes |= {"num_heads": heads, "num_kv_heads": heads}
    (config,) = compose([f"model.{name}={value}" for name, value in sizes.items()])
    train_start(config, folder)


def sampler(side: str, workload: str, device: str, start: Path | None) -> Callable[[int], int]:
    """A function that samples all rows of round ``step`` and returns their number of tokens."""
    import torch

    from klear_core.config import ModelConfig
    from klear_core.data.chains import problems
    from klear_core.data.tokenizer import build_tokenizer
    from klear_core.records import RandomKey, SamplingParams
    from klear_core.rollout.native import NativeEngine
    from klear_core.trainer.collate import tokenize_prompts
    from klear_core.trainer.model_folder import load_model
    from klear_core.trainer.policy import build_model

    name, _, kind = workload.partition(" ")
    (hidden, inner, layers, heads, size), count = _SHAPES[name]
    tokenizer: Any = build_tokenizer(max_length=128)
    sizes = {"hidden_size": hidden, "intermediate_size": inner, "num_layers": layers, "head_dim": size}
    held = {"name": name, "precision": "float32", "device": "cpu", "gradient_checkpointing": False}
    shape = ModelConfig(num_heads=heads, num_kv_heads=heads, **sizes, **held)
    model = build_model(shape, tokenizer, seed=0).eval() if start is None else load_model(start)[0]
    model = model.to(device)
    prompts = tokenize_prompts(tokenizer, problems(data_seed=0, split="train", count=count, num_terms=4))
    cap = _TOKENS_ENDING if kind else _TOKENS
    tokenizer = tokenizer if kind else _Endless(tokenizer)
    if side in (_OURS, _GRAPHS):
        engine = NativeEngine(model, tokenizer, cuda_graphs=side == _GRAPHS)
        sampling = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=cap, num_samples=_GROUP)

        def native(step: int) -> int:
            groups = engine.generate(prompts, sampling, RandomKey(seed=0, stream="bench", step=step))
            return sum(len(completion.token_ids) for group in groups for completion in group)

        return native
    rows = [list(prompt.token_ids) for prompt in prompts for _ in range(_GROUP)]
    run = _continuous if side == _CONTINUOUS else _generate
    return lambda step: run(model, tokenizer, torch.tensor(rows, device=device), cap)


def _settings(tokenizer: Any, cap: int) -> Any:
    from transformers import GenerationConfig

    eos = None if tokenizer.eos_token_id < 0 else tokenizer.eos_token_id
    ends = {"eos_token_id": eos, "pad_token_id": tokenizer.pad_token_id}
    return GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=cap, **ends)


def _generate(model: Any, tokenizer: Any, ids_NL: Any, cap: int) -> int:
    import torch

    # The model's own settings would end rows that are to go on.
    model.generation_config = _settings(tokenizer, cap)
    with torch.inference_mode():
        output_NL = model.generate(
            inputs=ids_NL, attention_mask=torch.ones_like(ids_NL), generation_config=_settings(tokenizer, cap)
        )
    ends_NT = output_NL[:, ids_NL.shape[1] :] == tokenizer.eos_token_id
    return int(torch.where(ends_NT.any(1), ends_NT.int().argmax(1) + 1, ends_NT.shape[1]).sum())


def _continuous(model: Any, tokenizer: Any, ids_NL: Any, cap: int) -> int:
    from transformers.generation import ContinuousBatchingConfig

    count, length = ids_NL.shape
    # Room for all rows at once, in pages that waste little on short rows.
    pages = -(-(length + cap) // 16) * count
    settings = ContinuousBatchingConfig(
        return_logprobs=True, seed=0, page_size=16, num_blocks=pages, max_batch_tokens=length * count
    )
    model.generation_config = _settings(tokenizer, cap)
    found = model.generate_batch(
        ids_NL.tolist(), generation_config=_settings(tokenizer, cap), continuous_batching_config=settings
    )
    return sum(len(one.generated_tokens) for one in found.values())


def serve(side: str, workload: str, options: argparse.Namespace) -> None:
    """One side: a line in starts a round, a line out tells its tokens and seconds."""
    import torch

    if side != _OWN:
        torch.set_num_threads(options.threads)
    sample = sampler(side, workload, options.device, options.start)
    for step, _ in enumerate(sys.stdin):
        started = time.perf_counter()
        tokens = sample(step)
        print(json.dumps([tokens, time.perf_counter() - started]), flush=True)


class Side:
    """The process of a side."""

    def __init__(self, side: str, workload: str, options: argparse.Namespace, start: Path | None) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in _OPENMP}
        if side != _OWN:
            # OpenMP reads these when torch is imported; the harness sets them for its children.
            environment |= {
                "OMP_NUM_THREADS": str(options.threads),
                "OMP_WAIT_POLICY": "PASSIVE",
                "GOMP_SPINCOUNT": "0",
            }
        command = [sys.executable, __file__, "--side", side, "--workload", workload]
        command += ["--threads", str(options.threads), "--device", options.device]
        command += [] if start is None else ["--start", str(start)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, env=environment | {"HF_HUB_OFFLINE": "1"}, stdin=pipe, stdout=pipe, text=True
        )

    def rate(self) -> float:
        """Tokens a second of one round."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a side ended before its round, see above")
        tokens, seconds = json.loads(line)
        return float(tokens / seconds)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def _hog() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "while True: pass"])


def alternate(workload: str, sides: list[str], options: argparse.Namespace) -> dict[str, list[float]]:
    """Tokens a second of each side in each round after the warm-up."""
    rates: dict[str, list[float]] = {side: [] for side in sides}
    with ExitStack() as stack:
        start = None
        if workload.endswith("trained"):
            start = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "start"
            train(workload, start)
        processes = {}
        for side in sides:
            processes[side] = Side(side, workload, options, start)
            stack.callback(processes[side].close)
            processes[side].rate()
        for _ in range(_CORES if options.hog else 0):
            hog = _hog()
            stack.callback(hog.wait)
            stack.callback(hog.kill)
        for turn in range(options.rounds):
            # Who comes first goes round, so that no side always follows the same one.
            for side in sides[turn % len(sides) :] + sides[: turn % len(sides)]:
                rates[side].append(processes[side].rate())
    return rates


def main() -> None:
    """Take turns, print a table, tell the ratios."""
    from tests.benchmarks.measured import Metric, ratio, tell

    options = _PARSER.parse_args()
    if options.side:
        return serve(options.side, options.workload[0], options)
    sides = [_OURS, _SAME, _OWN] + [_GRAPHS] * options.device.startswith("cuda") + [_CONTINUOUS] * options.continuous
    beside = "beside a busy process on every core" if options.hog else "idle"
    print(f"{_CORES} cores, {options.threads} threads, {options.rounds} rounds, {beside}")
    metrics = []
    for workload in options.workload or _WORKLOADS:
        rates = alternate(workload, sides, options)
        for side, values in rates.items():
            ratios = [ours / theirs for ours, theirs in zip(rates[_OURS], values, strict=True)]
            median = statistics.median(values)
            spread = f"ours / this {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"{workload:14s} {side:24s} {median:9.0f} tokens/s  {spread}", flush=True)
            metrics.append(
                Metric(
                    **{"name": f"{workload}, {side}, {beside}", "value": median, "unit": "tokens/s"},
                    **{"better": "higher", "is_compared": False, "low": min(values), "high": max(values)},
                )
            )
            if side != _OURS:
                metrics.append(ratio(f"{workload}, native / {side}, {beside}", ratios))
    tell(metrics, cores=_CORES, threads=options.threads, rounds=options.rounds, hog=options.hog, device=options.device)
    return None


if __name__ == "__main__":
    main()
