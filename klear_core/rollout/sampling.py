"""Choosing tokens from logits and uniform numbers, and the completions that come of it; the same for every engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from klear_core.records import Completion, FinishReason, SamplingParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One token a row, with its log-probability and the entropy of its distribution, in nats, float32."""

    tokens_N: Tensor
    logprobs_N: Tensor
    entropies_N: Tensor

    def cpu(self) -> "Choice":
        """The same in main memory."""
        return Choice(
            tokens_N=self.tokens_N.cpu(), logprobs_N=self.logprobs_N.cpu(), entropies_N=self.entropies_N.cpu()
        )


def choose(logits_NV: Tensor, sampling: SamplingParams, draws_N: Tensor | None) -> Choice:
    """Choose a token a row by inverting the cumulative distribution at ``draws_N``; greedily without draws.

    Log-probabilities and entropies are those of softmax(logits / temperature) over all tokens, whatever ``top_p``; at
    temperature 0 those of temperature 1.
    """
    all_logprobs_NV = torch.log_softmax(logits_NV.float() / (sampling.temperature or 1.0), dim=-1)
    probs_NV = all_logprobs_NV.exp()
    entropies_N = torch.special.entr(probs_NV).sum(-1)
    if draws_N is None:
        tokens_N = all_logprobs_NV.argmax(-1)
    else:
        weights_NV = probs_NV if sampling.top_p >= 1 else _nucleus(probs_NV, sampling.top_p)
        tokens_N = _invert_cdf(weights_NV, draws_N.to(probs_NV.device))
    logprobs_N = all_logprobs_NV.gather(-1, tokens_N[:, None]).squeeze(-1)
    return Choice(tokens_N=tokens_N, logprobs_N=logprobs_N, entropies_N=entropies_N)


def _nucleus(probs_NV: Tensor, top_p: float) -> Tensor:
    """Zero every token outside the smallest set of likeliest tokens whose mass reaches ``top_p``."""
    sorted_NV, order_NV = probs_NV.sort(dim=-1, descending=True, stable=True)
    outside_NV = sorted_NV.cumsum(-1) - sorted_NV >= top_p
    return torch.zeros_like(probs_NV).scatter(-1, order_NV, sorted_NV.masked_fill(outside_NV, 0.0))


def _invert_cdf(weights_NV: Tensor, draws_N: Tensor) -> Tensor:
    """First token whose cumulative weight exceeds draw x total; a token of weight zero is never chosen."""
    cumulative_NV = weights_NV.double().cumsum(-1)
    total_N1 = cumulative_NV[:, -1:]
    # A draw just under 1 may round up to the total; the last token may have weight zero.
    threshold_N1 = torch.minimum(draws_N[:, None] * total_N1, total_N1 * (1 - 1e-12))
    return (cumulative_NV <= threshold_N1).sum(-1)


class Sampled:
    """What was chosen so far for N rows of up to T tokens, on the CPU."""

    def __init__(self, N: int, T: int) -> None:
        self._tokens_NT = torch.zeros(N, T, dtype=torch.int64)
        self._logprobs_NT = torch.zeros(N, T)
        self._entropies_NT = torch.zeros(N, T)
        self.lengths_N = torch.full((N,), T)

    def put(self, t: int, rows: Tensor, choice: Choice) -> None:
        """Keep token ``t`` of ``rows``; what stands behind the length of a row is of no effect."""
        self._tokens_NT[rows, t] = choice.tokens_N
        self._logprobs_NT[rows, t] = choice.logprobs_N
        self._entropies_NT[rows, t] = choice.entropies_N

    def completions(self, tokenizer: Any) -> list[Completion]:
        """All rows, each cut to its length."""
        ids = [row[:length] for row, length in zip(self._tokens_NT.tolist(), self.lengths_N.tolist(), strict=True)]
        logprobs, entropies = self._logprobs_NT.tolist(), self._entropies_NT.tolist()
        return completed(
            tokenizer,
            ids,
            [tuple(logprobs[n][: len(row)]) for n, row in enumerate(ids)],
            [tuple(entropies[n][: len(row)]) for n, row in enumerate(ids)],
        )


def completed(
    tokenizer: Any,
    ids: Sequence[Sequence[int]],
    logprobs: Sequence[tuple[float, ...]],
    entropies: Sequence[tuple[float, ...] | None],
) -> list[Completion]:
    """Sampled token ids as completions: with their texts, and ended where the last one is the end of text."""
    return [
        Completion(
            token_ids=tuple(row),
            logprobs=logprobs[n],
            entropies=entropies[n],
            text=text,
            finish_reason=FinishReason.STOP if row[-1] == tokenizer.eos_token_id else FinishReason.LENGTH,
        )
        for n, (row, text) in enumerate(zip(ids, _texts(tokenizer, ids), strict=True))
    ]


def _texts(tokenizer: Any, ids: Sequence[Sequence[int]]) -> list[str]:
    """Decoded rows without special tokens.

    ``batch_decode`` looks at every number in Python, 5 % of a small model's rollout; its own last step is enough where
    a tokenizer adds nothing to it.
    """
    if type(tokenizer) is PreTrainedTokenizerFast and not tokenizer.clean_up_tokenization_spaces:
        texts: list[str] = tokenizer.backend_tokenizer.decode_batch(ids, skip_special_tokens=True)
        return texts
    return list(tokenizer.batch_decode(ids, skip_special_tokens=True))
