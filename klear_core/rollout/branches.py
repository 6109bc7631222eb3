"""Which rows a decoder computes: completions of a prompt that have the same tokens so far are one row.

A policy that is sure of most tokens gives the completions of a group long common beginnings.  Keys, values and logits
after the same tokens are the same, so a row is copied where its completions part and not before.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from klear_core.rollout.decoder import Decoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """The rows to compute next, M of them."""

    parents_M: Tensor  # int64: the present row that each goes on from
    tokens_M: Tensor  # int64: the token that each reads
    row_N: Tensor  # int64: the row of each of N completions
    splits: bool  # whether a present row goes on as several


def branch(row_N: Tensor, tokens_N: Tensor) -> Branches:
    """One row for every (present row, next token) that occurs among N completions.

    A row stays in its place where there is one for it: it goes on with the smallest of its tokens, and the others
    take places that are free, so that few rows have to be moved.
    """
    base = int(tokens_N.max()) + 1
    pairs_M, pair_N = torch.unique(row_N * base + tokens_N, return_inverse=True)
    parents_M = pairs_M // base
    M = len(pairs_M)
    is_first_M = torch.ones(M, dtype=torch.bool)
    is_first_M[1:] = parents_M[1:] != parents_M[:-1]
    stays_M = is_first_M & (parents_M < M)
    is_free_M = torch.ones(M, dtype=torch.bool)
    is_free_M[parents_M[stays_M]] = False
    place_M = parents_M.clone()
    place_M[~stays_M] = is_free_M.nonzero().squeeze(1)
    at_M = place_M.argsort()
    return Branches(
        parents_M=parents_M[at_M],
        tokens_M=(pairs_M % base)[at_M],
        row_N=place_M[pair_N],
        splits=not bool(is_first_M.all()),
    )


def advance(decoder: Decoder, row_N: Tensor, tokens_N: Tensor) -> Tensor:
    """Have ``decoder`` read the next tokens of the completions that go on, whose rows are ``row_N``; returns their rows
    after that.

    Rows that no completion needs any more are carried along while they are few and no row branches.
    """
    rows = len(decoder.logits_MV)
    enough = (1 - decoder.compact_at) * rows
    # Completions that all have rows of their own, as in the end most have, need no search for equal ones.
    is_shared = int(row_N.bincount().max()) > 1
    branches = branch(row_N, tokens_N) if is_shared or len(row_N) <= enough else None
    if branches is not None and (branches.splits or len(branches.parents_M) <= enough):
        decoder.select(branches.parents_M)
        row_N, tokens_M = branches.row_N, branches.tokens_M
    else:
        tokens_M = torch.zeros(rows, dtype=torch.int64)
        tokens_M[row_N] = tokens_N
    decoder.decode(tokens_M.to(decoder.logits_MV.device))
    return row_N


def rows_of(logits_MV: Tensor, row_N: Tensor) -> Tensor:
    """Logits of each completion, [N, V]; not copied where every row is that of one, in order."""
    if torch.equal(row_N, torch.arange(len(logits_MV))):
        return logits_MV
    return logits_MV[row_N.to(logits_MV.device)]
