"""Supervised start: the policy learns to imitate a fallible teacher's responses."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from klear_core.config import SFTConfig
from klear_core.records import SFTExample
from klear_core.trainer.collate import pad
from klear_core.trainer.optim import Optimizer
from klear_core.trainer.policy import score


def train_sft(
    model: Any, tokenizer: Any, examples: Sequence[SFTExample], config: SFTConfig, *, seed: int
) -> Iterator[dict[str, float]]:
    """Train in place for ``config.steps`` updates; yields the fields of SFT_STEP_FIELDS after each.

    The loss is the mean cross-entropy over the response tokens of the batch, end-of-text included.  Examples are
    visited in an order that ``seed`` decides, again from the start when they run out.
    """
    eos = tokenizer.eos_token_id
    prompts = tokenizer([example.prompt for example in examples])["input_ids"]
    responses = [[*ids, eos] for ids in tokenizer([example.response for example in examples])["input_ids"]]
    order = list(range(len(examples)))
    random.Random(f"sft/{seed}").shuffle(order)
    optimizer = Optimizer(
        model.parameters(),
        learning_rate=config.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=0.0,
        max_grad_norm=config.max_grad_norm,
        warmup_updates=config.warmup_steps,
        decay_updates=config.steps,
    )
    model.train()
    for step in range(config.steps):
        start = step * config.batch_size
        rows = [order[(start + k) % len(order)] for k in range(config.batch_size)]
        batch = pad([prompts[n] for n in rows], [responses[n] for n in rows], pad_id=tokenizer.pad_token_id)
        scores = score(
            model,
            batch.token_ids_NL,
            batch.attention_mask_NL,
            num_response=batch.response_mask_NT.shape[1],
            temperature=1.0,
            entropy=False,
        )
        loss = -scores.logprobs_NT[batch.response_mask_NT].mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        update = optimizer.step()
        yield {
            "step": step + 1,
            "loss": float(loss.detach()),
            "learning_rate": update.learning_rate,
            "grad_norm": update.grad_norm,
        }
