import dataclasses

import pytest

from ablations.plan import make_plan, sft_key
from ablations.run import compose
from ablations.tasks import load_problems
from klear_core.errors import ConfigError


def plan_of(*overrides):
    return make_plan(compose(list(overrides)))


def test_the_clipping_sweep_is_the_one_declared():
    plan = plan_of("+sweep=clipping").plan
    assert list(plan.treatments) == ["ppo_clip", "clip_higher", "gppo", "cispo"]
    assert list(plan.points) == ["u4", "u16"]
    assert sorted({run.seed for run in plan.runs}) == [0, 1, 2, 3, 4]
    assert len(plan.runs) == 40
    assert plan.baseline == "clip_higher"
    assert dataclasses.astuple(plan.primary) == ("avg@8", "test", "t1.0", 60)
    fixed = {
        "rl.learning_rate": "0.0002",
        "rl.problems_per_step": "32",
        "rl.completions_per_problem": "8",
        "rl.adam_beta1": "0.9",
        "rl.adam_beta2": "0.95",
        "rl.weight_decay": "0",
        "rl.max_grad_norm": "1",
        "loss.reduction": "group_token_mean",
        "advantage.name": "grpo",
        "advantage.params.ddof": "0",
        "kl_term": "none",
        "entropy_bonus": "none",
    }
    assert fixed.items() <= plan.fixed.items()
    assert "rl.updates_per_rollout" not in plan.fixed
    assert "clip_low 0.2, clip_high 0.28, beta_low 1, beta_high 1, dual_clip off" in plan.treatments["gppo"]
    assert "weight_low 0.8, weight_high 1.28" in plan.treatments["cispo"]
    assert "as in Klear Eq. 16" in plan.treatments["cispo"]


def test_the_floor_is_that_of_the_test_questions():
    checked = plan_of("scale=smoke")
    answers = [question.answer for question in load_problems(checked.configs[0], "test")]
    assert checked.plan.floors[""].accuracy == max(answers.count(answer) for answer in set(answers)) / len(answers)


def test_arms_of_a_seed_share_the_supervised_start_and_seeds_do_not():
    runs = plan_of("+sweep=clipping").plan.runs
    keys = {seed: {run.sft for run in runs if run.seed == seed} for seed in range(5)}
    assert all(len(found) == 1 for found in keys.values())
    assert len(set.union(*keys.values())) == 5


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("rl.learning_rate=1e-3", True),
        ("objective=gppo", True),
        ("launch.slots=1", True),
        ("sft.learning_rate=1e-3", False),
        ("task.train_problems=9000", False),
        ("task.data_seed=1", False),
        ("model.num_layers=1", False),
        ("eval.test_questions=10", False),
        ("seed=1", False),
    ],
)
def test_the_supervised_start_depends_on_what_it_is_made_from(change, same, make_config):
    assert (sft_key(make_config(change)) == sft_key(make_config())) is same


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("launch.slots=1", True),
        ("wandb.mode=offline", True),
        ("sweep.title=x", True),
        ("rl.learning_rate=1e-3", False),
        ("objective.params.clip_high=0.3", False),
        ("seed=1", False),
        ("eval.test_questions=10", False),
    ],
)
def test_the_config_hash_changes_with_the_result_only(change, same, make_config):
    assert (make_config(change).config_hash == make_config().config_hash) is same


def test_what_varies_undeclared_is_refused_and_declared_becomes_a_point():
    with pytest.raises(ConfigError, match=r"rl\.max_grad_norm varies between runs"):
        plan_of("rl.max_grad_norm=1,2")
    plan = plan_of("rl.max_grad_norm=1,2.5", "+sweep.points.norm=rl.max_grad_norm").plan
    assert [run.arm for run in plan.runs] == ["clip_higher-norm1", "clip_higher-norm2.5"]
    assert plan.points == {"norm1": "rl.max_grad_norm = 1", "norm2.5": "rl.max_grad_norm = 2.5"}


def test_the_share_of_flawed_tests_may_be_a_point_and_shares_the_supervised_start():
    point = "+sweep.points.flawed=task.params.flawed_share"
    plan = plan_of("task=functions", "scale=smoke", "task.params.flawed_share=0,0.25", point).plan
    assert [run.point for run in plan.runs] == ["flawed0", "flawed0.25"]
    assert len({run.sft for run in plan.runs}) == 1
    with pytest.raises(ConfigError, match=r"task\.params\.flawed_share varies between runs"):
        plan_of("task=functions", "scale=smoke", "task.params.flawed_share=0,0.25")
    with pytest.raises(ConfigError, match="task varies between runs"):
        plan_of("task=functions", "scale=smoke", "task.params.num_tests=8,16", "+sweep.points.n=task.params.num_tests")


def test_one_objective_with_two_settings_under_one_name_is_refused():
    with pytest.raises(ConfigError, match="planned twice"):
        plan_of("objective.params.clip_high=0.2,0.3")


def test_a_missing_baseline_is_said_and_nothing_is_compared():
    checked = plan_of("+sweep=clipping", "objective=gppo,cispo")
    assert checked.plan.baseline is None
    assert "baseline clip_higher is not among the arms" in checked.notes[0]


def test_the_recorded_command_holds_no_absolute_path(monkeypatch):
    from ablations.plan import command_line

    monkeypatch.setattr("sys.argv", ["x", "+sweep=clipping", "launch.runs_dir=/tmp/a/b", "rl.steps=3", "/tmp/x"])
    assert command_line() == "python -m ablations.run +sweep=clipping launch.runs_dir=<path> rl.steps=3 <path>"


def test_a_packed_row_holds_the_longest_prompt_with_its_response():
    with pytest.raises(ConfigError, match=r"rl\.pack_tokens is 55; allowed: null or at least 56, as the longest"):
        plan_of("rl.pack_tokens=55")
    assert plan_of("rl.pack_tokens=56").plan.runs
