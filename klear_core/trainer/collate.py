"""From records to padded tensors: the only place where padding and shifting happen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
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
    prompt_lengths_N1, response_lengths_N1 = _lengths(prompts), _lengths(responses)
    width, T = int(prompt_lengths_N1.max()), int(response_lengths_N1.max())
    place_L = torch.arange(-width, T)  # 0 where responses begin
    attention_NL = (place_L >= -prompt_lengths_N1) & (place_L < response_lengths_N1)
    rows = chain.from_iterable(zip(prompts, responses, strict=True))
    return PaddedTokens(
        token_ids_NL=_filled(attention_NL, rows, otherwise=pad_id, dtype=np.int64),
        attention_mask_NL=attention_NL,
        response_mask_NT=attention_NL[:, width:],
    )


def _lengths(rows: Sequence[Sequence[int]]) -> Tensor:
    return torch.tensor([len(row) for row in rows])[:, None]


def _filled(mask: Tensor, rows: Iterable[Sequence[float]], *, otherwise: float, dtype: type[np.generic]) -> Tensor:
    """The numbers of all rows where ``mask`` is True, in its order.

    They are written at once: a list of the width of the longest row for every row would take far more time and memory.
    """
    values = torch.from_numpy(np.fromiter(chain.from_iterable(rows), dtype=dtype))
    filled = torch.full(mask.shape, otherwise, dtype=values.dtype)
    filled[mask] = values
    return filled


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
    sampled = (completion.logprobs for completion in completions)
    return TrainBatch(
        token_ids_NL=padded.token_ids_NL,
        attention_mask_NL=padded.attention_mask_NL,
        response_mask_NT=padded.response_mask_NT,
        old_logprobs_NT=torch.full(padded.response_mask_NT.shape, torch.nan),
        sampler_logprobs_NT=_filled(padded.response_mask_NT, sampled, otherwise=0.0, dtype=np.float32),
        advantages_N=advantages_PG.flatten(),
        group_index_N=torch.arange(len(groups)).repeat_interleave(advantages_PG.shape[1]),
        counted_N=counted_PG.flatten(),
    )
