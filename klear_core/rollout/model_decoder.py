"""Decoding with any transformers causal LM, through its own forward pass and a cache that does not move as it grows."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from klear_core.records import Prompt
from klear_core.rollout.decoder import copy_rows


class ModelDecoder:
    """See ``Decoder``. Prompts are left-padded to the longest."""

    compact_at = 0.125  # some kinds of layers copy their whole cache
    is_static = False

    def __init__(self, model: Any, prompts: Sequence[Prompt], *, max_rows: int, max_tokens: int, pad_id: int) -> None:
        """Run each prompt; up to ``max_tokens`` are to follow, in up to ``max_rows`` rows."""
        self._model = model
        lengths = [len(prompt.token_ids) for prompt in prompts]
        width = max(lengths)
        ids = [[pad_id] * (width - len(prompt.token_ids)) + list(prompt.token_ids) for prompt in prompts]
        self._mask_ML: Tensor | None = None
        positions_PL = None
        if min(lengths) < width:
            seen_PL = torch.arange(width)[None] >= width - torch.tensor(lengths)[:, None]
            self._mask_ML = seen_PL.long().to(model.device)
            positions_PL = (self._mask_ML.cumsum(1) - 1).clamp(min=0)
        self._cache = DynamicCache(config=model.config)
        # Sliding-window and other special layers keep their own implementation.
        self._cache.layers = [
            _BufferedLayer(max_rows, width + max_tokens) if type(layer) is DynamicLayer else layer
            for layer in self._cache.layers
        ]
        output = model(
            input_ids=torch.tensor(ids, device=model.device),
            attention_mask=self._mask_ML,
            position_ids=positions_PL,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.logits_MV: Tensor = output.logits[:, -1]

    def decode(self, tokens_M: Tensor) -> None:
        """Read one more token a row."""
        positions_M1 = None
        if self._mask_ML is not None:
            self._mask_ML = torch.cat([self._mask_ML, self._mask_ML.new_ones(len(tokens_M), 1)], dim=1)
            positions_M1 = self._mask_ML.sum(1, keepdim=True) - 1
        output = self._model(
            input_ids=tokens_M[:, None],
            attention_mask=self._mask_ML,
            position_ids=positions_M1,
            past_key_values=self._cache,
            use_cache=True,
        )
        self.logits_MV = output.logits[:, -1]

    def select(self, parents_M: Tensor) -> None:
        """Go on with copies of the rows of these indices."""
        # Meant for beams, and the one way that every kind of layer has.
        self._cache.reorder_cache(parents_M)
        self.logits_MV = self.logits_MV[parents_M]
        if self._mask_ML is not None:
            self._mask_ML = self._mask_ML[parents_M]


class _BufferedLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer that writes into a buffer of its final size: a concatenation a token would copy the whole cache."""

    def __init__(self, max_rows: int, capacity: int) -> None:
        super().__init__()
        self.keys: Tensor
        self.values: Tensor
        self._shape = max_rows, capacity
        self._length = 0
        self._buffers: tuple[Tensor, ...] = ()

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append the new positions; returns views of everything so far, [M, heads, length, head_dim]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            rows, capacity = self._shape
            shapes = ((rows, states.shape[1], capacity, states.shape[3]) for states in (key_states, value_states))
            self._buffers = tuple(key_states.new_empty(shape) for shape in shapes)
        start, self._length = self._length, self._length + key_states.shape[-2]
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[: len(new), :, start : self._length] = new
        self._view(len(key_states))
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Go on with copies of some rows; those that stay in their places cost nothing."""
        if self.is_initialized:
            copy_rows((buffer[:, :, : self._length] for buffer in self._buffers), beam_idx)
            self._view(len(beam_idx))

    def _view(self, rows: int) -> None:
        self.keys, self.values = (buffer[:rows, :, : self._length] for buffer in self._buffers)
