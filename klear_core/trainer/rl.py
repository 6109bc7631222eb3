"""Off-policy RL as in the paper: one rollout, then several mini-batch updates on it under a clipped objective."""

import dataclasses
import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from klear_core.advantages import get_advantage
from klear_core.batch import TrainBatch
from klear_core.config import RunConfig
from klear_core.data.order import shuffled_forever
from klear_core.errors import HarnessError
from klear_core.objectives.diagnostics import UpdateRecord, step_diagnostics, update_record
from klear_core.objectives.policy_loss import policy_loss
from klear_core.objectives.reductions import Denominators, step_denominators
from klear_core.objectives.surrogates import get_surrogate
from klear_core.records import Problem, RandomKey, Reward, RolloutGroup, SamplingParams, Verdict
from klear_core.rewards.boxed import grade
from klear_core.rollout.engine import Engine
from klear_core.runs.store import nan_mean
from klear_core.trainer.collate import collate, tokenize_prompts
from klear_core.trainer.optim import Optimizer, UpdateInfo
from klear_core.trainer.policy import score


class DivergedError(HarnessError):
    """A loss, a gradient or the policy itself stopped being finite: an outcome of the run, not a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One step's completions with what was made of them."""

    groups: list[RolloutGroup]
    rewards: list[list[Reward]]
    advantages_PG: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One finished step: the deterministic row of steps.jsonl, seconds by phase, and the rollout behind them."""

    metrics: dict[str, Any]
    seconds: dict[str, float]
    rollout: Rollout


class RLTrainer:
    """Trains ``model`` in place on ``problems`` under the objective of ``config``."""

    def __init__(
        self, config: RunConfig, *, model: Any, tokenizer: Any, engine: Engine, problems: Sequence[Problem]
    ) -> None:
        self._config = config
        self._model = model
        self._tokenizer = tokenizer
        self._engine = engine
        self._problems = problems
        self._order = shuffled_forever(len(problems), name=f"problems/{config.seed}")
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
        self._sampled_tokens = 0

    def steps(self) -> Iterator[StepResult]:
        """Run the configured number of steps; DivergedError when a loss or a gradient is no longer finite."""
        for step in range(1, self._config.rl.steps + 1):
            clock = _Clock()
            groups = self._collect(step)
            clock.lap("rollout_s")
            rewards = [[grade(c, group.problem.answer) for c in group.completions] for group in groups]
            advantages_PG = self._advantages(rewards)
            clock.lap("reward_s")
            batch = collate(groups, advantages_PG, pad_id=self._tokenizer.pad_token_id)
            minibatches = self._score([self._select(batch, rows_N) for rows_N in self._split(batch)])
            clock.lap("score_s")
            self._model.train()
            updates = [self._update(minibatch) for minibatch in minibatches]
            rollout = Rollout(groups=groups, rewards=rewards, advantages_PG=advantages_PG)
            metrics = {"step": step} | self._rollout_metrics(rollout) | self._update_metrics(minibatches, updates)
            clock.lap("update_s")
            yield StepResult(metrics=metrics, seconds=clock.seconds, rollout=rollout)
            _check_finite(metrics)

    def _collect(self, step: int) -> list[RolloutGroup]:
        rl = self._config.rl
        problems = [self._problems[next(self._order)] for _ in range(rl.problems_per_step)]
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

    def _select(self, batch: TrainBatch, rows_N: Tensor) -> "_Minibatch":
        """One mini-batch: the rows that are trained on, under the denominators of all that the mean counts."""
        loss = self._config.loss
        whole = batch.rows(rows_N)
        kept_N = whole.advantages_N != 0
        counted = whole if loss.denominator == "all" else whole.rows(kept_N)
        denominators = step_denominators(
            counted.response_mask_NT.sum(1), counted.group_index_N, num_groups=self._config.rl.problems_per_step
        )
        part = whole.rows(kept_N) if loss.skip_zero_advantage_rows else whole
        return _Minibatch(batch=part, entropy_NT=None, denominators=denominators, num_rows=len(rows_N))

    def _score(self, minibatches: Sequence["_Minibatch"]) -> list["_Minibatch"]:
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

    def _update(self, minibatch: "_Minibatch") -> "_Update":
        """One optimizer step on one mini-batch; one without rows left still steps, moved by AdamW's momentum."""
        part = minibatch.batch
        self._optimizer.zero_grad()
        if not len(part.advantages_N):
            return _Update(info=self._optimizer.step(), loss=0.0, record=None, sampler_gap=math.nan)
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
        return _Update(
            info=self._optimizer.step(),
            loss=float(output.total.detach()),
            record=record,
            sampler_gap=float(gap_NT[part.response_mask_NT].max()),
        )

    def _rollout_metrics(self, rollout: Rollout) -> dict[str, Any]:
        rewards = [reward for group in rollout.rewards for reward in group]
        completions = [completion for group in rollout.groups for completion in group.completions]
        lengths = [len(completion.token_ids) for completion in completions]
        self._sampled_tokens += sum(lengths)
        same = [len({reward.value for reward in group}) == 1 for group in rollout.rewards]
        ids = "\n".join(group.problem.problem_id for group in rollout.groups)
        entropies = [value for completion in completions for value in completion.entropies or ()]
        return {
            "updates": self._optimizer.updates,
            "samples": (rollout.groups[0].policy_step + 1) * len(completions),
            "tokens": self._sampled_tokens,
            "problems_hash": hashlib.sha256(ids.encode()).hexdigest()[:16],
            "reward_mean": nan_mean([reward.value for reward in rewards]),
            "correct_fraction": nan_mean([reward.verdict is Verdict.CORRECT for reward in rewards]),
            "no_answer_fraction": nan_mean(
                [reward.verdict in (Verdict.NO_ANSWER, Verdict.BAD_FORMAT) for reward in rewards]
            ),
            "truncated_fraction": nan_mean([reward.verdict is Verdict.TRUNCATED for reward in rewards]),
            "zero_variance_groups": nan_mean(same),
            "response_tokens_mean": nan_mean(lengths),
            "entropy": nan_mean(entropies),
        }

    def _update_metrics(self, minibatches: Sequence["_Minibatch"], updates: Sequence["_Update"]) -> dict[str, Any]:
        infos = [update.info for update in updates]
        # The first update of a step is on-policy: its ratios are 1 for every objective and say nothing about clipping.
        later = [update.record for update in updates[1:] if update.record is not None]
        gaps = [update.sampler_gap for update in updates if update.record is not None]
        return {
            "learning_rate": infos[-1].learning_rate,
            "loss": nan_mean([update.loss for update in updates]),
            "grad_norm_mean": nan_mean([info.grad_norm for info in infos]),
            "grad_norm_max": max(info.grad_norm for info in infos),
            "clipped_updates": nan_mean([info.clipped for info in infos]),
            "kept_rows": sum(len(m.batch.advantages_N) for m in minibatches) / sum(m.num_rows for m in minibatches),
            "sampler_gap_max": max(gaps, default=math.nan),
        } | step_diagnostics(later)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Minibatch:
    """Rows of one update; ``entropy_NT`` of the sampling policy is None until they are scored.

    ``num_rows`` counts the rows left out as well.
    """

    batch: TrainBatch
    entropy_NT: Tensor | None
    denominators: Denominators
    num_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Update:
    info: UpdateInfo
    loss: float
    record: UpdateRecord | None  # None for a mini-batch without rows
    sampler_gap: float  # largest |engine - trainer| log-probability of a sampled token, nats


class _Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now


def _check_finite(metrics: Mapping[str, Any]) -> None:
    for name in ("loss", "grad_norm_max", "entropy"):
        if not math.isfinite(metrics[name]):
            raise DivergedError(f"diverged at step {metrics['step']}: {name} is {metrics[name]}")
