"""The stored batch that identities are checked on: one rollout of a start under two policies, old and new."""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from klear_core.batch import TrainBatch
from klear_core.errors import RunStoreError
from klear_core.runs.schema import CORNERS, REFERENCE_BAND
from klear_core.trainer.rl import RLTrainer

_NEW = "new_logprobs_NT"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityBatch:
    """A rollout that the old policy sampled; both log-probabilities come from the trainer, in float32."""

    batch: TrainBatch  # its old_logprobs_NT are those of the policy that sampled
    new_logprobs_NT: Tensor  # nats, of the trained policy

    def reversed(self) -> "IdentityBatch":
        """The same tokens with the two policies exchanged: every ratio becomes its inverse."""
        exchanged = dataclasses.replace(self.batch, old_logprobs_NT=self.new_logprobs_NT)
        return IdentityBatch(batch=exchanged, new_logprobs_NT=self.batch.old_logprobs_NT)

    def on_policy(self) -> "IdentityBatch":
        """The same tokens with the old policy as the new one: every ratio is 1."""
        return IdentityBatch(batch=self.batch, new_logprobs_NT=self.batch.old_logprobs_NT)

    def rows(self, rows_N: Tensor) -> "IdentityBatch":
        """Some of its rows."""
        return IdentityBatch(batch=self.batch.rows(rows_N), new_logprobs_NT=self.new_logprobs_NT[rows_N])

    def richest(self, num_groups: int) -> "IdentityBatch":
        """The problems that hold most of the tokens in the corners, rare corners counting as much as full ones."""
        groups_N = self.batch.group_index_N
        whole = self.corners()
        worth_P = {
            group: sum(count / max(1, whole[name]) for name, count in self.rows(groups_N == group).corners().items())
            for group in sorted(set(groups_N.tolist()))
        }
        best = sorted(worth_P, key=lambda group: (-worth_P[group], group))[:num_groups]
        return self.rows(torch.isin(groups_N, torch.tensor(best)))

    def tokens(self) -> tuple[Tensor, Tensor, Tensor]:
        """New and old log-probabilities and advantages of the K response tokens with A != 0."""
        advantages_NT = self.batch.advantages_N[:, None].expand(self.batch.response_mask_NT.shape)
        chosen_NT = self.batch.response_mask_NT & (advantages_NT != 0)
        return self.new_logprobs_NT[chosen_NT], self.batch.old_logprobs_NT[chosen_NT], advantages_NT[chosen_NT]

    def corners(self) -> dict[str, int]:
        """Tokens in each of the corners outside the reference band."""
        logprobs_K, old_logprobs_K, advantages_K = self.tokens()
        ratios_K = (logprobs_K.double() - old_logprobs_K.double()).exp()
        low, high = REFERENCE_BAND
        sides = {"above": ratios_K > high, "below": ratios_K < low}
        signs = {"pos": advantages_K > 0, "neg": advantages_K < 0}
        found = {name: name.split("_") for name in CORNERS}
        return {name: int((signs[sign] & sides[side]).sum()) for name, (sign, side) in found.items()}


def sample_batch(make_trainer: Callable[[Any], RLTrainer], start: Any, trained: Any) -> IdentityBatch:
    """The first rollout of ``start``, scored by it and by ``trained``; ``make_trainer`` gives a trainer of a model."""
    batch = make_trainer(start).rollout_batch(1)
    scores = []
    for model in (start, trained):
        trainer = make_trainer(model)
        model.eval()
        with torch.no_grad():
            scores.append(trainer.forward(batch, entropy=False).logprobs_NT.masked_fill(~batch.response_mask_NT, 0.0))
    return IdentityBatch(batch=dataclasses.replace(batch, old_logprobs_NT=scores[0]), new_logprobs_NT=scores[1])


def write_batch(path: Path, stored: IdentityBatch) -> None:
    """Write the batch as safetensors, one tensor a field, so that anyone can compute with it; atomic."""
    batch = stored.batch
    tensors = {field.name: getattr(batch, field.name).contiguous() for field in dataclasses.fields(batch)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(save(tensors | {_NEW: stored.new_logprobs_NT.contiguous()}))
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise RunStoreError(f"{path} cannot be written: {error}") from error


def read_batch(path: Path) -> IdentityBatch:
    """The batch of a file; RunStoreError when it is missing, damaged or of another form."""
    try:
        tensors = load_file(path)
        new_NT = tensors.pop(_NEW)
        return IdentityBatch(batch=TrainBatch(**tensors), new_logprobs_NT=new_NT)
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise RunStoreError(f"{path} holds no batch of identities: {error}; move it away") from None
