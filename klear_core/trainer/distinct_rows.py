"""Rows of a batch that hold the same tokens: completions that a policy that is sure of itself gave twice."""

import torch
from torch import Tensor


def distinct_rows(token_ids_NL: Tensor, attention_mask_NL: Tensor) -> tuple[Tensor, Tensor]:
    """One row of each kind, [U], and the kind of every row, [N], both int64; padding counts as no token.

    ``row_U[kind_N]`` is for each row one of the same tokens.
    """
    kinds_UL, kind_N = torch.unique(token_ids_NL.masked_fill(~attention_mask_NL, -1), dim=0, return_inverse=True)
    row_U = kind_N.new_empty(len(kinds_UL))
    row_U[kind_N] = torch.arange(len(kind_N), device=kind_N.device)
    return row_U, kind_N
