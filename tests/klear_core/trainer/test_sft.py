import random

import pytest
import torch

from klear_core.config import SFTConfig
from klear_core.data.chains import demonstrate
from klear_core.trainer.sft import SFTTrainer

NO_MISTAKES = {"+": 0.0, "-": 0.0, "*": 0.0}


def settings(**changes):
    values = {"checkpoint": None, "steps": 30, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 3}
    values |= {"final_learning_rate": 0.0, "max_grad_norm": 1.0, "pack_tokens": None, "micro_batch_tokens": None}
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


@pytest.mark.parametrize("pack_tokens", [None, 64])
@pytest.mark.parametrize("budget", [64, 150, 100_000])
def test_micro_batches_add_up_to_the_whole_batch_within_their_budget(
    make_model, tokenizer, chains, pack_tokens, budget
):
    """Loss, norm and weights after three updates, and the positions of every pass."""
    passes = []

    def trained(**changes):
        model = make_model().double()
        model.register_forward_pre_hook(
            lambda _, given, named: passes.append(named["input_ids"].numel()), with_kwargs=True
        )
        config = settings(steps=3, max_grad_norm=1e9, pack_tokens=pack_tokens, **changes)
        examples = [demonstrate(problem, mistakes=NO_MISTAKES, rng=random.Random(0)) for problem in chains]
        trainer = SFTTrainer(model, tokenizer, lambda start: iter(examples * 3), config, precision="float32")
        return list(trainer.steps()), list(model.parameters())

    expected, weights = trained()
    assert len(passes) == 3
    passes.clear()
    found, others = trained(micro_batch_tokens=budget)
    assert max(passes) <= budget
    assert len(passes) == 3 if budget == 100_000 else len(passes) > 3
    for one, other in zip(found, expected, strict=True):
        for name in ("loss", "grad_norm", "response_tokens"):
            assert one[name] == pytest.approx(other[name], rel=1e-5)
    for one, other in zip(others, weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
