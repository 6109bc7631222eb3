"""Off-policy RL as in the paper: one rollout, then several mini-batch updates on it under a clipped objective."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from klear_core.advantages import get_advantage
from klear_core.batch import TrainBatch
from klear_core.config import RunConfig
from klear_core.data.order import shuffled_forever
from klear_core.errors import DataError, DivergedError
from klear_core.objectives.diagnostics import update_record
from klear_core.objectives.policy_loss import policy_loss
from klear_core.objectives.reductions import step_denominators
from klear_core.objectives.surrogates import get_surrogate
from klear_core.records import Problem, RandomKey, Reward, RolloutGroup, SamplingParams
from klear_core.rewards.boxed import grade
from klear_core.rollout.engine import Engine
from klear_core.trainer.checkpoint import TrainState, model_tensors, restore_model
from klear_core.trainer.collate import collate, tokenize_prompts
from klear_core.trainer.metrics import (
    Clock,
    Minibatch,
    Rollout,
    Update,
    first_nonfinite,
    rollout_metrics,
    update_metrics,
)
from klear_core.trainer.optim import Optimizer
from klear_core.trainer.policy import score
from klear_core.trainer.rollout_state import pack, unpack


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One finished step: the deterministic row of steps.jsonl, seconds by phase, and the rollout behind them."""

    metrics: dict[str, Any]
    seconds: dict[str, float]
    rollout: Rollout
    resumed: bool  # the rollout came from a checkpoint, so its seconds are not those of sampling
    diverged: str  # why the run ends here, "" when it goes on; no checkpoint may be taken of such a state


class RLTrainer:
    """Trains ``model`` in place on ``problems`` under the objective of ``config``."""

    def __init__(
        self,
        config: RunConfig,
        *,
        model: Any,
        tokenizer: Any,
        engine: Engine,
        problems: Sequence[Problem],
        after_rollout: Callable[[], None] = lambda: None,
    ) -> None:
        """``after_rollout`` is called between collecting and training; ``state`` holds the rollout then."""
        self._config = config
        self._model = model
        self._tokenizer = tokenizer
        self._engine = engine
        self._problems = problems
        self._after_rollout = after_rollout
        self._surrogate = get_surrogate(config.objective.surrogate)
        self._estimate = get_advantage(config.advantage.name)
        rl = config.rl
        self._optimizer = Optimizer(
            model.parameters(),
            learning_rate=rl.learning_rate,
            betas=(rl.adam_beta1, rl.adam_beta2),
            weight_decay=rl.weight_decay,
            max_grad_norm=rl.max_grad_norm,
            warmup_updates=rl.warmup_updates,
        )
        self._done = 0
        self._sampled_tokens = 0
        self._skipped = 0
        self._groups: list[RolloutGroup] | None = None  # collected and not yet trained on

    def state(self) -> TrainState:
        """Everything that the next step depends on, a rollout in progress included."""
        tensors = {"model": model_tensors(self._model), "optimizer": self._optimizer.state_tensors()}
        data: dict[str, Any] = {
            "step": self._done,
            "updates": self._optimizer.updates,
            "sampled_tokens": self._sampled_tokens,
            "skipped": self._skipped,
            "data_cursor": self._done * self._config.rl.problems_per_step,
            "rollout": None,
        }
        if self._groups is not None:
            tensors["rollout"], data["rollout"] = pack(self._groups)
        return TrainState(tensors=tensors, data=data)

    def restore(self, state: TrainState) -> None:
        """Go on where ``state`` was taken; DataError when it is that of another model."""
        restore_model(self._model, state.tensors["model"])
        self._optimizer.restore(state.tensors["optimizer"], updates=state.data["updates"])
        self._done, self._skipped = state.data["step"], state.data["skipped"]
        self._sampled_tokens = state.data["sampled_tokens"]
        if (rollout := state.data["rollout"]) is not None:
            problems = self._problems_of(self._done + 1)
            if [problem.problem_id for problem in problems] != [group["problem_id"] for group in rollout]:
                raise DataError("the checkpoint's rollout is that of other problems")
            self._groups = unpack(state.tensors["rollout"], rollout, problems)

    def steps(self) -> Iterator[StepResult]:
        """Run up to the configured number of steps.

        DivergedError, after the row that shows why, when the policy or more than ``rl.max_skipped_updates`` updates are
        not finite.
        """
        for step in range(self._done + 1, self._config.rl.steps + 1):
            clock = Clock()
            resumed = self._groups is not None
            groups = self._groups = self._groups or self._collect(step)
            clock.lap("rollout_s")
            self._after_rollout()
            clock.lap("checkpoint_s")
            rewards = [[grade(c, group.problem.answer) for c in group.completions] for group in groups]
            advantages_PG = self._advantages(rewards)
            clock.lap("reward_s")
            batch = collate(groups, advantages_PG, pad_id=self._tokenizer.pad_token_id)
            minibatches = self._score([self._select(batch, rows_N) for rows_N in self._split(batch)])
            clock.lap("score_s")
            self._model.train()
            updates = [self._update(minibatch) for minibatch in minibatches]
            rollout = Rollout(groups=groups, rewards=rewards, advantages_PG=advantages_PG)
            metrics = {"step": step} | self._counts(rollout) | rollout_metrics(rollout)
            metrics |= update_metrics(minibatches, updates) | {"skipped_updates": self._skipped}
            self._done, self._groups = step, None
            clock.lap("update_s")
            why = self._why_diverged(metrics, updates)
            yield StepResult(metrics=metrics, seconds=clock.seconds, rollout=rollout, resumed=resumed, diverged=why)
            if why:
                raise DivergedError(f"at step {step}: {why}")

    def _problems_of(self, step: int) -> list[Problem]:
        """The problems of a step: a function of (seed, step) only."""
        size = self._config.rl.problems_per_step
        order = shuffled_forever(len(self._problems), name=f"problems/{self._config.seed}", start=(step - 1) * size)
        return [self._problems[index] for index in islice(order, size)]

    def _collect(self, step: int) -> list[RolloutGroup]:
        rl = self._config.rl
        problems = self._problems_of(step)
        prompts = tokenize_prompts(self._tokenizer, problems)
        sampling = SamplingParams(
            temperature=rl.temperature,
            top_p=1.0,
            max_tokens=rl.max_response_tokens,
            num_samples=rl.completions_per_problem,
        )
        key = RandomKey(seed=self._config.seed, stream="train", step=step)
        answers = self._engine.generate(prompts, sampling, key)
        return [
            RolloutGroup(problem=problem, prompt=prompt, completions=completions, policy_step=step - 1)
            for problem, prompt, completions in zip(problems, prompts, answers, strict=True)
        ]

    def _advantages(self, rewards: Sequence[Sequence[Reward]]) -> Tensor:
        rewards_PG = torch.tensor([[reward.value for reward in group] for group in rewards])
        valid_PG = torch.ones_like(rewards_PG, dtype=torch.bool)
        return self._estimate(rewards_PG, valid_PG, **self._config.advantage.params)

    def _split(self, batch: TrainBatch) -> list[Tensor]:
        """Rows of each mini-batch: equal numbers of problems, in the order of the step."""
        rl = self._config.rl
        size = rl.problems_per_step // rl.updates_per_rollout * rl.completions_per_problem
        return list(torch.split(torch.arange(len(batch.advantages_N)), size))

    def _select(self, batch: TrainBatch, rows_N: Tensor) -> Minibatch:
        """One mini-batch: the rows that are trained on, under the denominators of all that the mean counts."""
        loss = self._config.loss
        whole = batch.rows(rows_N)
        kept_N = whole.advantages_N != 0
        counted = whole if loss.denominator == "all" else whole.rows(kept_N)
        denominators = step_denominators(
            counted.response_mask_NT.sum(1), counted.group_index_N, num_groups=self._config.rl.problems_per_step
        )
        part = whole.rows(kept_N) if loss.skip_zero_advantage_rows else whole
        return Minibatch(batch=part, entropy_NT=None, denominators=denominators, num_rows=len(rows_N))

    def _score(self, minibatches: Sequence[Minibatch]) -> list[Minibatch]:
        """Old log-probabilities from the trainer, for every mini-batch but the first, in one forward pass.

        The first is scored by its own update, whose weights are still the old ones: its ratio is exactly 1, not 1 up
        to the rounding of another batch shape.
        """
        later = [k for k, minibatch in enumerate(minibatches) if k > 0 and len(minibatch.batch.advantages_N)]
        scored = list(minibatches)
        if not later:
            return scored
        self._model.eval()
        with torch.no_grad():
            scores = self._forward(TrainBatch.concatenate([minibatches[k].batch for k in later]), entropy=True)
        assert scores.entropy_NT is not None
        sizes = [len(minibatches[k].batch.advantages_N) for k in later]
        logprobs, entropies = (torch.split(field, sizes) for field in (scores.logprobs_NT, scores.entropy_NT))
        for k, logprobs_NT, entropy_NT in zip(later, logprobs, entropies, strict=True):
            part = dataclasses.replace(minibatches[k].batch, old_logprobs_NT=logprobs_NT)
            scored[k] = dataclasses.replace(minibatches[k], batch=part, entropy_NT=entropy_NT)
        return scored

    def _forward(self, part: TrainBatch, *, entropy: bool) -> Any:
        return score(
            self._model,
            part.token_ids_NL,
            part.attention_mask_NL,
            num_response=part.response_mask_NT.shape[1],
            temperature=self._config.rl.temperature,
            entropy=entropy,
        )

    def _update(self, minibatch: Minibatch) -> Update:
        """One optimizer step on one mini-batch; one without rows left still steps, moved by AdamW's momentum."""
        part = minibatch.batch
        self._optimizer.zero_grad()
        if not len(part.advantages_N):
            info = self._optimizer.step(self._optimizer.clip())
            return Update(info=info, loss=0.0, record=None, sampler_gap=math.nan, nonfinite="")
        params: Mapping[str, Any] = self._config.objective.params
        entropy_NT = minibatch.entropy_NT
        scores = self._forward(part, entropy=entropy_NT is None)
        logprobs_NT = scores.logprobs_NT
        if entropy_NT is None:
            part = dataclasses.replace(part, old_logprobs_NT=logprobs_NT.detach())
            entropy_NT = scores.entropy_NT
            assert entropy_NT is not None
        output = policy_loss(
            logprobs_NT,
            part.old_logprobs_NT,
            part.advantages_N,
            part.response_mask_NT,
            surrogate=self._surrogate,
            params=params,
            reduction=self._config.loss.reduction,
            denominators=minibatch.denominators,
            group_index_N=part.group_index_N,
            max_tokens=self._config.rl.max_response_tokens,
        )
        torch.autograd.backward(output.total)
        record = update_record(
            logprobs_NT.detach(),
            part.old_logprobs_NT,
            part.advantages_N,
            part.response_mask_NT,
            entropy_NT,
            surrogate=self._surrogate,
            params=params,
        )
        gap_NT = (part.old_logprobs_NT - part.sampler_logprobs_NT).abs()
        loss, norm = float(output.total.detach()), self._optimizer.clip()
        nonfinite = first_nonfinite(loss=loss, ratio=record.ratios_K, grad_norm=norm, advantage=part.advantages_N)
        self._skipped += bool(nonfinite)
        return Update(
            info=self._optimizer.step(norm, skip=bool(nonfinite)),
            loss=loss,
            record=record,
            sampler_gap=float(gap_NT[part.response_mask_NT].max()),
            nonfinite=nonfinite,
        )

    def _counts(self, rollout: Rollout) -> dict[str, Any]:
        """Where the run stands after the step."""
        completions = [completion for group in rollout.groups for completion in group.completions]
        self._sampled_tokens += sum(len(completion.token_ids) for completion in completions)
        return {
            "updates": self._optimizer.updates,
            "samples": (rollout.groups[0].policy_step + 1) * len(completions),
            "tokens": self._sampled_tokens,
        }

    def _why_diverged(self, metrics: Mapping[str, Any], updates: Sequence[Update]) -> str:
        allowed = self._config.rl.max_skipped_updates
        if not math.isfinite(metrics["entropy"]):
            return f"entropy of the policy is {metrics['entropy']}"
        told = [update.nonfinite for update in updates if update.nonfinite]
        if self._skipped <= allowed or not told:
            return ""
        left_out = f"; {self._skipped} left out so far, rl.max_skipped_updates is {allowed}" if allowed else ""
        return f"{told[0]} ({len(told)} of {len(updates)} updates are not finite{left_out})"
