"""One RL step against its definition, on a tiny model with real rollouts."""

import copy
import dataclasses
import math

import pytest
import torch

from klear_core.objectives.reductions import reduction_names
from klear_core.records import Reward, Verdict
from klear_core.rollout.native import NativeEngine
from klear_core.trainer.rl import RLTrainer

ARMS = ["ppo_clip", "clip_higher", "gppo", "gppo_b025", "gppo_only_high", "cispo", "cispo_wide", "reinforce"]


class HalfRightEngine(NativeEngine):
    """Real samples, but every third completion answers right, so that groups have variance from the start."""

    problems = ()

    def generate(self, prompts, sampling, key):
        answers = {problem.problem_id: problem.answer for problem in self.problems}
        groups = super().generate(prompts, sampling, key)
        return [
            tuple(
                dataclasses.replace(c, text=f"<think></think>\\boxed{{{answers[p.problem_id]}}}", finish_reason="stop")
                if (k + n) % 3 == 0
                else c
                for k, c in enumerate(group)
            )
            if n % 4
            else group
            for n, (p, group) in enumerate(zip(prompts, groups, strict=True))
        ]


@pytest.fixture
def trainer_for(make_config, model, tokenizer, grader, chains):
    weights = copy.deepcopy(model.state_dict())

    def make(*overrides, engine=HalfRightEngine):
        model.load_state_dict(weights)
        config = make_config(
            "rl.problems_per_step=8",
            "rl.completions_per_problem=4",
            "task.train_problems=24",
            "rl.max_response_tokens=12",
            "rl.warmup_updates=0",
            "rl.learning_rate=1e-3",
            *overrides,
        )
        sampler = engine(model, tokenizer)
        sampler.problems = chains
        return RLTrainer(config, model=model, tokenizer=tokenizer, engine=sampler, grader=grader, problems=chains)

    return make


def weights_after(trainer, steps=1):
    iterator = trainer.steps()
    results = [next(iterator) for _ in range(steps)]
    return {name: value.clone() for name, value in trainer._model.state_dict().items()}, results


def largest_difference(first, second):
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize("objective", ARMS)
def test_the_first_update_is_on_policy_to_the_last_bit(trainer_for, objective, monkeypatch):
    records = []
    from klear_core.trainer import update

    original = update.update_record

    def spy(*args, **kwargs):
        records.append(original(*args, **kwargs))
        return records[-1]

    monkeypatch.setattr(update, "update_record", spy)
    weights_after(trainer_for(f"objective={objective}", "rl.updates_per_rollout=4"))
    assert (records[0].ratios_K == 1).all()
    assert any((record.ratios_K != 1).any() for record in records[1:])


def test_with_one_update_a_rollout_all_objectives_are_one(trainer_for):
    """On-policy, clipping cannot matter: a difference here would be a bug of the harness."""
    weights = [weights_after(trainer_for(f"objective={arm}", "rl.updates_per_rollout=1"), 2)[0] for arm in ARMS]
    start = weights_after(trainer_for("rl.learning_rate=1e-12", "rl.updates_per_rollout=1"))[0]
    assert largest_difference(weights[0], start) > 1e-4
    for other in weights[1:]:
        assert largest_difference(weights[0], other) < 2e-6


@pytest.mark.parametrize("reduction", reduction_names())
@pytest.mark.parametrize("denominator", ["all", "kept"])
def test_leaving_out_zero_advantage_rows_keeps_the_gradient(trainer_for, reduction, denominator):
    setting = [f"loss.reduction={reduction}", f"loss.denominator={denominator}", "rl.updates_per_rollout=4"]
    with_all, (whole,) = weights_after(trainer_for(*setting, "loss.skip_zero_advantage_rows=false"))
    without, (part,) = weights_after(trainer_for(*setting, "loss.skip_zero_advantage_rows=true"))
    assert part.metrics["kept_rows"] < whole.metrics["kept_rows"] == 1
    assert part.metrics["zero_variance_groups"] >= 0.25
    assert whole.metrics["grad_norm_mean"] == pytest.approx(part.metrics["grad_norm_mean"], rel=1e-4)
    assert largest_difference(with_all, without) < 2e-5


def test_the_two_denominators_differ_by_the_share_of_kept_rows(trainer_for):
    _, (every,) = weights_after(trainer_for("loss.reduction=fixed_length", "rl.updates_per_rollout=1"))
    _, (kept,) = weights_after(
        trainer_for("loss.reduction=fixed_length", "loss.denominator=kept", "rl.updates_per_rollout=1")
    )
    share = every.metrics["kept_rows"]
    assert share < 1
    assert every.metrics["grad_norm_mean"] == pytest.approx(kept.metrics["grad_norm_mean"] * share, rel=1e-4)


def test_a_step_is_the_gradient_of_the_written_loss(trainer_for):
    """REINFORCE on one update: the gradient is that of -mean_groups(sum A log pi / tokens), by plain autograd."""
    trainer = trainer_for("objective=reinforce", "rl.updates_per_rollout=1", "rl.max_grad_norm=1e9")
    model = trainer._model
    before = copy.deepcopy(model)
    (result,) = weights_after(trainer)[1]
    rewards = torch.tensor([[r.value for r in group] for group in result.rollout.rewards])
    deviation = rewards.std(1, correction=0, keepdim=True)
    advantages = ((rewards - rewards.mean(1, keepdim=True)) / deviation).nan_to_num(0.0)
    loss = torch.zeros(())
    for p, group in enumerate(result.rollout.groups):
        tokens = sum(len(c.token_ids) for c in group.completions)
        for g, completion in enumerate(group.completions):
            ids = torch.tensor([[*group.prompt.token_ids, *completion.token_ids]])
            logprobs = before(input_ids=ids).logits[0, :-1].log_softmax(-1)
            start = len(group.prompt.token_ids) - 1
            chosen = logprobs[start:].gather(-1, ids[0, start + 1 :, None]).sum()
            loss = loss - advantages[p, g] * chosen / tokens / len(result.rollout.groups)
    torch.autograd.backward(loss)
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in before.parameters()])
    assert result.metrics["grad_norm_mean"] == pytest.approx(float(norm), rel=1e-4)


@pytest.mark.parametrize("updates", [4, 8])
def test_old_logprobs_are_those_of_the_policy_that_sampled(trainer_for, updates):
    """With 8 updates the first mini-batch has no rows, and its step moves the weights by their momentum alone."""
    _, results = weights_after(trainer_for(f"rl.updates_per_rollout={updates}"), 3)
    for result in results:
        gaps = [result.metrics[f"sampler_gap_{name}"] for name in ("mean", "p99", "max")]
        assert 0 < gaps[0] < gaps[1] <= gaps[2] < 1e-5
        assert 0 <= result.metrics["sampler_kl"] < gaps[2] ** 2


def test_clipped_updates_and_learning_rate_are_those_configured(trainer_for):
    _, (tight,) = weights_after(trainer_for("rl.max_grad_norm=1e-6"))
    assert tight.metrics["clipped_updates"] > 0
    assert tight.metrics["grad_norm_mean"] > 1e-6
    _, (loose,) = weights_after(trainer_for("rl.max_grad_norm=1e6"))
    assert loose.metrics["clipped_updates"] == 0
    _, (warm,) = weights_after(trainer_for("rl.warmup_updates=8", "rl.updates_per_rollout=4"))
    assert warm.metrics["learning_rate"] == pytest.approx(1e-3 * 4 / 8)


def test_a_loss_that_stops_being_finite_ends_the_run_after_its_row(trainer_for):
    from klear_core.errors import DivergedError

    trainer = trainer_for("rl.updates_per_rollout=2", "rl.learning_rate=1e30")
    seen = []
    with pytest.raises(DivergedError, match="at step 1: gradient norm is nan"):
        for result in trainer.steps():
            seen.append(result.metrics["step"])
    assert seen == [1]


class LosesTheFirst:
    """A grader whose machine fails the first completion of every problem."""

    def __init__(self, grader, completions):
        self._grader, self._completions = grader, completions

    def grade(self, problems, completions):
        lost = Reward(value=math.nan, verdict=Verdict.GRADER_ERROR, extracted="")
        graded = self._grader.grade(problems, completions)
        return [lost if k % self._completions == 0 else reward for k, reward in enumerate(graded)]


@pytest.mark.parametrize("skip", [True, False])
def test_a_completion_whose_grading_failed_leaves_loss_and_denominators_and_training_goes_on(
    trainer_for, grader, monkeypatch, skip
):
    from klear_core.trainer import rl

    counted = []
    original = rl.step_denominators

    def spy(lengths_N, group_index_N, *, num_groups):
        counted.append(int(lengths_N.sum()))
        return original(lengths_N, group_index_N, num_groups=num_groups)

    monkeypatch.setattr(rl, "step_denominators", spy)
    trainer = trainer_for(f"loss.skip_zero_advantage_rows={str(skip).lower()}")
    trainer._grader = LosesTheFirst(grader, 4)
    weights, (result,) = weights_after(trainer)
    groups = result.rollout.groups
    assert sum(counted) == sum(len(c.token_ids) for group in groups for c in group.completions[1:])
    assert result.metrics["invalid_completions"] == len(groups)
    assert math.isfinite(result.metrics["reward_mean"])
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert result.metrics["kept_rows"] <= 0.75


def test_the_acc_filter_takes_groups_out_of_the_denominators(trainer_for):
    _, (kept,) = weights_after(trainer_for())
    _, (filtered,) = weights_after(trainer_for("reward=hard_acc"))
    assert filtered.metrics["dropped_groups"] == kept.metrics["zero_variance_groups"] > 0
    assert filtered.metrics["learning_groups"] == kept.metrics["learning_groups"]
    # The same gradient over fewer groups.
    assert filtered.metrics["grad_norm_max"] > kept.metrics["grad_norm_max"]


def test_problems_that_are_not_usable_are_never_met(trainer_for, chains):
    trainer = trainer_for()
    trainer._usable = [k % 2 == 0 for k in range(len(chains))]
    allowed = {chains[k].problem_id for k in range(0, len(chains), 2)}
    _, results = weights_after(trainer, steps=3)
    assert {group.problem.problem_id for result in results for group in result.rollout.groups} <= allowed


def test_another_sampling_stream_answers_the_same_problems_otherwise(trainer_for):
    _, (first,) = weights_after(trainer_for())
    _, (other,) = weights_after(trainer_for("control=stream_1"))
    for ours, theirs in zip(first.rollout.groups, other.rollout.groups, strict=True):
        assert ours.problem == theirs.problem
    texts = [[c.token_ids for group in result.rollout.groups for c in group.completions] for result in (first, other)]
    assert texts[0] != texts[1]


def test_a_random_reward_trains_on_coins_and_still_counts_right_answers(trainer_for):
    _, (first,) = weights_after(trainer_for())
    _, (tossed,) = weights_after(trainer_for("control=random_reward"))
    values = [reward.value for group in tossed.rollout.rewards for reward in group]
    verdicts = [[r.verdict for group in result.rollout.rewards for r in group] for result in (first, tossed)]
    assert verdicts[0] == verdicts[1]
    assert values != [reward.value for group in first.rollout.rewards for reward in group]
    assert tossed.metrics["correct_fraction"] == first.metrics["correct_fraction"]
    assert tossed.metrics["reward_mean"] == pytest.approx(sum(values) / len(values))


def test_the_learning_rate_of_a_control_is_the_product(trainer_for):
    _, (first,) = weights_after(trainer_for())
    _, (faster,) = weights_after(trainer_for("control=lr_x10"))
    assert faster.metrics["learning_rate"] == pytest.approx(10 * first.metrics["learning_rate"])
