import random

import pytest
import torch

from klear_core.config import SFTConfig
from klear_core.data.chains import demonstrate
from klear_core.trainer.sft import SFTTrainer

NO_MISTAKES = {"+": 0.0, "-": 0.0, "*": 0.0}


def settings(**changes):
    values = {"checkpoint": None, "steps": 30, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 3}
    values |= {"final_learning_rate": 0.0, "max_grad_norm": 1.0, "pack_tokens": None}
    return SFTConfig(**(values | changes))


def endless(chains, seed=0):
    rng = random.Random(seed)
    while True:
        for problem in chains:
            yield demonstrate(problem, mistakes=NO_MISTAKES, rng=rng)


def test_the_first_loss_is_the_cross_entropy_of_the_response_tokens(model, tokenizer, chains):
    examples = [demonstrate(problem, mistakes=NO_MISTAKES, rng=random.Random(0)) for problem in chains[:8]]
    total, count = 0.0, 0
    for example in examples:
        prompt = tokenizer(example.prompt)["input_ids"]
        response = [*tokenizer(example.response)["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        total += float(torch.nn.functional.cross_entropy(logits, torch.tensor(response), reduction="sum"))
        count += len(response)
    row = next(SFTTrainer(model, tokenizer, lambda start: iter(examples), settings(), precision="float32").steps())
    assert row["loss"] == pytest.approx(total / count, rel=1e-5)


def test_the_loss_falls_and_rows_count_updates(model, tokenizer, chains):
    rows = list(SFTTrainer(model, tokenizer, lambda start: endless(chains), settings(), precision="float32").steps())
    assert [row["step"] for row in rows] == list(range(1, 31))
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert rows[0]["learning_rate"] == pytest.approx(1e-2 / 3)
    assert rows[-1]["learning_rate"] < 1e-3
