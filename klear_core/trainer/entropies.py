"""Entropies of what was sampled, from the trainer, where the engine does not tell them."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from klear_core.batch import moved
from klear_core.config import RLConfig
from klear_core.records import RolloutGroup
from klear_core.rollout.engine import evaluating
from klear_core.trainer.collate import collate
from klear_core.trainer.micro_batches import score_parts, score_rows, split_rows


def with_entropies(groups: list[RolloutGroup], model: Any, rl: RLConfig, *, pad_id: int) -> list[RolloutGroup]:
    """The groups, each completion with the entropies of its tokens at the sampling temperature, in nats.

    They stay where the engine tells them all; else they cost one forward pass over the rollout. ``model`` must have the
    weights that sampled.
    """
    if all(completion.entropies is not None for group in groups for completion in group.completions):
        return groups
    shape = (len(groups), len(groups[0].completions))
    # Neither is looked at by a forward pass.
    batch = collate(groups, torch.zeros(shape), torch.ones(shape, dtype=torch.bool), pad_id=pad_id)
    batch = moved(batch, model.device)
    parts = split_rows(batch, micro_batch_tokens=rl.micro_batch_tokens, pack_tokens=rl.pack_tokens)
    with evaluating(model), torch.no_grad():
        scores = score_parts(batch, parts, partial(score_rows, model, rl=rl, pad_id=pad_id), entropy=True)
    assert scores.entropy_NT is not None
    rows = iter(scores.entropy_NT.tolist())
    return [
        replace(
            group,
            completions=tuple(
                replace(one, entropies=tuple(next(rows)[: len(one.token_ids)])) for one in group.completions
            ),
        )
        for group in groups
    ]
