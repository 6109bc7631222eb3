"""A rollout in progress as tensors and JSON: sampling may take longer than everything else, so a resume keeps it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from klear_core.records import Completion, FinishReason, Problem, Prompt, RolloutGroup


def pack(groups: Sequence[RolloutGroup]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Token ids, log-probabilities and entropies of all completions in one row each, and the rest as JSON data."""
    completions = [completion for group in groups for completion in group.completions]
    tensors = {
        "lengths": torch.tensor([len(c.token_ids) for c in completions]),
        "token_ids": torch.tensor([token for c in completions for token in c.token_ids]),
        # Floats of an engine come from float32; float64 also keeps those that do not.
        "logprobs": torch.tensor([value for c in completions for value in c.logprobs], dtype=torch.float64),
        "entropies": torch.tensor([value for c in completions for value in c.entropies or ()], dtype=torch.float64),
    }
    rest = [
        {
            "problem_id": group.problem.problem_id,
            "prompt_token_ids": list(group.prompt.token_ids),
            "policy_step": group.policy_step,
            "texts": [c.text for c in group.completions],
            "finish_reasons": [str(c.finish_reason) for c in group.completions],
            "has_entropies": [c.entropies is not None for c in group.completions],
        }
        for group in groups
    ]
    return tensors, rest


def unpack(
    tensors: Mapping[str, Tensor], rest: Sequence[Mapping[str, Any]], problems: Sequence[Problem]
) -> list[RolloutGroup]:
    """The groups that ``pack`` was given; ``problems`` are those of the groups, in order."""
    lengths = iter(tensors["lengths"].tolist())
    tokens, logprobs = iter(tensors["token_ids"].tolist()), iter(tensors["logprobs"].tolist())
    entropies = iter(tensors["entropies"].tolist())
    groups = []
    for problem, group in zip(problems, rest, strict=True):
        completions = []
        fields = zip(group["texts"], group["finish_reasons"], group["has_entropies"], strict=True)
        for text, finish_reason, has_entropies in fields:
            length = next(lengths)
            completions.append(
                Completion(
                    token_ids=tuple(next(tokens) for _ in range(length)),
                    logprobs=tuple(next(logprobs) for _ in range(length)),
                    entropies=tuple(next(entropies) for _ in range(length)) if has_entropies else None,
                    text=text,
                    finish_reason=FinishReason(finish_reason),
                )
            )
        prompt = Prompt(problem_id=group["problem_id"], token_ids=tuple(group["prompt_token_ids"]))
        groups.append(
            RolloutGroup(
                problem=problem, prompt=prompt, completions=tuple(completions), policy_step=group["policy_step"]
            )
        )
    return groups
