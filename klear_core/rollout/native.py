"""The native engine: sampling from any transformers causal LM, each prompt computed once for its whole group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from klear_core.errors import EngineError
from klear_core.records import Completion, FinishReason, Prompt, RandomKey, SamplingParams
from klear_core.rollout.engine import uniforms

# Finished rows ride along until this share of the batch is finished: copying the cache costs more than a few idle rows.
_COMPACT_AT = 0.125


class NativeEngine:
    """Samples from a model that lives in this process, so it always has the trainer's current weights."""

    def __init__(self, model: Any, tokenizer: Any, *, max_rows: int = 1024) -> None:
        """``max_rows`` bounds the completions decoded side by side, and so the memory of the cache."""
        self._model = model
        self._tokenizer = tokenizer
        self._max_rows = max_rows

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[Prompt], sampling: SamplingParams, key: RandomKey
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine``. EngineError when a prompt is empty or does not fit into the model's context."""
        limit = self._model.config.max_position_embeddings
        for prompt in prompts:
            if not prompt.token_ids or len(prompt.token_ids) + sampling.max_tokens > limit:
                raise EngineError(
                    f"prompt {prompt.problem_id} has {len(prompt.token_ids)} tokens; allowed: 1 to "
                    f"{limit - sampling.max_tokens}, as {sampling.max_tokens} are to follow in a context of {limit}"
                )
        was_training = self._model.training
        self._model.eval()
        size = max(1, self._max_rows // sampling.num_samples)
        groups = [
            group
            for start in range(0, len(prompts), size)
            for group in self._generate_chunk(prompts[start : start + size], sampling, key)
        ]
        self._model.train(was_training)
        return groups

    def _generate_chunk(
        self, prompts: Sequence[Prompt], sampling: SamplingParams, key: RandomKey
    ) -> list[tuple[Completion, ...]]:
        G, T = sampling.num_samples, sampling.max_tokens
        draws_NT = None
        if sampling.temperature > 0:
            names = [(prompt.problem_id, sample) for prompt in prompts for sample in range(G)]
            draws_NT = torch.from_numpy(uniforms(key, names, T))
        state = self._prefill(prompts, G, T)
        N = len(prompts) * G
        tokens_NT = torch.zeros(N, T, dtype=torch.int64)
        logprobs_NT = torch.zeros(N, T)
        entropies_NT = torch.zeros(N, T)
        lengths_N = torch.full((N,), T)
        for t in range(T):
            rows = state.rows
            choice = _sample(
                state.logits, sampling.temperature, sampling.top_p, None if draws_NT is None else draws_NT[rows, t]
            )
            tokens_NT[rows, t], logprobs_NT[rows, t], entropies_NT[rows, t] = choice.cpu()
            ended = choice.tokens.cpu() == self._tokenizer.eos_token_id
            lengths_N[rows[ended]] = torch.minimum(lengths_N[rows[ended]], torch.tensor(t + 1))
            open_rows = lengths_N[rows] == T
            if t + 1 == T or not open_rows.any():
                break
            next_tokens = choice.tokens
            if (~open_rows).float().mean() >= _COMPACT_AT:
                keep = open_rows.nonzero().squeeze(1)
                state = state.select(keep)
                next_tokens = next_tokens[keep.to(next_tokens.device)]
            state = self._decode(state, next_tokens)
        completions = self._completions(tokens_NT, logprobs_NT, entropies_NT, lengths_N)
        return [tuple(completions[p * G : (p + 1) * G]) for p in range(len(prompts))]

    def _prefill(self, prompts: Sequence[Prompt], G: int, T: int) -> "_DecodeState":
        """Run each prompt once, left-padded to the longest, then repeat its cache for its group."""
        lengths = [len(prompt.token_ids) for prompt in prompts]
        width = max(lengths)
        device = self._model.device
        pad = self._tokenizer.pad_token_id
        ids_PL = torch.tensor([[pad] * (width - len(p.token_ids)) + list(p.token_ids) for p in prompts], device=device)
        mask_PL = None
        if min(lengths) < width:
            mask_PL = torch.arange(width)[None] >= torch.tensor([width - length for length in lengths])[:, None]
            mask_PL = mask_PL.to(device)
        cache = DynamicCache(config=self._model.config)
        # Sliding-window and other special layers keep their own implementation.
        cache.layers = [_BufferedLayer(width + T) if type(layer) is DynamicLayer else layer for layer in cache.layers]
        positions = None if mask_PL is None else (mask_PL.cumsum(1) - 1).clamp(min=0)
        output = self._model(
            input_ids=ids_PL,
            attention_mask=None if mask_PL is None else mask_PL.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache.batch_repeat_interleave(G)
        return _DecodeState(
            cache=cache,
            logits=output.logits[:, -1].repeat_interleave(G, dim=0),
            mask=None if mask_PL is None else mask_PL.long().repeat_interleave(G, dim=0),
            rows=torch.arange(len(prompts) * G),
        )

    def _decode(self, state: "_DecodeState", tokens: Tensor) -> "_DecodeState":
        """One more token for every row of the state."""
        mask = state.mask
        positions = None
        if mask is not None:
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            positions = mask.sum(1, keepdim=True) - 1
        output = self._model(
            input_ids=tokens[:, None],
            attention_mask=mask,
            position_ids=positions,
            past_key_values=state.cache,
            use_cache=True,
        )
        return _DecodeState(cache=state.cache, logits=output.logits[:, -1], mask=mask, rows=state.rows)

    def _completions(
        self, tokens_NT: Tensor, logprobs_NT: Tensor, entropies_NT: Tensor, lengths_N: Tensor
    ) -> list[Completion]:
        eos = self._tokenizer.eos_token_id
        ids = [row[:length] for row, length in zip(tokens_NT.tolist(), lengths_N.tolist(), strict=True)]
        texts = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
        logprobs, entropies = logprobs_NT.tolist(), entropies_NT.tolist()
        return [
            Completion(
                token_ids=tuple(row),
                logprobs=tuple(logprobs[n][: len(row)]),
                entropies=tuple(entropies[n][: len(row)]),
                text=texts[n],
                finish_reason=FinishReason.STOP if row[-1] == eos else FinishReason.LENGTH,
            )
            for n, row in enumerate(ids)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _DecodeState:
    """Rows still being decoded: their cache, next-token logits, padding mask and position in the output."""

    cache: Any
    logits: Tensor
    mask: Tensor | None
    rows: Tensor

    def select(self, keep: Tensor) -> "_DecodeState":
        on_device = keep.to(self.logits.device)
        self.cache.batch_select_indices(on_device)
        return _DecodeState(
            cache=self.cache,
            logits=self.logits[on_device],
            mask=None if self.mask is None else self.mask[on_device],
            rows=self.rows[keep],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    tokens: Tensor
    logprobs: Tensor
    entropies: Tensor

    def cpu(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.tokens.cpu(), self.logprobs.cpu(), self.entropies.cpu()


def _sample(logits_NV: Tensor, temperature: float, top_p: float, draws_N: Tensor | None) -> _Choice:
    """Choose a token a row by inverting the cumulative distribution at ``draws_N``; greedily without draws."""
    all_logprobs_NV = torch.log_softmax(logits_NV.float() / (temperature or 1.0), dim=-1)
    probs_NV = all_logprobs_NV.exp()
    entropies_N = torch.special.entr(probs_NV).sum(-1)
    if draws_N is None:
        tokens_N = all_logprobs_NV.argmax(-1)
    else:
        tokens_N = _invert_cdf(probs_NV if top_p >= 1 else _nucleus(probs_NV, top_p), draws_N.to(probs_NV.device))
    logprobs_N = all_logprobs_NV.gather(-1, tokens_N[:, None]).squeeze(-1)
    return _Choice(tokens=tokens_N, logprobs=logprobs_N, entropies=entropies_N)


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


class _BufferedLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer that writes into a buffer of its final size: a concatenation a token would copy the whole cache."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.keys: Tensor
        self.values: Tensor
        self._capacity = capacity
        self._length = 0
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append the new positions; returns views of everything so far, [N, heads, length, head_dim]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self._buffers is None:
            self._buffers = self._allocate(key_states, self.keys), self._allocate(value_states, self.values)
        end = self._length + key_states.shape[-2]
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, self._length : end] = new
        self._length = end
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def _allocate(self, new: Tensor, old: Tensor) -> Tensor:
        buffer = new.new_empty(new.shape[0], new.shape[1], self._capacity, new.shape[3])
        if self._length:
            buffer[:, :, : self._length] = old
        return buffer

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row; the next update moves the rows into a buffer of the new size."""
        super().batch_repeat_interleave(repeats)
        self._buffers = None

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows; the next update moves them into a buffer of the new size."""
        super().batch_select_indices(indices)
        self._buffers = None
