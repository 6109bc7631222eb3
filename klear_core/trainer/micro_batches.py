"""Which rows of a batch go through the model together, and their forward pass: padded or packed."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding, pad

from klear_core.batch import TokenScores, TrainBatch
from klear_core.config import RLConfig
from klear_core.trainer.distinct_rows import distinct_rows
from klear_core.trainer.packing import first_fit, score_in_rows
from klear_core.trainer.policy import score


def split_rows(batch: TrainBatch, *, micro_batch_tokens: int | None, pack_tokens: int | None) -> list[Tensor]:
    """Rows of each micro-batch of a batch, [rows], as of ``split_lengths``; of an empty batch one without rows.

    Rows of the same tokens come together and count as one, as they are computed once.
    """
    num_rows = len(batch.advantages_N)
    if micro_batch_tokens is None or not num_rows:
        return [torch.arange(num_rows)]
    row_U, kind_N = distinct_rows(batch.token_ids_NL, batch.attention_mask_NL)
    num_prompt = batch.token_ids_NL.shape[1] - batch.response_mask_NT.shape[1]
    attention_UL = batch.attention_mask_NL[row_U]
    prompts, responses = attention_UL[:, :num_prompt].sum(1).tolist(), attention_UL[:, num_prompt:].sum(1).tolist()
    parts = split_lengths(prompts, responses, micro_batch_tokens=micro_batch_tokens, pack_tokens=pack_tokens)
    return [torch.isin(kind_N, torch.tensor(kinds, device=kind_N.device)).nonzero().squeeze(1) for kinds in parts]


def split_lengths(
    prompts: Sequence[int], responses: Sequence[int], *, micro_batch_tokens: int | None, pack_tokens: int | None
) -> list[list[int]]:
    """Rows of each micro-batch, ascending, from the tokens of their prompts and responses: at most
    ``micro_batch_tokens`` positions go through the model, padding included, or one row (a packed one, with
    ``pack_tokens``) that alone has more; all rows where it is None.

    Padded rows of similar length share a micro-batch.  The loss of an update is a sum over its rows under the whole
    step's denominators, so that their order changes rounding only.
    """
    if micro_batch_tokens is None:
        return [list(range(len(prompts)))]
    if pack_tokens is None:
        order = sorted(range(len(prompts)), key=lambda n: (-responses[n], -prompts[n]))
        units = [([n], (prompts[n], responses[n])) for n in order]
    else:
        lengths = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
        packed = first_fit(lengths, row_tokens=pack_tokens)
        units = [(members, (0, sum(lengths[n] for n in members))) for members in packed]
    return [sorted(rows) for rows in _fill(units, micro_batch_tokens)]


def score_rows(model: Any, batch: TrainBatch, rl: RLConfig, *, pad_id: int, entropy: bool) -> TokenScores:
    """Log-probabilities of all responses of a batch in one forward pass, as of ``score_every_row``.

    Rows of the same tokens are computed once (a dropout would be drawn once as well): they have the same scores, and
    what the loss asks of each of them adds up.
    """
    row_U, kind_N = distinct_rows(batch.token_ids_NL, batch.attention_mask_NL)
    if len(row_U) == len(kind_N):
        return score_every_row(model, batch, rl, pad_id=pad_id, entropy=entropy)
    scores = score_every_row(model, batch.rows(row_U), rl, pad_id=pad_id, entropy=entropy)
    # An embedding is indexing whose backward pass adds up in one order, whatever the threads.
    entropy_NT = None if scores.entropy_NT is None else embedding(kind_N, scores.entropy_NT)
    return TokenScores(logprobs_NT=embedding(kind_N, scores.logprobs_NT), entropy_NT=entropy_NT)


def score_every_row(model: Any, batch: TrainBatch, rl: RLConfig, *, pad_id: int, entropy: bool) -> TokenScores:
    """Log-probabilities of all responses of a batch in one forward pass, as ``policy.score`` says: of packed rows with
    ``rl.pack_tokens``, else of padded ones, which with ``rl.micro_batch_tokens`` are as wide as the longest of these
    rows needs and not of the whole rollout.
    """
    ids_NL, attention_NL = batch.token_ids_NL, batch.attention_mask_NL
    T = batch.response_mask_NT.shape[1]
    if rl.pack_tokens is not None:
        return score_in_rows(
            model,
            ids_NL,
            attention_NL,
            num_response=T,
            row_tokens=rl.pack_tokens,
            pad_id=pad_id,
            temperature=rl.temperature,
            entropy=entropy,
        )
    missing = 0
    if rl.micro_batch_tokens is not None:
        used = attention_NL.any(0).nonzero()
        first, missing = int(used[0]), min(ids_NL.shape[1] - 1 - int(used[-1]), T - 1)
        last = ids_NL.shape[1] - missing
        ids_NL, attention_NL = ids_NL[:, first:last], attention_NL[:, first:last]
    scores = score(model, ids_NL, attention_NL, num_response=T - missing, temperature=rl.temperature, entropy=entropy)
    if not missing:
        return scores
    entropy_NT = None if scores.entropy_NT is None else pad(scores.entropy_NT, (0, missing))
    return TokenScores(logprobs_NT=pad(scores.logprobs_NT, (0, missing)), entropy_NT=entropy_NT)


def score_parts(
    batch: TrainBatch, parts: Sequence[Tensor], forward: Callable[..., TokenScores], *, entropy: bool
) -> TokenScores:
    """``forward`` of every micro-batch, put together in the order of the batch's rows."""
    scores = [forward(batch.rows(rows_N), entropy=entropy) for rows_N in parts]
    places_N = torch.cat(list(parts)).argsort()
    entropies = [each.entropy_NT for each in scores if each.entropy_NT is not None]
    return TokenScores(
        logprobs_NT=torch.cat([each.logprobs_NT for each in scores])[places_N],
        entropy_NT=torch.cat(entropies)[places_N] if entropies else None,
    )


def _fill(units: Sequence[tuple[list[int], tuple[int, int]]], most: int) -> list[list[int]]:
    """Rows of units in their order, a new list before a unit that would bring (units x their largest size) over
    ``most``; the size of a unit has two parts, of which each is padded to its own largest.
    """
    parts: list[list[int]] = []
    count, sizes = 0, (0, 0)
    for rows, size in units:
        grown = max(sizes[0], size[0]), max(sizes[1], size[1])
        if count and (count + 1) * sum(grown) <= most:
            parts[-1] += rows
            count, sizes = count + 1, grown
        else:
            parts.append(list(rows))
            count, sizes = 1, size
    return parts
