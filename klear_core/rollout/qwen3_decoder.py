"""Decoding with a Qwen3 model by a lean forward pass: the function of the transformers model in fewer operations."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as nnf

from klear_core.records import Prompt
from klear_core.rollout.cuda_graphs import GraphedStep
from klear_core.rollout.decoder import copy_rows
from klear_core.rollout.qwen3_weights import Qwen3Weights

# Attention sees lengths rounded up to a bucket: torch leaves softmaxes of fewer than 16 numbers and products of fewer
# than 400 multiplications to slow plain loops.
_BUCKET, _BUCKET_OF_SMALL_HEADS, _SMALL_HEAD = 16, 32, 25
# With graphs a new length is a new capture, which costs some steps.
_BUCKET_OF_GRAPHS = 256

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Qwen3Decoder:
    """See ``Decoder``. Rows hold a prompt, right-padded to W tokens, then their own tokens from column W on.

    Axes: N rows that there is room for, of which the first M are in use, C hidden size, H and K heads of queries and
    keys, D size of a head, R = H / K, L columns that are looked at.
    """

    def __init__(
        self, weights: Qwen3Weights, prompts: Sequence[Prompt], *, max_rows: int, max_tokens: int, graphs: bool
    ) -> None:
        """Run each prompt; up to ``max_tokens`` are to follow, in up to ``max_rows`` rows."""
        self._weights = weights
        is_small = weights.head_dim < _SMALL_HEAD
        self._bucket = _BUCKET_OF_GRAPHS if graphs else _BUCKET_OF_SMALL_HEADS if is_small else _BUCKET
        self._run: Callable[[tuple[int, int], Callable[[], Tensor]], Tensor] = GraphedStep() if graphs else _at_once
        self.compact_at = 0.5 if graphs else 0.0625
        lengths = [len(prompt.token_ids) for prompt in prompts]
        self._column = width = max(lengths)  # that the next token goes to
        columns = self._rounded(width + max_tokens)
        like = weights.embedding_VC
        lengths_P = torch.tensor(lengths, device=like.device)
        angles_LF = torch.arange(columns, device=like.device)[:, None] * weights.frequencies_F
        self._turns_LF = torch.polar(torch.ones_like(angles_LF), angles_LF)
        # Room for all rows, of which the first are in use.
        shape = (max_rows, weights.kv_heads, columns, weights.head_dim)
        self._keys = [like.new_empty(shape) for _ in weights.layers]
        self._values = [like.new_empty(shape) for _ in weights.layers]
        self._tokens_N = torch.zeros(max_rows, dtype=torch.int64, device=like.device)
        self._positions_N = torch.zeros(max_rows, dtype=torch.int64, device=like.device)
        self._positions_N[: len(prompts)] = lengths_P
        self._bias_NL = like.new_zeros(max_rows, columns)
        is_prompt_PL = torch.arange(columns, device=like.device) < lengths_P[:, None]
        self._bias_NL[: len(prompts)].masked_fill_(~is_prompt_PL, -torch.inf)
        self._column_1 = torch.tensor([width], device=like.device)
        self.is_static = graphs
        self._rows = len(prompts)
        self._clear(width, self._rounded(width))
        self.logits_MV = self._prefill(prompts, lengths_P)

    def decode(self, tokens_M: Tensor) -> None:
        """Read one more token a row."""
        self._tokens_N[: self._rows] = tokens_M
        if self._column % self._bucket == 0:
            self._clear(self._column, self._column + self._bucket)
        length = self._rounded(self._column + 1)
        self.logits_MV = self._run((self._rows, length), lambda: self._step(length))
        self._positions_N += 1
        self._column_1 += 1
        self._column += 1

    def select(self, parents_M: Tensor) -> None:
        """Go on with copies of the rows of these indices: rows that stay in their places cost nothing."""
        # Up to the end of the bucket, whose columns must be finite.
        columns = self._rounded(self._column)
        copy_rows((buffer[:, :, :columns] for buffer in (*self._keys, *self._values)), parents_M)
        copy_rows((self._positions_N, self._bias_NL), parents_M)
        self._rows = len(parents_M)
        self.logits_MV = self.logits_MV[parents_M]

    def _clear(self, start: int, stop: int) -> None:
        """Zeros in columns to come: attention reads them with weight zero, so they must be finite."""
        for buffer in (*self._keys, *self._values):
            buffer[: self._rows, :, start:stop] = 0.0

    def _rounded(self, length: int) -> int:
        return -(-length // self._bucket) * self._bucket

    def _prefill(self, prompts: Sequence[Prompt], lengths_P: Tensor) -> Tensor:
        """Logits after each prompt."""
        P, W, D = len(prompts), self._column, self._weights.head_dim
        # Padding stands behind the prompt, where causality hides it.
        ids = [list(prompt.token_ids) + [0] * (W - len(prompt.token_ids)) for prompt in prompts]
        ids_PW = torch.tensor(ids, device=lengths_P.device)

        def attend(index: int, q_MHD: Tensor, k_MKD: Tensor, v_MKD: Tensor) -> Tensor:
            q, k, v = (x.view(P, W, -1, D).transpose(1, 2) for x in (q_MHD, k_MKD, v_MKD))  # [P, heads, W, D]
            self._keys[index][:P, :, :W], self._values[index][:P, :, :W] = k, v
            mixed = nnf.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0, enable_gqa=True)
            return mixed.transpose(1, 2).flatten(0, 1)

        hidden_MC = self._layers(ids_PW.flatten(), torch.arange(W, device=ids_PW.device).repeat(P), attend)
        last_PC = hidden_MC.view(P, W, -1)[torch.arange(P, device=ids_PW.device), lengths_P - 1]
        return nnf.linear(last_PC, self._weights.head_VC)

    def _step(self, length: int) -> Tensor:
        """Logits after the tokens read now, whose keys and values go to the next column; running it twice is as once.

        ``length`` is the only size that differs from step to step while the rows are the same.
        """
        M, K, D = self._rows, self._weights.kv_heads, self._weights.head_dim
        bias_ML = self._bias_NL[:M]
        bias_ML.index_fill_(1, self._column_1, 0.0)
        bias_B1L = bias_ML[:, None, None, :length].expand(M, K, 1, length).reshape(M * K, 1, length)

        # A slice is written faster, a tensor may change under a graph.
        at = self._column_1 if self.is_static else slice(self._column, self._column + 1)

        def attend(index: int, q_MHD: Tensor, k_MKD: Tensor, v_MKD: Tensor) -> Tensor:
            keys, values = self._keys[index][:M], self._values[index][:M]
            keys[:, :, at], values[:, :, at] = k_MKD[:, :, None], v_MKD[:, :, None]
            keys_BLD, values_BLD = keys[:, :, :length].flatten(0, 1), values[:, :, :length].flatten(0, 1)  # B = M K
            scores_BRL = torch.baddbmm(bias_B1L, q_MHD.reshape(M * K, -1, D), keys_BLD.transpose(1, 2))
            weights_BRL = scores_BRL.softmax(-1, dtype=torch.float32).to(values.dtype)
            return torch.bmm(weights_BRL, values_BLD).view(M, -1, D)

        return nnf.linear(self._layers(self._tokens_N[:M], self._positions_N[:M], attend), self._weights.head_VC)

    def _layers(self, ids_M: Tensor, positions_M: Tensor, attend: Attend) -> Tensor:
        """Final hidden states of M tokens, [M, C]. Only ``attend`` lets a token see others."""
        weights = self._weights
        H, K, D = weights.heads, weights.kv_heads, weights.head_dim
        turns_M1F = self._turns_LF[positions_M][:, None]
        x_MC = nnf.embedding(ids_M, weights.embedding_VC)
        for index, layer in enumerate(weights.layers):
            qkv = nnf.linear(self._norm(x_MC, layer.attention_norm_C), layer.qkv_OC).view(len(x_MC), -1, D)
            qk = nnf.rms_norm(qkv[:, : H + K].float(), (D,), eps=weights.eps) * layer.qk_norm_HD
            qk = torch.view_as_real(torch.view_as_complex(qk.view(len(x_MC), H + K, -1, 2)) * turns_M1F).flatten(2)
            qk = qk.to(x_MC.dtype)
            mixed_MHD = attend(index, qk[:, :H], qk[:, H:], qkv[:, H + K :])
            x_MC = torch.addmm(x_MC, mixed_MHD.flatten(1), layer.out_CO.T)
            gate_MI, up_MI = nnf.linear(self._norm(x_MC, layer.mlp_norm_C), layer.gate_up_OC).chunk(2, dim=1)
            x_MC = torch.addmm(x_MC, nnf.silu(gate_MI).mul_(up_MI), layer.down_CI.T)
        return self._norm(x_MC, weights.norm_C)

    def _norm(self, x_MC: Tensor, weight_C: Tensor) -> Tensor:
        return nnf.rms_norm(x_MC, (x_MC.shape[1],), weight_C, self._weights.eps)


def _at_once(shape: tuple[int, int], step: Callable[[], Tensor]) -> Tensor:
    return step()
