"""Supervised start: the policy learns to imitate a fallible teacher's responses."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

from klear_core.config import SFTConfig
from klear_core.records import SFTExample
from klear_core.trainer.collate import pad
from klear_core.trainer.optim import Optimizer
from klear_core.trainer.policy import score


def train_sft(
    model: Any, tokenizer: Any, examples: Iterator[SFTExample], config: SFTConfig
) -> Iterator[dict[str, float]]:
    """Train in place for ``config.steps`` updates; yields the fields of SFT_STEP_FIELDS after each.

    The loss is the mean cross-entropy over the response tokens of the batch, end-of-text included.  ``examples`` are
    taken in their order, ``config.batch_size`` for each update.
    """
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
    for step in range(1, config.steps + 1):
        chosen = list(islice(examples, config.batch_size))
        prompts = tokenizer([example.prompt for example in chosen])["input_ids"]
        responses = tokenizer([example.response for example in chosen])["input_ids"]
        batch = pad(prompts, [[*ids, tokenizer.eos_token_id] for ids in responses], pad_id=tokenizer.pad_token_id)
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
            "step": step,
            "loss": float(loss.detach()),
            "learning_rate": update.learning_rate,
            "grad_norm": update.grad_norm,
        }
