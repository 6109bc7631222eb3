"""The estimate of a plan: arithmetic on measured figures, and a disk bound that holds."""

import dataclasses

import pytest

from ablations import launch
from ablations.decide import Action
from ablations.estimate import disk_bytes, disk_needed, estimate, num_parameters
from ablations.probe import Measured
from ablations.run import compose
from klear_core.data.tasks import get_task
from klear_core.trainer.policy import build_model

MEASURED = Measured(
    sft_update_s=0.1,
    rollout_s=0.5,
    tokens_per_s=1000.0,
    response_tokens=10.0,
    train_s={"u4": 0.5, "u16": 1.5},
    startup_s=1.0,
    peak_mb=400.0,
)


@pytest.fixture
def prepared(tmp_path):
    overrides = ["+sweep=clipping", "objective=gppo,cispo", "seed=0,1", f"launch.runs_dir={tmp_path}"]
    return launch.prepare(compose(overrides))


def test_time_is_that_of_the_rounds_of_starts_and_of_the_runs_side_by_side(prepared):
    cost = estimate(prepared.decisions, prepared.starts, MEASURED, slots=2)
    # 600 updates, 256 x 8 + 128 x 4 answers of 10 tokens; 60 steps, 4 x 128 x 4 + 256 x 17 answers.
    assert cost.sft_s == pytest.approx(1 + 60 + (2048 + 512) * 0.01)
    answers_s = (4 * 512 + 256 * 17) * 0.01
    assert cost.run_s == pytest.approx({"u4": 1 + 60 + answers_s, "u16": 1 + 120 + answers_s})
    assert cost.seconds == pytest.approx(cost.sft_s + 4 * (cost.run_s["u4"] + cost.run_s["u16"]) / 2)
    one = estimate(prepared.decisions, prepared.starts, MEASURED, slots=1)
    assert one.seconds == pytest.approx(2 * cost.sft_s + 4 * (cost.run_s["u4"] + cost.run_s["u16"]))
    many = estimate(prepared.decisions, prepared.starts, MEASURED, slots=99)
    assert many.seconds == pytest.approx(cost.sft_s + cost.run_s["u16"])


def test_what_is_reused_costs_nothing(prepared):
    done = [dataclasses.replace(decision, action=Action.REUSE) for decision in prepared.decisions]
    cost = estimate(done, [], MEASURED, slots=2)
    assert (cost.seconds, cost.disk_bytes) == (0, 0)
    assert disk_needed([*done[1:], prepared.decisions[0]], []) == disk_bytes(prepared.decisions[0].config)


def test_parameters_are_counted_as_the_model_has_them(make_config):
    other = ["model.num_layers=3", "model.hidden_size=32", "model.num_heads=8", "model.num_kv_heads=4"]
    for overrides in ([], other, ["task=functions"]):
        config = make_config(*overrides)
        tokenizer = get_task(config.task).tokenizer()
        model = build_model(config.model, tokenizer, seed=0)
        assert num_parameters(config, vocabulary=len(tokenizer)) == sum(p.numel() for p in model.parameters())
        assert len(tokenizer) <= 96
