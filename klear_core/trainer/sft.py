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
            logprobs, positions = self.score(list(islice(examples, size)))
            loss = -logprobs.mean()
            self._optimizer.zero_grad()
            torch.autograd.backward(loss)
            update = self._optimizer.step(self._optimizer.clip())
            yield {
                "step": step,
                "loss": float(loss.detach()),
                "learning_rate": update.learning_rate,
                "grad_norm": update.grad_norm,
                "response_tokens": len(logprobs),
                "positions": positions,
            }

    def score(self, chosen: list[SFTExample]) -> tuple[torch.Tensor, int]:
        """Log-probabilities of all response tokens of some demonstrations in one line, nats, with gradient; and how
        many positions went through the model, padding included.
        """
        tokenizer, row_tokens = self._tokenizer, self._config.pack_tokens
        prompts, responses = prompt_ids(tokenizer, chosen), response_ids(tokenizer, chosen)
        if row_tokens is not None:
            packed = pack(prompts, responses, row_tokens=row_tokens, pad_id=tokenizer.pad_token_id)
            packed = moved(packed, self._model.device)
            logprobs, _ = score_packed(self._model, packed, temperature=1.0, entropy=False)
            return logprobs, packed.token_ids_JL.numel()
        batch = moved(pad(prompts, responses, pad_id=tokenizer.pad_token_id), self._model.device)
        scores = score(
            self._model,
            batch.token_ids_NL,
            batch.attention_mask_NL,
            num_response=batch.response_mask_NT.shape[1],
            temperature=1.0,
            entropy=False,
        )
        return scores.logprobs_NT[batch.response_mask_NT], batch.token_ids_NL.numel()
