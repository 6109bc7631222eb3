"""The native engine: sampling from a transformers causal LM, each prompt computed once for its whole group."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from klear_core.records import Completion, Prompt, RandomKey, SamplingParams
from klear_core.rollout.decoder import Decoder
from klear_core.rollout.engine import draws_of, generate_in_chunks
from klear_core.rollout.model_decoder import ModelDecoder
from klear_core.rollout.qwen3_decoder import Qwen3Decoder
from klear_core.rollout.qwen3_weights import Qwen3Weights, is_plain_qwen3
from klear_core.rollout.sampling import Sampled, choose

MAX_ROWS = 1024


class NativeEngine:
    """Samples from a model that lives in this process, so it always has the trainer's current weights.

    A Qwen3 model without special features is decoded by ``Qwen3Decoder``, any other model through its own forward pass.
    """

    def __init__(self, model: Any, tokenizer: Any, *, max_rows: int = MAX_ROWS, cuda_graphs: bool = False) -> None:
        """``max_rows`` bounds the completions decoded side by side, and so the memory of keys and values.

        ``cuda_graphs`` replays decoding steps as CUDA graphs where a ``Qwen3Decoder`` runs on a GPU.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._max_rows = max_rows
        self._cuda_graphs = cuda_graphs

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[Prompt], sampling: SamplingParams, key: RandomKey
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine``. EngineError when a prompt is empty or does not fit into the model's context."""
        begin = self._decoder()

        def generate(part: Sequence[Prompt]) -> list[tuple[Completion, ...]]:
            return self._generate_chunk(begin, part, sampling, key)

        return generate_in_chunks(self._model, prompts, sampling, self._max_rows, generate)

    def _decoder(self) -> Callable[..., Decoder]:
        """What begins a decoder of given prompts under the present weights."""
        if is_plain_qwen3(self._model):
            graphs = self._cuda_graphs and self._model.device.type == "cuda"
            return partial(Qwen3Decoder, Qwen3Weights.read(self._model), graphs=graphs)
        return partial(ModelDecoder, self._model, pad_id=self._tokenizer.pad_token_id)

    def _generate_chunk(
        self, begin: Callable[..., Decoder], prompts: Sequence[Prompt], sampling: SamplingParams, key: RandomKey
    ) -> list[tuple[Completion, ...]]:
        G, T = sampling.num_samples, sampling.max_tokens
        N = len(prompts) * G
        drawn = draws_of(prompts, sampling, key)
        draws_NT = None if drawn is None else torch.from_numpy(drawn)
        decoder = begin(prompts, repeats=G, max_tokens=T)
        sampled = Sampled(N, T)
        rows, is_open = torch.arange(N), torch.ones(N, dtype=torch.bool)
        for t in range(T):
            choice = choose(decoder.logits_NV, sampling, None if draws_NT is None else draws_NT[rows, t]).cpu()
            sampled.put(t, rows, choice)
            ended = choice.tokens_N == self._tokenizer.eos_token_id
            sampled.lengths_N[rows[ended & is_open]] = t + 1
            is_open &= ~ended
            num_open = int(is_open.sum())
            if t + 1 == T or num_open == 0:
                break
            tokens = choice.tokens_N
            if num_open <= (1 - decoder.compact_at) * len(rows):
                order = _closed_up(is_open, num_open)
                decoder.keep(order)
                rows, tokens, is_open = rows[order], tokens[order], is_open[order]
            decoder.decode(tokens.to(decoder.logits_NV.device))
        completions = sampled.completions(self._tokenizer)
        return [tuple(completions[p * G : (p + 1) * G]) for p in range(len(prompts))]


def _closed_up(is_open: Tensor, num_open: int) -> Tensor:
    """Indices of the open rows: those at the end take the places of finished ones, and the others stay."""
    order = torch.arange(num_open)
    order[~is_open[:num_open]] = is_open[num_open:].nonzero().squeeze(1) + num_open
    return order
