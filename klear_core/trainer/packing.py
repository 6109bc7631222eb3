"""Several sequences in one row, none of which sees another."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from klear_core.batch import TokenScores
from klear_core.errors import DataError
from klear_core.trainer.collate import pad
from klear_core.trainer.policy import token_scores


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedTokens:
    """J rows of L positions, each filled with whole sequences and padding behind them."""

    token_ids_JL: Tensor  # int64
    position_ids_JL: Tensor  # int64: place within its sequence
    sequence_JL: Tensor  # int64: number of the sequence in the order given, -1 on the padding
    is_response_JL: Tensor  # bool: tokens that are scored

    def attention(self) -> Tensor:
        """Which position (second axis) looks at which (third), [J, L, L]: itself and earlier ones of its sequence."""
        L = self.token_ids_JL.shape[1]
        same_JLL = self.sequence_JL[:, :, None] == self.sequence_JL[:, None, :]
        # Padding looks at padding alone, as a softmax over nothing is not a number.
        return same_JLL & torch.ones(L, L, dtype=torch.bool, device=same_JLL.device).tril()

    def in_one_row(self) -> "PackedTokens":
        """All sequences one behind the other, without padding: J = 1."""
        filled_JL = self.sequence_JL >= 0
        return PackedTokens(**{field.name: getattr(self, field.name)[filled_JL][None] for field in fields(self)})


def first_fit(lengths: Sequence[int], *, row_tokens: int) -> list[list[int]]:
    """Which sequences share a row of at most ``row_tokens``: the longest first, each into the first row with room for
    it (first-fit decreasing: at most 11/9 of the fewest rows, and 6/9 more).

    DataError when a sequence has more than ``row_tokens`` tokens.
    """
    if max(lengths) > row_tokens:
        raise DataError(
            f"a prompt with its response has {max(lengths)} tokens; allowed: at most {row_tokens}, the tokens of a "
            f"packed row"
        )
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda k: -lengths[k]):
        row = next((r for r, free in enumerate(room) if free >= lengths[index]), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(row_tokens)
        rows[row].append(index)
        room[row] -= lengths[index]
    return rows


def pack(
    prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], *, row_tokens: int, pad_id: int
) -> PackedTokens:
    """Put sequences (a prompt and its response) into rows as ``first_fit`` says; DataError as there."""
    padded = pad(prompts, responses, pad_id=pad_id)
    return pack_padded(
        padded.token_ids_NL,
        padded.attention_mask_NL,
        num_response=padded.response_mask_NT.shape[1],
        row_tokens=row_tokens,
        pad_id=pad_id,
    )


def pack_padded(
    token_ids_NL: Tensor, attention_mask_NL: Tensor, *, num_response: int, row_tokens: int, pad_id: int
) -> PackedTokens:
    """The same of padded rows whose last ``num_response`` positions hold the responses."""
    lengths = attention_mask_NL.sum(1).tolist()
    rows = first_fit(lengths, row_tokens=row_tokens)
    row_of, start_of = [0] * len(lengths), [0] * len(lengths)
    filled = [0] * len(rows)
    for row, members in enumerate(rows):
        for n in members:
            row_of[n], start_of[n] = row, filled[row]
            filled[row] += lengths[n]
    # K tokens, each with its sequence and its place there and in the padded row.
    n_K, place_K = attention_mask_NL.nonzero(as_tuple=True)
    position_K = (attention_mask_NL.cumsum(1) - 1)[n_K, place_K]
    device = token_ids_NL.device
    row_K = torch.tensor(row_of, device=device)[n_K]
    column_K = torch.tensor(start_of, device=device)[n_K] + position_K

    def placed(values_K: Tensor, *, otherwise: int | bool) -> Tensor:
        shape = (len(rows), max(filled))
        return torch.full(shape, otherwise, dtype=values_K.dtype, device=device).index_put((row_K, column_K), values_K)

    return PackedTokens(
        token_ids_JL=placed(token_ids_NL[n_K, place_K], otherwise=pad_id),
        position_ids_JL=placed(position_K, otherwise=0),
        sequence_JL=placed(n_K, otherwise=-1),
        is_response_JL=placed(place_K >= token_ids_NL.shape[1] - num_response, otherwise=False),
    )


def score_packed(
    model: Any, packed: PackedTokens, *, temperature: float, entropy: bool
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities of all response tokens in one line, row by row, and entropies there; both [K], nats, as of
    ``token_scores``.

    The first token of a sequence is predicted by nothing, so an empty prompt is not possible: ValueError.
    """
    if bool(((packed.position_ids_JL == 0) & packed.is_response_JL).any()):
        raise ValueError("a sequence has an empty prompt")
    mask = _attention_mask(model, packed)
    if mask is None:
        packed = packed.in_one_row()
    # Every response token is predicted at the position before it.
    predicts_JL = packed.is_response_JL.roll(-1, dims=1)
    return token_scores(
        model,
        packed.token_ids_JL[packed.is_response_JL],
        at=predicts_JL,
        temperature=temperature,
        entropy=entropy,
        input_ids=packed.token_ids_JL,
        attention_mask=mask,
        position_ids=packed.position_ids_JL,
    )


def score_in_rows(
    model: Any,
    token_ids_NL: Tensor,
    attention_mask_NL: Tensor,
    *,
    num_response: int,
    row_tokens: int,
    pad_id: int,
    temperature: float,
    entropy: bool,
) -> TokenScores:
    """What ``policy.score`` gives for the same padded rows, from packed rows; values at padded responses are 0.

    DataError when a sequence is longer than a row, ValueError for an empty prompt.
    """
    packed = pack_padded(
        token_ids_NL, attention_mask_NL, num_response=num_response, row_tokens=row_tokens, pad_id=pad_id
    )
    logprobs_K, entropy_K = score_packed(model, packed, temperature=temperature, entropy=entropy)
    prompts_N = attention_mask_NL[:, : token_ids_NL.shape[1] - num_response].sum(1)
    n_K = packed.sequence_JL[packed.is_response_JL]
    t_K = packed.position_ids_JL[packed.is_response_JL] - prompts_N[n_K]

    def spread(values_K: Tensor) -> Tensor:
        return values_K.new_zeros(len(token_ids_NL), num_response).index_put((n_K, t_K), values_K)

    return TokenScores(logprobs_NT=spread(logprobs_K), entropy_NT=None if entropy_K is None else spread(entropy_K))


def _attention_mask(model: Any, packed: PackedTokens) -> Tensor | None:
    """The mask [J, 1, L, L] as the model's attention takes it; None where position ids in one row are enough.

    DataError for attention that would carry something over the boundaries, or that is not known here.
    """
    config = model.config
    name = config._attn_implementation
    if set(getattr(config, "layer_types", None) or ()) - {"full_attention"} or getattr(config, "sliding_window", None):
        raise DataError("the model has layers other than full attention; allowed with pack_tokens: full attention only")
    if "flash" in name:
        return None  # without a mask, transformers begins a sequence wherever the positions of a single row are 0
    if name == "sdpa":
        return packed.attention()[:, None]
    if name == "eager":  # added to the attention's logits
        forbidden = ~packed.attention()[:, None]
        return torch.zeros(forbidden.shape, dtype=model.dtype, device=forbidden.device).masked_fill(
            forbidden, torch.finfo(model.dtype).min
        )
    raise DataError(f"the model's attention is {name}; allowed with pack_tokens: sdpa, eager and flash attention")
