"""Tensor records: what a training batch is, and what the policy and the loss return for it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

_Record = TypeVar("_Record")


def moved(record: _Record, device: torch.device | str) -> _Record:
    """A record whose fields are all tensors, with each of them on ``device``; one that is there is not copied."""
    named: dict[str, Any] = {field.name: getattr(record, field.name) for field in fields(record)}  # type: ignore[arg-type]
    return type(record)(**{name: tensor.to(device) for name, tensor in named.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainBatch:
    """Rows of prompts and responses; L = prompt + response positions, T = response positions.

    ``old_logprobs_NT`` come from the trainer and enter the ratio; ``sampler_logprobs_NT`` come from the engine and
    never do.
    """

    token_ids_NL: Tensor  # int64: left-padded prompt, right-padded response
    attention_mask_NL: Tensor  # bool
    response_mask_NT: Tensor  # bool
    old_logprobs_NT: Tensor  # nats, of the policy that sampled, under the trainer
    sampler_logprobs_NT: Tensor  # nats, under the engine
    advantages_N: Tensor
    group_index_N: Tensor  # int64: problem within the step
    counted_N: Tensor  # bool: in the denominators; an invalid or filtered completion is not

    def rows(self, index_N: Tensor) -> "TrainBatch":
        """The rows that an index or a bool mask selects, in its order."""
        return TrainBatch(**{field.name: getattr(self, field.name)[index_N] for field in fields(self)})

    @staticmethod
    def concatenate(parts: Sequence["TrainBatch"]) -> "TrainBatch":
        """All rows of several batches of one shape, in their order."""
        return TrainBatch(
            **{field.name: torch.cat([getattr(part, field.name) for part in parts]) for field in fields(TrainBatch)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScores:
    """The policy's view of the response tokens."""

    logprobs_NT: Tensor  # nats; carries the gradient
    entropy_NT: Tensor | None  # nats; detached


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOutput:
    """A loss and the parts that it sums."""

    total: Tensor  # scalar; carries the gradient
    parts: dict[str, Tensor]  # scalars, detached
