"""The native engine: sampling from a transformers causal LM, common beginnings of a group computed once."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from klear_core.records import Completion, Prompt, RandomKey, SamplingParams
from klear_core.rollout.branches import advance, rows_of
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
        P, G, T = len(prompts), sampling.num_samples, sampling.max_tokens
        drawn = draws_of(prompts, sampling, key)
        draws_NT = None if drawn is None else torch.from_numpy(drawn)
        decoder = begin(prompts, max_rows=P * G, max_tokens=T)
        sampled = Sampled(P * G, T)
        open_N = torch.arange(P * G)  # completions that go on
        row_N = torch.arange(P).repeat_interleave(G)  # of the decoder, for each of them
        if decoder.is_static:
            decoder.select(row_N)
            row_N = torch.arange(P * G)
        for t in range(T):
            logits_NV = rows_of(decoder.logits_MV, row_N)
            choice = choose(logits_NV, sampling, None if draws_NT is None else draws_NT[open_N, t]).cpu()
            sampled.put(t, open_N, choice)
            goes_on = choice.tokens_N != self._tokenizer.eos_token_id
            sampled.lengths_N[open_N[~goes_on]] = t + 1
            open_N, row_N = open_N[goes_on], row_N[goes_on]
            if t + 1 == T or not len(open_N):
                break
            row_N = advance(decoder, row_N, choice.tokens_N[goes_on])
        completions = sampled.completions(self._tokenizer)
        return [tuple(completions[p * G : (p + 1) * G]) for p in range(P)]
