"""What the native engine asks of a decoder: rows of tokens under one model, advanced one token at a time."""

from typing import Protocol

from torch import Tensor


class Decoder(Protocol):
    """N rows in decoding; a decoder is begun with prompts that it has read, each for all rows of its group."""

    logits_NV: Tensor  # of the token after the last one read
    compact_at: float  # share of finished rows from which taking them out costs less than carrying them along

    def decode(self, tokens_N: Tensor) -> None:
        """Read one more token a row."""
        ...

    def keep(self, order_N: Tensor) -> None:
        """Go on with the rows of these indices only, in this order; an index is at least its place."""
        ...
