"""Supervised training: the policy learns to imitate responses of a teacher."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch

from klear_core.batch import moved
from klear_core.config import SFTConfig
from klear_core.records import SFTExample
from klear_core.trainer.checkpoint import TrainState, model_tensors, restore_model
from klear_core.trainer.collate import pad, prompt_ids, response_ids
from klear_core.trainer.micro_batches import split_lengths
from klear_core.trainer.optim import Optimizer
from klear_core.trainer.packing import pack, score_packed
from klear_core.trainer.policy import score


class SFTTrainer:
    """Trains ``model`` in place by the mean of -log pi over the response tokens of each batch, end-of-text included.

    ``examples(start)`` gives the endless demonstrations from visit ``start`` on, taken in their order.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        examples: Callable[[int], Iterator[SFTExample]],
        config: SFTConfig,
        *,
        precision: str,
    ) -> None:
        """``precision`` is that of the model, see ``klear_core.trainer.adamw``."""
        self._model = model
        self._tokenizer = tokenizer
        self._examples = examples
        self._config = config
        self._optimizer = Optimizer(
            model.parameters(),
            precision=precision,
            learning_rate=config.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.0,
            max_grad_norm=config.max_grad_norm,
            warmup_updates=config.warmup_steps,
            decay_updates=config.steps,
            final_learning_rate=config.final_learning_rate,
        )

    def state(self) -> TrainState:
        """Everything that the next step depends on."""
        tensors = {"model": model_tensors(self._model), "optimizer": self._optimizer.state_tensors()}
        return TrainState(tensors=tensors, data={"step": self._optimizer.updates})

    def restore(self, state: TrainState) -> None:
        """Go on after the step at which ``state`` was taken; DataError when it is that of another model."""
        restore_model(self._model, state.tensors["model"])
        self._optimizer.restore(state.tensors["optimizer"], updates=state.data["step"])

    def steps(self) -> Iterator[dict[str, float]]:
        """Train up to ``config.steps`` updates; yields the fields of SFT_STEP_FIELDS after each."""
        done, size = self._optimizer.updates, self._config.batch_size
        examples = self._examples(done * size)
        for step in range(done + 1, self._config.steps + 1):
            self._model.train()
            self._optimizer.zero_grad()
            seen = self._accumulate(list(islice(examples, size)))
            update = self._optimizer.step(self._optimizer.clip())
            yield {"step": step, "learning_rate": update.learning_rate, "grad_norm": update.grad_norm} | seen

    def _accumulate(self, chosen: list[SFTExample]) -> dict[str, float]:
        """Gradients of the loss of some demonstrations, summed over their micro-batches; and what was seen of them."""
        config, tokenizer = self._config, self._tokenizer
        prompts, responses = prompt_ids(tokenizer, chosen), response_ids(tokenizer, chosen)
        prompt_tokens, response_tokens = [len(row) for row in prompts], [len(row) for row in responses]
        parts = split_lengths(
            prompt_tokens,
            response_tokens,
            micro_batch_tokens=config.micro_batch_tokens,
            pack_tokens=config.pack_tokens,
        )
        tokens, positions, losses = sum(response_tokens), 0, []
        for rows in parts:
            logprobs, passed = self.score([prompts[n] for n in rows], [responses[n] for n in rows])
            loss = -logprobs.sum() / tokens
            torch.autograd.backward(loss)
            losses.append(loss.detach())
            positions += passed
        return {"loss": float(torch.stack(losses).sum()), "response_tokens": tokens, "positions": positions}

    def score(self, prompts: list[list[int]], responses: list[list[int]]) -> tuple[torch.Tensor, int]:
        """Log-probabilities of all response tokens in one line, nats, with gradient; and how many positions went
        through the model, padding included.
        """
        pad_id, row_tokens = self._tokenizer.pad_token_id, self._config.pack_tokens
        if row_tokens is not None:
            packed = moved(pack(prompts, responses, row_tokens=row_tokens, pad_id=pad_id), self._model.device)
            logprobs, _ = score_packed(self._model, packed, temperature=1.0, entropy=False)
            return logprobs, packed.token_ids_JL.numel()
        batch = moved(pad(prompts, responses, pad_id=pad_id), self._model.device)
        scores = score(
            self._model,
            batch.token_ids_NL,
            batch.attention_mask_NL,
            num_response=batch.response_mask_NT.shape[1],
            temperature=1.0,
            entropy=False,
        )
        return scores.logprobs_NT[batch.response_mask_NT], batch.token_ids_NL.numel()
