"""From records to padded tensors: the only place where padding and shifting happen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from klear_core.batch import TrainBatch
from klear_core.records import Problem, Prompt, RolloutGroup, SFTExample


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


def prompt_ids(tokenizer: Any, asked: Sequence[Problem | SFTExample]) -> list[list[int]]:
    """Token ids of prompts, in the chat form of a tokenizer that has one: system message, prompt, and the opening of
    the answer.
    """
    if not tokenizer.chat_template:
        texts = [f"{one.system}\n\n{one.prompt}" if one.system else one.prompt for one in asked]
        return list(tokenizer(texts)["input_ids"])
    chats = []
    for one in asked:
        system = [{"role": "system", "content": one.system}] if one.system else []
        chats.append([*system, {"role": "user", "content": one.prompt}])
    written = tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
    # The template has written the special tokens already.
    return list(tokenizer(written, add_special_tokens=False)["input_ids"])


def response_ids(tokenizer: Any, examples: Sequence[SFTExample]) -> list[list[int]]:
    """Token ids of responses, end of text included."""
    ids = tokenizer([example.response for example in examples], add_special_tokens=False)["input_ids"]
    return [[*row, tokenizer.eos_token_id] for row in ids]


def tokenize_prompts(tokenizer: Any, problems: Sequence[Problem]) -> list[Prompt]:
    """Prompts as an engine takes them."""
    ids = prompt_ids(tokenizer, problems)
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
