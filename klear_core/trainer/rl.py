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
from klear_core.batch import TokenScores, TrainBatch, moved
from klear_core.config import RunConfig
from klear_core.data.order import usable_forever
from klear_core.errors import DataError, DivergedError
from klear_core.objectives.reductions import step_denominators
from klear_core.objectives.surrogates import get_surrogate
from klear_core.records import Problem, RandomKey, Reward, RolloutGroup, SamplingParams
from klear_core.rewards.grader import Grader
from klear_core.rollout.engine import Engine, check_trainable
from klear_core.trainer.checkpoint import TrainState, model_tensors, restore_model
from klear_core.trainer.collate import collate, tokenize_prompts
from klear_core.trainer.control import sampling_stream, toss_coins
from klear_core.trainer.credit import Credit, assign_credit
from klear_core.trainer.entropies import with_entropies
from klear_core.trainer.gradient_noise import GradientNoise, gradient_noise
from klear_core.trainer.metrics import (
    Clock,
    Minibatch,
    Rollout,
    Update,
    noise_metrics,
    rollout_metrics,
    update_metrics,
)
from klear_core.trainer.micro_batches import score_parts, score_rows, split_rows
from klear_core.trainer.optim import Optimizer
from klear_core.trainer.rollout_state import pack, unpack
from klear_core.trainer.update import update_policy


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
        grader: Grader,
        problems: Sequence[Problem],
        usable: Sequence[bool] | None = None,
        after_rollout: Callable[[], None] = lambda: None,
    ) -> None:
        """``usable`` says of each problem whether it may be trained on.

        ``after_rollout`` is called between collecting and training; ``state`` holds the rollout then.
        """
        self._config = config
        self._model = model
        self._tokenizer = tokenizer
        self._engine = engine
        self._grader = grader
        self._problems = problems
        self._usable = usable or [True] * len(problems)
        self._after_rollout = after_rollout
        self._surrogate = get_surrogate(config.objective.surrogate)
        self._estimate = get_advantage(config.advantage.name)
        rl = config.rl
        self.optimizer = Optimizer(
            model.parameters(),
            precision=config.model.precision,
            learning_rate=rl.learning_rate * config.control.learning_rate_factor,
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
        tensors = {"model": model_tensors(self._model), "optimizer": self.optimizer.state_tensors()}
        data: dict[str, Any] = {
            "step": self._done,
            "updates": self.optimizer.updates,
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
        self.optimizer.restore(state.tensors["optimizer"], updates=state.data["updates"])
        self._done, self._skipped = state.data["step"], state.data["skipped"]
        self._sampled_tokens = state.data["sampled_tokens"]
        if (rollout := state.data["rollout"]) is not None:
            problems = self._problems_of(self._done + 1)
            if [problem.problem_id for problem in problems] != [group["problem_id"] for group in rollout]:
                raise DataError("the checkpoint's rollout is that of other problems")
            self._groups = unpack(state.tensors["rollout"], rollout, problems)

    def steps(self) -> Iterator[StepResult]:
        """Run up to the configured number of steps; DivergedError, after the row that shows why, when the policy is
        not finite or more than ``rl.max_skipped_updates`` updates are not.
        """
        for step in range(self._done + 1, self._config.rl.steps + 1):
            clock = Clock(self._model.device)
            resumed = self._groups is not None
            groups = self._groups = self._groups or self._collect(step)
            clock.lap("rollout_s")
            self._after_rollout()
            clock.lap("checkpoint_s")
            rewards = self._grade(groups, step)
            credit = self._credit(rewards)
            clock.lap("reward_s")
            batch = self._collate(groups, credit)
            noise = self._noise(step, batch)
            clock.lap("noise_s")
            minibatches = self._score([self.select(batch, rows_N) for rows_N in self._split(batch)])
            clock.lap("score_s")
            self._model.train()
            updates = [self.update(minibatch) for minibatch in minibatches]
            rollout = Rollout(groups=groups, rewards=rewards, credit=credit)
            metrics = {"step": step} | self._counts(rollout) | rollout_metrics(rollout) | noise_metrics(noise)
            metrics |= update_metrics(minibatches, updates) | {"skipped_updates": self._skipped}
            self._done, self._groups = step, None
            clock.lap("update_s")
            why = self._why_diverged(metrics, updates)
            yield StepResult(metrics=metrics, seconds=clock.seconds, rollout=rollout, resumed=resumed, diverged=why)
            if why:
                raise DivergedError(f"at step {step}: {why}")

    def rollout_batch(self, step: int) -> TrainBatch:
        """What ``step`` would train on if the policy were the present one: sampled, graded, credited, collated."""
        groups = self._collect(step)
        credit = self._credit(self._grade(groups, step))
        return self._collate(groups, credit)

    def _collate(self, groups: Sequence[RolloutGroup], credit: Credit) -> TrainBatch:
        batch = collate(groups, credit.advantages_PG, credit.counted_PG, pad_id=self._tokenizer.pad_token_id)
        return moved(batch, self._model.device)

    def _problems_of(self, step: int) -> list[Problem]:
        """The problems of a step: a function of seed, step and what is usable; arms that leave out different problems
        visit those that they share in one order."""
        size = self._config.rl.problems_per_step
        order = usable_forever(self._usable, name=f"problems/{self._config.seed}", start=(step - 1) * size)
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
        check_trainable(sampling)
        key = RandomKey(seed=self._config.seed, stream=sampling_stream(self._config.control), step=step)
        answers = self._engine.generate(prompts, sampling, key)
        groups = [
            RolloutGroup(problem=problem, prompt=prompt, completions=completions, policy_step=step - 1)
            for problem, prompt, completions in zip(problems, prompts, answers, strict=True)
        ]
        return with_entropies(groups, self._model, rl, pad_id=self._tokenizer.pad_token_id)

    def _grade(self, groups: Sequence[RolloutGroup], step: int) -> list[list[Reward]]:
        """All completions of the step at once, so that programs run side by side."""
        problems = [group.problem for group in groups for _ in group.completions]
        rewards = iter(self._grader.grade(problems, [c for group in groups for c in group.completions]))
        graded = [list(islice(rewards, len(group.completions))) for group in groups]
        if self._config.control.random_reward:
            return toss_coins(graded, [group.problem.problem_id for group in groups], self._config.seed, step)
        return graded

    def _credit(self, rewards: Sequence[Sequence[Reward]]) -> Credit:
        config = self._config
        return assign_credit(rewards, self._estimate, config.advantage.params, group_filter=config.reward.group_filter)

    def _noise(self, step: int, batch: TrainBatch) -> GradientNoise | None:
        """Measured at the first step, where all arms of a seed have the same policy, and now and then after it."""
        every = self._config.rl.gradient_noise_every
        if not every or (step != 1 and step % every):
            return None
        self._model.train()
        return gradient_noise(
            batch,
            self._config.rl.problems_per_step,
            lambda rows: self.forward(rows, entropy=False).logprobs_NT,
            list(self._model.parameters()),
            split=self._micro_batches,
        )

    def _split(self, batch: TrainBatch) -> list[Tensor]:
        """Rows of each mini-batch: equal numbers of problems, in the order of the step."""
        rl = self._config.rl
        size = rl.problems_per_step // rl.updates_per_rollout * rl.completions_per_problem
        return list(torch.split(torch.arange(len(batch.advantages_N)), size))

    def select(self, batch: TrainBatch, rows_N: Tensor) -> Minibatch:
        """One mini-batch: the rows that are trained on, under the denominators of all that the mean counts."""
        loss = self._config.loss
        whole = batch.rows(rows_N)
        kept_N = whole.advantages_N != 0
        counted = whole.rows(whole.counted_N if loss.denominator == "all" else kept_N)
        denominators = step_denominators(
            counted.response_mask_NT.sum(1), counted.group_index_N, num_groups=self._config.rl.problems_per_step
        )
        part = whole.rows(kept_N if loss.skip_zero_advantage_rows else whole.counted_N)
        return Minibatch(
            batch=part,
            entropy_NT=None,
            denominators=denominators,
            num_rows=len(rows_N),
            micro_batches=self._micro_batches(part),
        )

    def _score(self, minibatches: Sequence[Minibatch]) -> list[Minibatch]:
        """Old log-probabilities from the trainer, for every mini-batch but the first, as one batch.

        The first is scored by its own update, whose weights are still the old ones: its ratio is exactly 1, not 1 up
        to the rounding of another batch shape.
        """
        later = [k for k, minibatch in enumerate(minibatches) if k > 0 and len(minibatch.batch.advantages_N)]
        scored = list(minibatches)
        if not later:
            return scored
        self._model.eval()
        rest = TrainBatch.concatenate([minibatches[k].batch for k in later])
        with torch.no_grad():
            scores = score_parts(rest, self._micro_batches(rest), self.forward, entropy=True)
        assert scores.entropy_NT is not None
        sizes = [len(minibatches[k].batch.advantages_N) for k in later]
        logprobs, entropies = (torch.split(field, sizes) for field in (scores.logprobs_NT, scores.entropy_NT))
        for k, logprobs_NT, entropy_NT in zip(later, logprobs, entropies, strict=True):
            part = dataclasses.replace(minibatches[k].batch, old_logprobs_NT=logprobs_NT)
            scored[k] = dataclasses.replace(minibatches[k], batch=part, entropy_NT=entropy_NT)
        return scored

    def forward(self, part: TrainBatch, *, entropy: bool) -> TokenScores:
        """Log-probabilities of the responses under the model as it stands, in one forward pass."""
        pad_id = self._tokenizer.pad_token_id
        return score_rows(self._model, part, self._config.rl, pad_id=pad_id, entropy=entropy)

    def _micro_batches(self, batch: TrainBatch) -> list[Tensor]:
        rl = self._config.rl
        return split_rows(batch, micro_batch_tokens=rl.micro_batch_tokens, pack_tokens=rl.pack_tokens)

    def update(self, minibatch: Minibatch) -> Update:
        """One optimizer step; a mini-batch that nobody has scored yet is on-policy."""
        update = update_policy(minibatch, self._config, self._surrogate, self.optimizer, self.forward)
        self._skipped += bool(update.nonfinite)
        return update

    def _counts(self, rollout: Rollout) -> dict[str, Any]:
        """Where the run stands after the step."""
        completions = [completion for group in rollout.groups for completion in group.completions]
        self._sampled_tokens += sum(len(completion.token_ids) for completion in completions)
        return {
            "updates": self.optimizer.updates,
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
