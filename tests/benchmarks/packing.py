"""What packed rows and token-budget micro-batches do to the time of an RL step's forward and backward passes.

    python tests/benchmarks/packing.py [--rounds 5] [--setting laptop long_tail] [--output FILE]

Two settings: ``laptop`` has the lengths of the task's own demonstrations under the default model; ``long_tail`` has
lognormal lengths up to 512 tokens under a wider one.  A round scores a rollout and makes its updates once in every way,
in an order that turns with the round; a time is processor time of this process, so that other work on the machine
counts little.  Prints JSON: medians, ratios of a round to padded rows (median and range), and the machine.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0", HF_HUB_OFFLINE="1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from measured import Metric, machine, tell

from ablations.run import compose
from klear_core.batch import TrainBatch
from klear_core.config import ModelConfig, RunConfig
from klear_core.data.tasks import get_task
from klear_core.runs.provenance import package_versions
from klear_core.trainer.collate import pad, prompt_ids, response_ids
from klear_core.trainer.policy import build_model
from klear_core.trainer.rl import RLTrainer

PROMPT = 11  # tokens of a prompt in the long-tailed setting
LONGEST = 512
WIDER = ModelConfig(
    **{"name": "wider", "hidden_size": 128, "intermediate_size": 384, "num_layers": 2, "num_heads": 4},
    **{"num_kv_heads": 4, "head_dim": 32, "precision": "float32", "device": "cpu"},
    gradient_checkpointing=False,
)
# Setting -> overrides, then the ways: pack_tokens and micro_batch_tokens. The others are held against the first.
SETTINGS: dict[str, tuple[list[str], list[tuple[int | None, int | None]]]] = {
    "laptop": ([], [(None, None), (56, None), (96, None), (192, None), (None, 512), (None, 1024)]),
    "long_tail": (
        ["rl.problems_per_step=4", "rl.updates_per_rollout=2", f"rl.max_response_tokens={LONGEST}"],
        [(None, None), (523, None), (1046, None), (523, 2092), (None, 1024), (None, 2048)],
    ),
}


def drawn(setting: str, config: RunConfig, rows: int) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts and responses of a rollout."""
    rng = random.Random(0)
    if setting == "laptop":
        task = get_task(config.task)
        tokenizer = task.tokenizer()
        problems = task.problems("train", config.rl.problems_per_step)
        examples = [task.demonstrate(problems[row * len(problems) // rows], rng) for row in range(rows)]
        return prompt_ids(tokenizer, examples), response_ids(tokenizer, examples)
    lengths = [min(LONGEST, max(4, round(rng.lognormvariate(4.4, 0.9)))) for _ in range(rows)]
    return (
        [[rng.randrange(7, 20) for _ in range(PROMPT)] for _ in range(rows)],
        [[rng.randrange(7, 20) for _ in range(length)] for length in lengths],
    )


def as_batch(prompts: list[list[int]], responses: list[list[int]], completions: int) -> TrainBatch:
    """Every row has an advantage, so that all are trained on."""
    padded = pad(prompts, responses, pad_id=0)
    shape, rows = padded.response_mask_NT.shape, len(prompts)
    return TrainBatch(
        token_ids_NL=padded.token_ids_NL,
        attention_mask_NL=padded.attention_mask_NL,
        response_mask_NT=padded.response_mask_NT,
        old_logprobs_NT=torch.full(shape, torch.nan),
        sampler_logprobs_NT=torch.zeros(shape),
        advantages_N=torch.randn(rows, generator=torch.Generator().manual_seed(0)),
        group_index_N=torch.arange(rows) // completions,
        counted_N=torch.ones(rows, dtype=torch.bool),
    )


def timed(trainer: RLTrainer, batch: TrainBatch) -> tuple[float, float]:
    """Processor seconds of scoring and of all updates of one step."""
    started = time.process_time()
    minibatches = trainer._score([trainer.select(batch, rows_N) for rows_N in trainer._split(batch)])
    scored = time.process_time()
    trainer._model.train()
    for minibatch in minibatches:
        trainer.update(minibatch)
    return scored - started, time.process_time() - scored


def measured(setting: str, rounds: int) -> dict[str, Any]:
    """One setting: every way beside padded rows."""
    overrides, ways = SETTINGS[setting]
    trainers = []
    for pack_tokens, budget in ways:
        budgets = [f"rl.pack_tokens={pack_tokens or 'null'}", f"rl.micro_batch_tokens={budget or 'null'}"]
        (config,) = compose([*overrides, *budgets])
        tokenizer = get_task(config.task).tokenizer()
        model = build_model(config.model if setting == "laptop" else WIDER, tokenizer, seed=0)
        given: dict[str, Any] = {"engine": None, "grader": None, "problems": []}
        trainers.append(RLTrainer(config, model=model, tokenizer=tokenizer, **given))
    rl = config.rl
    prompts, responses = drawn(setting, config, rl.problems_per_step * rl.completions_per_problem)
    batch = as_batch(prompts, responses, rl.completions_per_problem)
    seconds: list[list[tuple[float, float]]] = [[] for _ in ways]
    for number in range(rounds + 1):  # the first warms up
        for place in range(len(ways)):
            way = (place + number) % len(ways)
            seconds[way].append(timed(trainers[way], batch))
    totals = [[score + update for score, update in found[1:]] for found in seconds]
    tokens = int(batch.attention_mask_NL.sum())
    return {
        "rows": len(prompts),
        "updates": rl.updates_per_rollout,
        "tokens": tokens,
        "positions when padded": batch.token_ids_NL.numel(),
        "share of padding": round(1 - tokens / batch.token_ids_NL.numel(), 3),
        "parameters": sum(parameter.numel() for parameter in trainers[0]._model.parameters()),
        "ways": [
            {
                "pack_tokens": pack_tokens,
                "micro_batch_tokens": budget,
                "score_s": round(statistics.median(score for score, _ in found[1:]), 4),
                "update_s": round(statistics.median(update for _, update in found[1:]), 4),
                "padded / this": round(statistics.median(ratios), 3),
                "range": [round(min(ratios), 3), round(max(ratios), 3)],
            }
            for (pack_tokens, budget), found, own in zip(ways, seconds, totals, strict=True)
            for ratios in [[padded / mine for padded, mine in zip(totals[0], own, strict=True)]]
        ],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--setting", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--output", type=Path, help="file for the JSON beside the terminal")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        "benchmark": "packing",
        "machine": machine(),
        "versions": package_versions(),
        "threads": 1,
        "clock": "processor time of one process",
        "rounds": options.rounds,
        "load": [round(value, 1) for value in os.getloadavg()],
        "settings": {setting: measured(setting, options.rounds) for setting in options.setting},
    }
    text = json.dumps(found, indent=2)
    print(text)
    tell(
        [
            Metric(
                **{"name": f"{setting}, padded / {way['pack_tokens']} packed, budget {way['micro_batch_tokens']}"},
                **{"value": way["padded / this"], "unit": "x", "better": "higher"},
                **{"low": way["range"][0], "high": way["range"][1]},
            )
            for setting, one in found["settings"].items()
            for way in one["ways"][1:]
        ],
        rounds=options.rounds,
    )
    if options.output is not None:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
