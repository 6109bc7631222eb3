"""How much memory the head takes beside its inputs and what it returns, from its block settings."""

from dataclasses import dataclass

import torch

from klear_core.trainer.head import HeadBlocks
from klear_core.trainer.head_products import multiplies_half, wide_dtype

# One number a token for the log-sum-exp, the incoming gradient, its index, and some while a block is worked on.
_BYTES_OF_A_TOKEN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadBytes:
    """Upper bound on the bytes that a forward and a backward pass hold at a time."""

    workspace: int  # blocks, and the float32 sum of the hidden gradient
    weight_sum: int  # the float32 sum of the whole weight gradient; 0 where it grows block by block or in place


def head_extra_bytes(
    *,
    tokens: int,
    hidden: int,
    vocab: int,
    dtype: torch.dtype,
    blocks: HeadBlocks,
    with_entropy: bool,
    device_type: str,
    one_pass: bool = False,
) -> HeadBytes:
    """The bound for ``tokens`` x ``hidden`` x ``vocab``; inputs, outputs and returned gradients are not in it.

    ``dtype`` is that of the hidden states and of the weight; a CUDA device multiplies half precision as it is, others
    widen a block of both first.  ``one_pass`` is for ``head_loss_one_pass``, which holds all logits of its block of
    tokens.  Not counted: what the libraries below torch allocate by themselves (cuBLAS: 32 MiB on Hopper).
    """
    wide = wide_dtype(dtype).itemsize
    is_half = dtype.itemsize < wide
    is_native = multiplies_half(dtype, device_type)
    B, X = min(blocks.tokens, tokens), min(blocks.vocab, vocab)
    logits = B * X * wide
    widened = (B + X) * hidden * wide if is_half and not is_native else 0
    # Rows with a gradient are gathered; those of the finished hidden gradient are rounded on their way out.
    gathered = B * hidden * dtype.itemsize
    rounded = B * X * dtype.itemsize if is_native else 0
    forward = logits * (2 if with_entropy else 1) + widened
    backward = logits + rounded + widened + 2 * gathered
    weight_sum = 0
    if blocks.outer == "tokens":
        backward += B * hidden * wide
        weight_sum = vocab * hidden * wide if is_half else 0
    else:
        backward += tokens * hidden * wide + X * hidden * wide
    if one_pass:
        all_logits = B * vocab * wide
        forward, backward = all_logits + forward, all_logits + backward
    return HeadBytes(workspace=max(forward, backward) + tokens * _BYTES_OF_A_TOKEN, weight_sum=weight_sum)
