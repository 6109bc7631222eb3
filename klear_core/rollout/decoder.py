"""What the native engine asks of a decoder: rows of tokens under one model, advanced one token at a time."""

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor


class Decoder(Protocol):
    """M rows in decoding; a decoder is begun with prompts that it has read, a row each."""

    logits_MV: Tensor  # of the token after the last one read
    compact_at: float  # share of rows that are over from which taking them out costs less than carrying them along
    is_static: bool  # a change of the number of rows is dear: every completion has its own row from the start

    def decode(self, tokens_M: Tensor) -> None:
        """Read one more token a row."""
        ...

    def select(self, parents_M: Tensor) -> None:
        """Go on with copies of the rows of these indices, which may be more than before."""
        ...


def copy_rows(buffers: Iterable[Tensor], parents_M: Tensor) -> None:
    """Have row m of each buffer, [at least M, ...], be what row ``parents_M[m]`` was; rows that stay cost nothing.

    ``parents_M`` is in main memory, so that a GPU is not waited for.
    """
    moved = (parents_M != torch.arange(len(parents_M))).nonzero().squeeze(1)
    if len(moved):
        for buffer in buffers:
            buffer[moved] = buffer[parents_M[moved]]
