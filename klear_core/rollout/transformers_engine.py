"""The engine of transformers' own ``generate``, with our random numbers: it draws what the native engine draws."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from klear_core.records import Completion, Prompt, RandomKey, SamplingParams
from klear_core.rollout.engine import draws_of, generate_in_chunks
from klear_core.rollout.native import MAX_ROWS
from klear_core.rollout.sampling import Sampled, choose


class TransformersEngine:
    """Samples through ``model.generate``, for a model of any architecture that lives in this process.

    The prompt is computed once for each of its completions, and finished rows are carried along to the end.
    Continuous batching (``generate_batch``) draws all completions from one generator, so that a completion would
    depend on its neighbours, against the contract of ``Engine``; ``tests/benchmarks/rollout.py`` measures it.
    """

    def __init__(self, model: Any, tokenizer: Any, *, max_rows: int = MAX_ROWS) -> None:
        """``max_rows`` bounds the completions of one call of ``generate``."""
        self._model = model
        self._tokenizer = tokenizer
        self._max_rows = max_rows

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[Prompt], sampling: SamplingParams, key: RandomKey
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine``. EngineError when a prompt is empty or does not fit into the model's context."""

        def generate(part: Sequence[Prompt]) -> list[tuple[Completion, ...]]:
            return self._generate_chunk(part, sampling, key)

        with _plain_settings(self._model):
            return generate_in_chunks(self._model, prompts, sampling, self._max_rows, generate)

    def _generate_chunk(
        self, prompts: Sequence[Prompt], sampling: SamplingParams, key: RandomKey
    ) -> list[tuple[Completion, ...]]:
        G, T = sampling.num_samples, sampling.max_tokens
        eos, pad = self._tokenizer.eos_token_id, self._tokenizer.pad_token_id
        width = max(len(prompt.token_ids) for prompt in prompts)
        lefts = [width - len(prompt.token_ids) for prompt in prompts]
        ids = [[pad] * left + list(prompt.token_ids) for left, prompt in zip(lefts, prompts, strict=True)]
        mask_PL = (torch.arange(width)[None] >= torch.tensor(lefts)[:, None]).long()
        chooser = _Chooser(sampling, draws_of(prompts, sampling, key), rows=len(prompts) * G)
        device = self._model.device
        output_NL = self._model.generate(
            inputs=torch.tensor(ids, device=device).repeat_interleave(G, dim=0),
            attention_mask=mask_PL.to(device).repeat_interleave(G, dim=0),
            generation_config=GenerationConfig(do_sample=False, max_new_tokens=T, eos_token_id=eos, pad_token_id=pad),
            logits_processor=LogitsProcessorList([chooser]),
        )
        tokens_NT = output_NL[:, width:].cpu()
        ends_NT = tokens_NT == eos
        # The first end-of-text counts as a token; without one a response fills all columns.
        first_N = torch.where(ends_NT.any(1), ends_NT.int().argmax(1) + 1, tokens_NT.shape[1])
        chooser.sampled.lengths_N.copy_(first_N)
        completions = chooser.sampled.completions(self._tokenizer)
        return [tuple(completions[p * G : (p + 1) * G]) for p in range(len(prompts))]


class _Chooser(LogitsProcessor):  # type: ignore[misc]
    """Chooses every token itself, keeps it with its log-probability, and leaves greedy search that token only."""

    def __init__(self, sampling: SamplingParams, drawn: Any, *, rows: int) -> None:
        self.sampled = Sampled(rows, sampling.max_tokens)
        self._sampling = sampling
        self._draws_NT = None if drawn is None else torch.from_numpy(drawn)
        self._rows = torch.arange(rows)
        self._t = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """``scores`` with all but the chosen tokens at minus infinity, [N, V]."""
        draws_N = None if self._draws_NT is None else self._draws_NT[:, self._t]
        choice = choose(scores, self._sampling, draws_N)
        self.sampled.put(self._t, self._rows, choice.cpu())
        self._t += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, choice.tokens_N[:, None], 0.0)


@contextmanager
def _plain_settings(model: Any) -> Iterator[None]:
    """Without the checkpoint's own settings of generation, such as a repetition penalty, which ``generate`` adds."""
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own
