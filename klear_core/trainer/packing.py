"""Several demonstrations in one row, none of which sees another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from klear_core.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedTokens:
    """J rows of L positions, each filled with whole sequences and padding behind them."""

    token_ids_JL: Tensor  # int64
    position_ids_JL: Tensor  # int64: place within its sequence
    sequence_JL: Tensor  # int64: number of the sequence within the row, -1 on the padding
    is_response_JL: Tensor  # bool: tokens that are learned

    def attention(self) -> Tensor:
        """Which position (second axis) looks at which (third), [J, L, L]: itself and earlier ones of its sequence."""
        L = self.token_ids_JL.shape[1]
        same_JLL = self.sequence_JL[:, :, None] == self.sequence_JL[:, None, :]
        # Padding looks at itself alone, as a softmax over nothing is not a number.
        return same_JLL & torch.ones(L, L, dtype=torch.bool).tril().to(same_JLL.device)


def pack(
    prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], *, row_tokens: int, pad_id: int
) -> PackedTokens:
    """Put sequences (a prompt and its response) into rows of at most ``row_tokens``, the longest first, each into the
    first row with room for it (first-fit decreasing: at most 11/9 of the fewest rows, and 6/9 more).

    DataError when a sequence has more than ``row_tokens`` tokens.
    """
    lengths = [len(prompt) + len(response) for prompt, response in zip(prompts, responses, strict=True)]
    if max(lengths) > row_tokens:
        raise DataError(f"a demonstration has {max(lengths)} tokens; allowed: at most {row_tokens}")
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda k: -lengths[k]):
        row = next((r for r, free in enumerate(room) if free >= lengths[index]), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(row_tokens)
        rows[row].append(index)
        room[row] -= lengths[index]
    L = row_tokens - min(room)
    ids, positions, sequences, learned = [], [], [], []
    for members in rows:
        row_ids: list[int] = []
        row_positions: list[int] = []
        row_sequences: list[int] = []
        row_learned: list[bool] = []
        for number, index in enumerate(members):
            prompt, response = prompts[index], responses[index]
            row_ids += [*prompt, *response]
            row_positions += range(lengths[index])
            row_sequences += [number] * lengths[index]
            row_learned += [False] * len(prompt) + [True] * len(response)
        padding = L - len(row_ids)
        ids.append(row_ids + [pad_id] * padding)
        positions.append(row_positions + [0] * padding)
        sequences.append(row_sequences + [-1] * padding)
        learned.append(row_learned + [False] * padding)
    return PackedTokens(
        token_ids_JL=torch.tensor(ids),
        position_ids_JL=torch.tensor(positions),
        sequence_JL=torch.tensor(sequences),
        is_response_JL=torch.tensor(learned),
    )


def score_packed(model: Any, packed: PackedTokens) -> Tensor:
    """Log-probabilities of all learned tokens in one line, [tokens], nats, with gradient.

    The first token of a sequence is predicted by nothing, so an empty prompt is not possible: ValueError.
    """
    is_first_JL = (packed.position_ids_JL == 0) & packed.is_response_JL
    if bool(is_first_JL.any()):
        raise ValueError("a demonstration has an empty prompt")
    output = model(
        input_ids=packed.token_ids_JL,
        attention_mask=packed.attention()[:, None],
        position_ids=packed.position_ids_JL,
        use_cache=False,
    )
    learned_JL = packed.is_response_JL[:, 1:]
    # Only positions whose next token is learned go through the softmax.
    logits_KV = output.logits[:, :-1][learned_JL].float()
    return torch.log_softmax(logits_KV, dim=-1).gather(-1, packed.token_ids_JL[:, 1:][learned_JL][:, None]).squeeze(-1)
