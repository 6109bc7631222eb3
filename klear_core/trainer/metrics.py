"""What an RL step reports: records of its parts, and the deterministic fields of its row."""

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from klear_core.batch import TrainBatch
from klear_core.objectives.diagnostics import UpdateRecord, step_diagnostics
from klear_core.objectives.reductions import Denominators
from klear_core.records import Reward, RolloutGroup, Verdict
from klear_core.runs.store import nan_mean
from klear_core.trainer.credit import Credit
from klear_core.trainer.gradient_noise import GradientNoise
from klear_core.trainer.optim import UpdateInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One step's completions with what was made of them."""

    groups: list[RolloutGroup]
    rewards: list[list[Reward]]
    credit: Credit


@dataclass(frozen=True, slots=True, kw_only=True)
class Minibatch:
    """Rows of one update; ``entropy_NT`` of the sampling policy is None until they are scored.

    ``num_rows`` counts the rows left out as well.
    """

    batch: TrainBatch
    entropy_NT: Tensor | None
    denominators: Denominators
    num_rows: int
    micro_batches: list[Tensor]  # rows of ``batch`` that go through the model together


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What one update saw and did."""

    info: UpdateInfo
    loss: float
    record: UpdateRecord | None  # None for a mini-batch without rows
    sampler_gaps_K: Tensor  # old log-probability under the trainer - that under the engine, every response token, nats
    nonfinite: str  # the first quantity that was not finite, with its value; such an update is left out


class Clock:
    """Seconds by phase of work on ``device``."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End the phase ``name``, which began with the one before."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # what was asked of a GPU may still be under way
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now


def first_nonfinite(*, loss: float, ratio: Tensor, grad_norm: float, advantage: Tensor) -> str:
    """The first of them that is not finite, with its value, "" when all are."""
    if not math.isfinite(loss):
        return f"loss is {loss}"
    for name, values in (("ratio", ratio), ("advantage", advantage)):
        finite = torch.isfinite(values)
        if not bool(finite.all()):
            return f"a {name} is {float(values[~finite][0])}"
    return "" if math.isfinite(grad_norm) else f"gradient norm is {grad_norm}"


# A response in which there is nothing to compare or to run.
_NO_ANSWER = (Verdict.NO_ANSWER, Verdict.MISSING_OPEN, Verdict.MISSING_CLOSE, Verdict.BAD_FORMAT)


def noise_metrics(noise: GradientNoise | None) -> dict[str, float]:
    """The gradient's noise at the steps where it is measured, NaN at the others."""
    if noise is None:
        return {"gradient_variance": math.nan, "gradient_signal": math.nan}
    return {"gradient_variance": noise.variance, "gradient_signal": noise.signal}


def rollout_metrics(rollout: Rollout) -> dict[str, Any]:
    """Rewards, lengths and entropy of a rollout; completions whose grading failed are counted and left out."""
    groups = [[reward for reward in group if reward.is_valid] for group in rollout.rewards]
    rewards = [reward for group in groups for reward in group]
    completions = [completion for group in rollout.groups for completion in group.completions]
    same = [len({reward.value for reward in group}) <= 1 for group in groups]
    means = [nan_mean(reward.value for reward in group) for group in groups if group]
    within = [_variance([reward.value for reward in group]) for group in groups if group]
    tested = [reward.pass_rate for reward in rewards if not math.isnan(reward.pass_rate)]
    decided = [reward.agrees for reward in rewards if reward.agrees is not None]
    learning_P = (rollout.credit.advantages_PG != 0).any(1)
    ids = "\n".join(group.problem.problem_id for group in rollout.groups)
    entropies = [value for completion in completions for value in completion.entropies or ()]
    return {
        "problems_hash": hashlib.sha256(ids.encode()).hexdigest()[:16],
        "reward_mean": nan_mean([reward.value for reward in rewards]),
        "reward_variance_within": nan_mean(within),
        "reward_variance_between": _variance(means),
        "pass_rate_mean": nan_mean(tested),
        "correct_fraction": nan_mean([reward.verdict is Verdict.CORRECT for reward in rewards]),
        "no_answer_fraction": nan_mean([reward.verdict in _NO_ANSWER for reward in rewards]),
        "truncated_fraction": nan_mean([reward.verdict is Verdict.TRUNCATED for reward in rewards]),
        "invalid_completions": sum(not reward.is_valid for group in rollout.rewards for reward in group),
        "verifier_disagreement": nan_mean(not agrees for agrees in decided),
        "zero_variance_groups": nan_mean(same),
        "dropped_groups": nan_mean(rollout.credit.dropped_P.tolist()),
        "learning_groups": nan_mean(learning_P.tolist()),
        "response_tokens_mean": nan_mean([len(completion.token_ids) for completion in completions]),
        "entropy": nan_mean(entropies),
    }


def update_metrics(minibatches: Sequence[Minibatch], updates: Sequence[Update]) -> dict[str, Any]:
    """What the updates of a step did; a value that is not finite stays so in the means."""
    infos = [update.info for update in updates]
    # The first update of a step is on-policy: its ratios are 1 for every objective and say nothing about clipping.
    later = [update.record for update in updates[1:] if update.record is not None]
    norms = [info.grad_norm for info in infos]
    own = {
        "learning_rate": infos[-1].learning_rate,
        "loss": nan_mean([update.loss for update in updates]),
        "grad_norm_mean": nan_mean(norms),
        # max() passes over a NaN that is not the first.
        "grad_norm_max": math.nan if any(map(math.isnan, norms)) else max(norms),
        "clipped_updates": nan_mean([info.clipped for info in infos]),
        "nonfinite_updates": sum(bool(update.nonfinite) for update in updates),
        "kept_rows": sum(len(m.batch.advantages_N) for m in minibatches) / sum(m.num_rows for m in minibatches),
    }
    mismatch = mismatch_metrics(torch.cat([update.sampler_gaps_K for update in updates]))
    return own | mismatch | step_diagnostics(later)


def mismatch_metrics(gaps_K: Tensor) -> dict[str, float]:
    """How far the trainer is from the engine on tokens that the engine sampled; ``gaps_K`` = log-probability under the
    trainer - that under the engine, nats; NaN for no tokens.

    ``sampler_kl`` is the estimator k3 of KL(engine || trainer), mean(exp(gap) - 1 - gap): unbiased, no summand is
    negative (J. Schulman, Approximating KL Divergence, 2020, http://joschu.net/blog/kl-approx.html).
    """
    if not len(gaps_K):
        return dict.fromkeys(("sampler_gap_max", "sampler_gap_mean", "sampler_gap_p99", "sampler_kl"), math.nan)
    gaps_K = gaps_K.double()
    sorted_K = gaps_K.abs().sort().values
    return {
        "sampler_gap_max": float(sorted_K[-1]),
        "sampler_gap_mean": float(sorted_K.mean()),
        "sampler_gap_p99": float(sorted_K[round(0.99 * (len(sorted_K) - 1))]),
        # exp() - 1 would lose every digit of gaps that are rounding errors.
        "sampler_kl": float((gaps_K.expm1() - gaps_K).mean()),
    }


def _variance(values: Sequence[float]) -> float:
    """Population variance, NaN for no values."""
    mean = nan_mean(values)
    return nan_mean((value - mean) ** 2 for value in values)
