"""Decoding with any transformers causal LM, through its own forward pass and a cache that does not move as it grows."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from klear_core.records import Prompt


class ModelDecoder:
    """See ``Decoder``. Prompts are left-padded to the longest."""

    compact_at = 0.125  # the whole cache is copied

    def __init__(self, model: Any, prompts: Sequence[Prompt], *, repeats: int, max_tokens: int, pad_id: int) -> None:
        """Run each prompt once, then repeat its cache ``repeats`` times; up to ``max_tokens`` are to follow."""
        self._model = model
        lengths = [len(prompt.token_ids) for prompt in prompts]
        width = max(lengths)
        ids = [[pad_id] * (width - len(prompt.token_ids)) + list(prompt.token_ids) for prompt in prompts]
        self._mask_NL: Tensor | None = None
        positions_PL = None
        if min(lengths) < width:
            seen_PL = torch.arange(width)[None] >= width - torch.tensor(lengths)[:, None]
            self._mask_NL = seen_PL.long().to(model.device)
            positions_PL = (self._mask_NL.cumsum(1) - 1).clamp(min=0)
        self._cache = DynamicCache(config=model.config)
        # Sliding-window and other special layers keep their own implementation.
        self._cache.layers = [
            _BufferedLayer(width + max_tokens) if type(layer) is DynamicLayer else layer for layer in self._cache.layers
        ]
        output = model(
            input_ids=torch.tensor(ids, device=model.device),
            attention_mask=self._mask_NL,
            position_ids=positions_PL,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache.batch_repeat_interleave(repeats)
        self.logits_NV: Tensor = output.logits[:, -1].repeat_interleave(repeats, dim=0)
        if self._mask_NL is not None:
            self._mask_NL = self._mask_NL.repeat_interleave(repeats, dim=0)

    def decode(self, tokens_N: Tensor) -> None:
        """Read one more token a row."""
        positions_N1 = None
        if self._mask_NL is not None:
            self._mask_NL = torch.cat([self._mask_NL, self._mask_NL.new_ones(len(tokens_N), 1)], dim=1)
            positions_N1 = self._mask_NL.sum(1, keepdim=True) - 1
        output = self._model(
            input_ids=tokens_N[:, None],
            attention_mask=self._mask_NL,
            position_ids=positions_N1,
            past_key_values=self._cache,
            use_cache=True,
        )
        self.logits_NV = output.logits[:, -1]

    def keep(self, order_N: Tensor) -> None:
        """Go on with the rows of these indices only."""
        order_N = order_N.to(self._model.device)
        self._cache.batch_select_indices(order_N)
        if self._mask_NL is not None:
            self._mask_NL = self._mask_NL[order_N]


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
