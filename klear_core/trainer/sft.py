"""Supervised start: the policy learns to imitate a fallible teacher's responses."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch

from klear_core.config import SFTConfig
from klear_core.records import SFTExample
from klear_core.trainer.checkpoint import TrainState, model_tensors, restore_model
from klear_core.trainer.collate import pad
from klear_core.trainer.optim import Optimizer
from klear_core.trainer.policy import score


class SFTTrainer:
    """Trains ``model`` in place by the mean cross-entropy over the response tokens of each batch, end-of-text included.

    ``examples(start)`` gives the endless demonstrations from visit ``start`` on, taken in their order.
    """

    def __init__(
        self, model: Any, tokenizer: Any, examples: Callable[[int], Iterator[SFTExample]], config: SFTConfig
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._examples = examples
        self._config = config
        self._optimizer = Optimizer(
            model.parameters(),
            learning_rate=config.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.0,
            max_grad_norm=config.max_grad_norm,
            warmup_updates=config.warmup_steps,
            decay_updates=config.steps,
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
        self._model.train()
        done, size = self._optimizer.updates, self._config.batch_size
        examples = self._examples(done * size)
        for step in range(done + 1, self._config.steps + 1):
            loss = self._loss(list(islice(examples, size)))
            self._optimizer.zero_grad()
            torch.autograd.backward(loss)
            update = self._optimizer.step(self._optimizer.clip())
            yield {
                "step": step,
                "loss": float(loss.detach()),
                "learning_rate": update.learning_rate,
                "grad_norm": update.grad_norm,
            }

    def _loss(self, chosen: list[SFTExample]) -> torch.Tensor:
        tokenizer = self._tokenizer
        prompts = tokenizer([example.prompt for example in chosen])["input_ids"]
        responses = tokenizer([example.response for example in chosen])["input_ids"]
        batch = pad(prompts, [[*ids, tokenizer.eos_token_id] for ids in responses], pad_id=tokenizer.pad_token_id)
        scores = score(
            self._model,
            batch.token_ids_NL,
            batch.attention_mask_NL,
            num_response=batch.response_mask_NT.shape[1],
            temperature=1.0,
            entropy=False,
        )
        return -scores.logprobs_NT[batch.response_mask_NT].mean()
