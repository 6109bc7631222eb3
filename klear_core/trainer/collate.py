"""From records to padded tensors: the only place where padding and shifting happen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from klear_core.batch import TrainBatch
from klear_core.records import Problem, Prompt, RolloutGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedTokens:
    """Left-padded prompts followed by right-padded responses; L = longest prompt + longest response, T = the latter."""

    token_ids_NL: Tensor  # int64
    attention_mask_NL: Tensor  # bool
    response_mask_NT: Tensor  # bool


def pad(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], *, pad_id: int) -> PaddedTokens:
    """Align prompts at their end and responses at their start, so that every response begins at one position."""
    width, T = max(map(len, prompts)), max(map(len, responses))
    ids, attention, response_mask = [], [], []
    for prompt, response in zip(prompts, responses, strict=True):
        left, right = width - len(prompt), T - len(response)
        ids.append([pad_id] * left + list(prompt) + list(response) + [pad_id] * right)
        attention.append([False] * left + [True] * (len(prompt) + len(response)) + [False] * right)
        response_mask.append([True] * len(response) + [False] * right)
    return PaddedTokens(
        token_ids_NL=torch.tensor(ids),
        attention_mask_NL=torch.tensor(attention),
        response_mask_NT=torch.tensor(response_mask),
    )


def tokenize_prompts(tokenizer: Any, problems: Sequence[Problem]) -> list[Prompt]:
    """Prompts as an engine takes them."""
    ids = tokenizer([problem.prompt for problem in problems])["input_ids"]
    return [
        Prompt(problem_id=problem.problem_id, token_ids=tuple(row)) for problem, row in zip(problems, ids, strict=True)
    ]


def collate(groups: Sequence[RolloutGroup], advantages_PG: Tensor, counted_PG: Tensor, *, pad_id: int) -> TrainBatch:
    """The batch of a rollout, rows ordered by problem, then completion; old log-probabilities are NaN until scored."""
    completions = [completion for group in groups for completion in group.completions]
    prompts = [group.prompt.token_ids for group in groups for _ in group.completions]
    padded = pad(prompts, [completion.token_ids for completion in completions], pad_id=pad_id)
    N, T = padded.response_mask_NT.shape
    sampler = [list(completion.logprobs) + [0.0] * (T - len(completion.logprobs)) for completion in completions]
    return TrainBatch(
        token_ids_NL=padded.token_ids_NL,
        attention_mask_NL=padded.attention_mask_NL,
        response_mask_NT=padded.response_mask_NT,
        old_logprobs_NT=torch.full((N, T), torch.nan),
        sampler_logprobs_NT=torch.tensor(sampler),
        advantages_N=advantages_PG.flatten(),
        group_index_N=torch.arange(len(groups)).repeat_interleave(advantages_PG.shape[1]),
        counted_N=counted_PG.flatten(),
    )
