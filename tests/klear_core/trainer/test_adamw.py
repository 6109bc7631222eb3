"""Weights in bfloat16: tiny steps add up as in float32, gradients and moments are float32, no state is lost."""

import copy
import dataclasses

import pytest
import torch
from safetensors.torch import load, save
from transformers import AutoModelForCausalLM

from klear_core.config import RunConfig
from klear_core.errors import ConfigError
from klear_core.records import SFTExample
from klear_core.trainer import adamw
from klear_core.trainer.model_folder import load_model, save_model
from klear_core.trainer.optim import Optimizer
from klear_core.trainer.placing import place
from klear_core.trainer.sft import SFTTrainer

BF16 = ("bf16_master", "bf16_kahan")
RATE = 1e-5


def optimizer(parameters, precision, **changes):
    settings = {"learning_rate": RATE, "betas": (0.9, 0.95), "weight_decay": 0.1, "max_grad_norm": 1.0}
    return Optimizer(parameters, precision=precision, warmup_updates=0, **(settings | changes))


def start():
    """Weights that bfloat16 holds exactly, so that all precisions begin at one place."""
    return torch.linspace(-2, 2, 64).reshape(8, 8).bfloat16()


def trained(precision, *, updates=300, dtype=torch.bfloat16):
    """Train under gradients that depend on the update alone: a drift with noise on top, for each weight another one."""
    parameter = torch.nn.Parameter(start().to(dtype))
    steps = optimizer([parameter], precision)
    generator = torch.Generator().manual_seed(0)
    drift = torch.randn(8, 8, generator=generator)
    for _ in range(updates):
        steps.zero_grad()
        parameter.grad += 1e-3 * (drift + torch.randn(8, 8, generator=generator))
        steps.step(steps.clip())
    return parameter.detach(), steps.state_tensors()


def test_tiny_steps_are_lost_in_bfloat16_alone():
    parameter = torch.nn.Parameter(start())
    plain = torch.optim.AdamW([parameter], lr=RATE, betas=(0.9, 0.95), weight_decay=0.1)
    for _ in range(300):
        parameter.grad = torch.full_like(parameter, 1e-3)
        plain.step()
    unmoved = parameter.detach() == start()
    assert unmoved[start().abs() > 0.1].all()


def test_masters_are_bit_for_bit_the_weights_of_float32_training():
    weights, _ = trained("float32", dtype=torch.float32)
    rounded, state = trained("bf16_master")
    assert (weights - start().float()).abs().max() > 1e-3
    assert torch.equal(state["0.master"], weights)
    assert torch.equal(rounded, weights.bfloat16())


def test_weights_with_their_kept_errors_follow_float32_training():
    weights, _ = trained("float32", dtype=torch.float32)
    rounded, state = trained("bf16_kahan")
    together = rounded.float() + state["0.error"].float()
    # 16 bits hold a number to 2^-17 of it, and each of 300 updates rounds once.
    moved = (weights - start().float()).abs()
    error = (together - weights).abs()
    assert (error <= 300 * 2.0**-17 * weights.abs()).all()
    assert error.mean() < 0.05 * moved.mean()
    assert (rounded.float() - weights).abs().max() <= 2.0**-8 * 2 + error.max()


@pytest.mark.parametrize("precision", BF16)
def test_moments_are_float32_and_what_weights_lose_is_stored(precision):
    weights, state = trained(precision, updates=2)
    kept = {"bf16_master": ("0.master", torch.float32), "bf16_kahan": ("0.error", torch.bfloat16)}[precision]
    types = {name: value.dtype for name, value in state.items()}
    assert types == dict.fromkeys(("0.step", "0.exp_avg", "0.exp_avg_sq"), torch.float32) | {kept[0]: kept[1]}
    assert weights.dtype == torch.bfloat16


def test_float32_weights_are_stored_as_torch_stores_them():
    parameter = torch.nn.Parameter(torch.ones(3))
    steps = optimizer([parameter], "float32")
    assert steps.state_tensors() == {}
    steps.zero_grad()
    steps.step(steps.clip())
    assert steps.state_tensors().keys() == {"0.step", "0.exp_avg", "0.exp_avg_sq"}


@pytest.mark.parametrize("precision", BF16)
def test_gradients_of_micro_batches_add_up_in_float32_and_are_clipped_there(precision):
    parameter = torch.nn.Parameter(torch.ones(4).bfloat16())
    steps = optimizer([parameter], precision)
    steps.zero_grad()
    for _ in range(1000):
        torch.autograd.backward((parameter * 0.5).sum())
    # Added up in bfloat16 they would stop at 128, where a half is lost.
    assert parameter.grad.dtype == torch.float32
    assert parameter.grad.tolist() == [500.0] * 4
    assert steps.clip() == 1000.0
    assert parameter.grad.norm().item() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", *BF16])
def test_an_optimizer_goes_on_from_its_stored_state_bit_for_bit(precision):
    def gradient(update):
        return torch.randn(8, 8, generator=torch.Generator().manual_seed(update)) * 1e-3

    def run(parameter, steps, updates):
        for update in updates:
            steps.zero_grad()
            parameter.grad += gradient(update)
            steps.step(steps.clip())

    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    whole = torch.nn.Parameter(start().to(dtype))
    steps = optimizer([whole], precision)
    run(whole, steps, range(5))
    stored = load(save({name: value.contiguous() for name, value in steps.state_tensors().items()}))
    other = torch.nn.Parameter(whole.detach().clone())
    run(whole, steps, range(5, 40))
    resumed = optimizer([other], precision)
    resumed.restore(stored, updates=5)
    run(other, resumed, range(5, 40))
    assert torch.equal(whole, other)
    states = steps.state_tensors(), resumed.state_tensors()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("precision", BF16)
def test_weights_of_float64_are_stepped_as_they_are(precision):
    parameter = torch.nn.Parameter(start().double())
    assert optimizer([parameter], precision).state_tensors() == {}
    assert parameter.dtype == torch.float64


def test_a_torch_that_cannot_sum_in_float32_is_refused(monkeypatch):
    monkeypatch.setattr(adamw, "_SUMS_IN_FLOAT32", False)
    parameter = torch.nn.Parameter(start())
    with pytest.raises(ConfigError, match=r"model\.precision is 'bf16_master'; allowed with torch .*: float32"):
        adamw.step_rule("bf16_master", [parameter], betas=(0.9, 0.95), weight_decay=0.0)


@pytest.fixture
def held(make_config, model):
    def make(precision):
        config: RunConfig = make_config(f"model.precision={precision}", "sft.learning_rate=3e-3")
        return place(copy.deepcopy(model), config.model), config

    return make


def test_a_model_in_bfloat16_keeps_its_rotary_frequencies(held, model):
    ours, _ = held("bf16_master")
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.bfloat16}
    buffers = dict(model.named_buffers())
    assert buffers and all(torch.equal(value, buffers[name]) for name, value in ours.named_buffers())
    assert ours.lm_head.weight is ours.get_input_embeddings().weight


@pytest.mark.parametrize("precision", BF16)
def test_a_model_in_bfloat16_is_saved_as_transformers_loads_it(held, tokenizer, tmp_path, precision):
    ours, config = held(precision)
    save_model(tmp_path / "model", ours, tokenizer)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="auto")
    again, _ = load_model(tmp_path / "model", config.model)
    ids = torch.tensor([tokenizer("3+4*7=")["input_ids"]])
    with torch.no_grad():
        logits = [each.eval()(input_ids=ids).logits for each in (ours, theirs, again)]
    assert {each.dtype for each in logits} == {torch.bfloat16}
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])
    assert load_model(tmp_path / "model")[0].dtype == torch.float32


def test_supervised_training_in_bfloat16_falls_as_in_float32(held, tokenizer, chains):
    def losses(precision):
        ours, config = held(precision)
        examples = [
            SFTExample(
                problem_id=p.problem_id,
                prompt=p.prompt,
                response=f"\\boxed{{{p.answer}}}",
                source="s",
                teacher="t",
                is_correct=True,
                difficulty=None,
            )
            for p in chains
        ]
        sft = dataclasses.replace(config.sft, steps=12, batch_size=8, warmup_steps=2)
        trainer = SFTTrainer(ours, tokenizer, lambda start: iter(examples * 10), sft, precision=precision)
        return [row["loss"] for row in trainer.steps()]

    expected = losses("float32")
    assert expected[-1] < 0.7 * expected[0]
    for precision in BF16:
        assert losses(precision) == pytest.approx(expected, rel=0.1), precision
