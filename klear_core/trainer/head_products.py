"""Matrix products of the head, summed and returned in float32 whatever the dtype of their inputs.

A product of bfloat16 matrices rounds its result to bfloat16 unless told otherwise.  On a CUDA device torch multiplies
half precision into float32 (``out_dtype``); torch 2.13 has that for no other device, so elsewhere a block is widened
before it is multiplied, which costs memory for the block and is exact.
"""

import torch
from torch import Tensor

_HALF = (torch.bfloat16, torch.float16)


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """What logits, sums and log-probabilities are held in: float64 for float64, float32 for all else."""
    return torch.promote_types(dtype, torch.float32)


def multiplies_half(dtype: torch.dtype, device_type: str) -> bool:
    """Whether the device multiplies matrices of ``dtype`` into float32 without widening them first."""
    return device_type == "cuda" and dtype in _HALF


def operand(block: Tensor) -> Tensor:
    """The block in the dtype in which products take it; the block itself where that is its own."""
    if multiplies_half(block.dtype, block.device.type):
        return block
    return block.to(wide_dtype(block.dtype))


def product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right of two operands, [M, K] and [K, N], in the wide dtype."""
    if left.dtype in _HALF:
        return torch.mm(left, right, out_dtype=torch.float32)
    return torch.mm(left, right)


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right in place; ``total`` is in the wide dtype, the other two are operands."""
    if left.dtype in _HALF:
        torch.addmm(total, left, right, out_dtype=torch.float32, out=total)
    else:
        torch.addmm(total, left, right, out=total)
