"""Neither packing nor micro-batches change a loss, a gradient, or what a step reports."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_core.batch import TrainBatch
from klear_core.config import ObjectiveConfig
from klear_core.errors import ConfigError, DataError
from klear_core.objectives.reductions import reduction_names
from klear_core.rollout.native import NativeEngine
from klear_core.trainer.collate import pad
from klear_core.trainer.gradient_noise import gradient_noise
from klear_core.trainer.micro_batches import split_rows
from klear_core.trainer.policy import build_model
from klear_core.trainer.rl import RLTrainer
from tests.klear_core.trainer.peaked import peaked_double

BAND = {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": None}
OBJECTIVES = {
    "ppo_clip": BAND,
    "gppo": BAND | {"beta_low": 0.25, "beta_high": 1.0},
    "cispo": {"weight_low": 0.8, "weight_high": 1.28},
}
# pack_tokens, micro_batch_tokens; a prompt with its response has at most 7 + 24 tokens.
WAYS = [(31, None), (77, None), (2000, None), (None, 1), (None, 90), (None, 10_000), (40, 40), (64, 200)]


@pytest.fixture(scope="module")
def config(make_config):
    return make_config(
        *("rl.problems_per_step=8", "rl.completions_per_problem=4", "task.train_problems=24"),
        *("rl.max_response_tokens=24", "rl.max_grad_norm=1e9", "rl.temperature=0.9"),
    )


@pytest.fixture(scope="module")
def start(config, tokenizer):
    return peaked_double(config, tokenizer)


@pytest.fixture(scope="module")
def make_trainer(config, start, tokenizer, grader, chains):
    def make(pack_tokens=None, micro_batch_tokens=None, *, model=start, **changes):
        rl = dataclasses.replace(config.rl, pack_tokens=pack_tokens, micro_batch_tokens=micro_batch_tokens)
        changed = dataclasses.replace(config, rl=rl, **changes)
        engine = NativeEngine(model, tokenizer)
        return RLTrainer(changed, model=model, tokenizer=tokenizer, engine=engine, grader=grader, problems=chains)

    return make


def drawn(seed, rows=32):
    """A scored batch of long-tailed lengths, a few rows of advantage 0, ratios on both sides of every band."""
    generator = torch.Generator().manual_seed(seed)

    def ids(low, high):
        length = int(torch.randint(low, high + 1, (), generator=generator))
        return torch.randint(3, 20, (length,), generator=generator).tolist()

    tails = [24 if n % 9 == 0 else 8 for n in range(rows)]
    padded = pad([ids(2, 7) for _ in range(rows)], [ids(1, most) for most in tails], pad_id=0)
    shape = padded.response_mask_NT.shape
    advantages_N = torch.randn(rows, generator=generator, dtype=torch.float64)
    advantages_N[::7] = 0.0
    return TrainBatch(
        token_ids_NL=padded.token_ids_NL,
        attention_mask_NL=padded.attention_mask_NL,
        response_mask_NT=padded.response_mask_NT,
        old_logprobs_NT=0.3 * torch.randn(shape, generator=generator, dtype=torch.float64),
        sampler_logprobs_NT=-torch.rand(shape, generator=generator, dtype=torch.float64),
        advantages_N=advantages_N,
        group_index_N=torch.arange(rows) // 4,
        counted_N=torch.ones(rows, dtype=torch.bool),
    )


@pytest.fixture(scope="module")
def batch(make_trainer):
    return near_the_policy(make_trainer(), drawn(0))


def near_the_policy(trainer, batch):
    """``old_logprobs_NT`` as drawn, about those of the policy."""
    with torch.no_grad():
        own_NT = trainer.forward(batch, entropy=False).logprobs_NT
    return dataclasses.replace(batch, old_logprobs_NT=own_NT + batch.old_logprobs_NT)


def updated(trainer, batch, *, scored=True):
    """Update of all rows and the gradient of every parameter; the weights stay as they were."""
    minibatch = trainer.select(batch, torch.arange(len(batch.advantages_N)))
    if scored:
        entropy_NT = torch.rand(minibatch.batch.response_mask_NT.shape, dtype=torch.float64)
        minibatch = dataclasses.replace(minibatch, entropy_NT=entropy_NT)
    before = [parameter.detach().clone() for parameter in trainer._model.parameters()]
    update = trainer.update(minibatch)
    gradients = [parameter.grad.clone() for parameter in trainer._model.parameters()]
    with torch.no_grad():
        for parameter, value in zip(trainer._model.parameters(), before, strict=True):
            parameter.copy_(value)
    return update, gradients


def assert_same_gradients(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max()) <= tolerance * float(other.abs().max())


def settings_of(objective, reduction, config):
    preset = ObjectiveConfig(name=objective, surrogate=objective, params=OBJECTIVES[objective], note="")
    return {"objective": preset, "loss": dataclasses.replace(config.loss, reduction=reduction)}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("reduction", reduction_names())
def test_loss_and_gradients_are_those_of_the_padded_batch(make_trainer, config, batch, objective, reduction):
    changes = settings_of(objective, reduction, config)
    expected, gradients = updated(make_trainer(**changes), batch)
    low, high = expected.record.ratios_K.min(), expected.record.ratios_K.max()
    assert low < 0.8 < 1.28 < high
    for way in WAYS:
        found, others = updated(make_trainer(*way, **changes), batch)
        assert found.loss == pytest.approx(expected.loss, rel=1e-10)
        assert_same_gradients(others, gradients, 1e-10)
        assert found.info.grad_norm == pytest.approx(expected.info.grad_norm, rel=1e-10)
        assert found.nonfinite == expected.nonfinite == ""


@pytest.mark.parametrize("way", WAYS)
def test_float32_agrees_to_one_in_a_million(make_trainer, config, tokenizer, batch, way):
    model = build_model(config.model, tokenizer, seed=0)
    names = ("old_logprobs_NT", "sampler_logprobs_NT", "advantages_N")
    single = dataclasses.replace(batch, **{name: getattr(batch, name).float() for name in names})
    single = near_the_policy(make_trainer(model=model), dataclasses.replace(single, old_logprobs_NT=drawn_noise(batch)))
    expected, gradients = updated(make_trainer(model=model), single)
    found, others = updated(make_trainer(*way, model=model), single)
    assert found.loss == pytest.approx(expected.loss, abs=1e-6)
    assert_same_gradients(others, gradients, 2e-6)


def drawn_noise(batch):
    return 0.3 * torch.randn(batch.old_logprobs_NT.shape, generator=torch.Generator().manual_seed(5))


@settings(max_examples=25)
@given(data=st.data())
def test_the_loss_depends_on_no_packing_no_budget_and_no_order(make_trainer, batch, data):
    pack_tokens = data.draw(st.none() | st.integers(31, 300))
    budget = data.draw(st.none() | st.integers(pack_tokens or 1, 1500))
    order_N = torch.tensor(data.draw(st.permutations(range(len(batch.advantages_N)))))
    expected, gradients = updated(make_trainer(), batch)
    found, others = updated(make_trainer(pack_tokens, budget), batch.rows(order_N))
    assert found.loss == pytest.approx(expected.loss, rel=1e-10)
    assert_same_gradients(others, gradients, 1e-10)


@pytest.mark.parametrize("way", WAYS)
def test_an_update_reports_the_tokens_of_all_its_micro_batches(make_trainer, batch, way):
    expected, _ = updated(make_trainer(), batch, scored=False)
    found, _ = updated(make_trainer(*way), batch, scored=False)
    for field in dataclasses.fields(expected.record):
        one, other = (getattr(update.record, field.name).sort().values for update in (found, expected))
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    one, other = (update.sampler_gaps_K.sort().values for update in (found, expected))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_the_first_update_is_on_policy_to_the_last_bit_in_every_micro_batch(make_trainer, batch, way):
    update, gradients = updated(make_trainer(*way), batch, scored=False)
    assert len(update.record.ratios_K) == int(batch.response_mask_NT[batch.advantages_N != 0].sum())
    assert (update.record.ratios_K == 1).all()
    assert any(gradient.any() for gradient in gradients)


def test_scoring_puts_every_value_back_to_its_row(make_trainer, batch):
    halves = torch.split(torch.arange(len(batch.advantages_N)), 8)
    found = {}
    for way in [(None, None), *WAYS]:
        trainer = make_trainer(*way)
        first, *later = trainer._score([trainer.select(batch, rows_N) for rows_N in halves])
        assert first.entropy_NT is None
        found[way] = later
    for way in WAYS:
        for one, other in zip(found[way], found[None, None], strict=True):
            mask_NT = one.batch.response_mask_NT
            for mine, theirs in ((one.batch, other.batch), (one, other)):
                name = "old_logprobs_NT" if isinstance(mine, TrainBatch) else "entropy_NT"
                torch.testing.assert_close(
                    getattr(mine, name)[mask_NT], getattr(theirs, name)[mask_NT], rtol=0, atol=1e-10
                )


def test_without_budgets_an_update_is_one_pass_over_the_rows_as_they_lie(make_trainer, batch):
    trainer = make_trainer()
    passes = []
    forward = trainer.forward
    trainer.forward = lambda part, *, entropy: passes.append(part) or forward(part, entropy=entropy)
    updated(trainer, batch)
    (part,) = passes
    assert torch.equal(part.token_ids_NL, batch.token_ids_NL[batch.advantages_N != 0])


def test_a_micro_batch_that_is_not_finite_leaves_out_the_whole_update(make_trainer, batch):
    spoiled = dataclasses.replace(batch, old_logprobs_NT=batch.old_logprobs_NT.clone())
    spoiled.old_logprobs_NT[1] = -math.inf
    trainer = make_trainer(None, 60)
    minibatch = trainer.select(spoiled, torch.arange(len(batch.advantages_N)))
    assert len(minibatch.micro_batches) > 3
    minibatch = dataclasses.replace(minibatch, entropy_NT=torch.zeros_like(minibatch.batch.old_logprobs_NT))
    before = [parameter.detach().clone() for parameter in trainer._model.parameters()]
    update = trainer.update(minibatch)
    assert update.nonfinite
    assert all(torch.equal(one, other) for one, other in zip(before, trainer._model.parameters(), strict=True))


def test_a_mini_batch_without_rows_still_steps(make_trainer, batch):
    silent = dataclasses.replace(batch, advantages_N=torch.zeros_like(batch.advantages_N))
    update, gradients = updated(make_trainer(40, 80), silent, scored=False)
    assert (update.loss, update.record, len(update.sampler_gaps_K)) == (0.0, None, 0)
    assert not any(gradient.any() for gradient in gradients)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 40),
    pack_tokens=st.none() | st.integers(31, 120),
    budget=st.integers(1, 600),
)
def test_every_row_is_in_one_micro_batch_and_only_a_single_row_passes_the_budget(seed, rows, pack_tokens, budget):
    batch = drawn(seed, rows)
    budget = max(budget, pack_tokens or 1)
    parts = split_rows(batch, micro_batch_tokens=budget, pack_tokens=pack_tokens)
    assert sorted(torch.cat(parts).tolist()) == list(range(rows))
    num_prompt = batch.token_ids_NL.shape[1] - batch.response_mask_NT.shape[1]
    for rows_N in parts:
        mask_NL = batch.attention_mask_NL[rows_N]
        assert rows_N.tolist() == sorted(rows_N.tolist())
        if pack_tokens is None:
            width = int(mask_NL[:, :num_prompt].sum(1).max() + mask_NL[:, num_prompt:].sum(1).max())
            assert len(rows_N) * width <= budget or len(rows_N) == 1
        else:
            assert int(mask_NL.sum()) <= budget


def test_the_packed_positions_of_a_micro_batch_keep_the_budget(make_trainer, batch, monkeypatch):
    from klear_core.trainer import packing

    seen = []
    real = packing.token_scores

    def spy(*args, **kwargs):
        seen.append(kwargs["input_ids"].numel())
        return real(*args, **kwargs)

    monkeypatch.setattr(packing, "token_scores", spy)
    updated(make_trainer(40, 130), batch)
    assert len(seen) > 1
    assert max(seen) <= 130


def test_neither_packing_nor_micro_batches_change_the_gradient_noise(make_trainer, batch):
    measured, passes = [], []
    for way in ((None, None), (64, None), (None, 40)):
        trainer, rows_of_passes = make_trainer(*way), []

        def logprobs_of(rows, trainer=trainer, seen=rows_of_passes):
            seen.append(len(rows.advantages_N))
            return trainer.forward(rows, entropy=False).logprobs_NT

        weights = list(trainer._model.parameters())
        measured.append(gradient_noise(batch, 8, logprobs_of, weights, split=trainer._micro_batches))
        passes.append(rows_of_passes)
    for found in measured[1:]:
        assert found.variance == pytest.approx(measured[0].variance, rel=1e-10)
        assert found.signal == pytest.approx(measured[0].signal, rel=1e-10)
    assert len(passes[2]) > len(passes[0]) == len(passes[1]) == 8


def test_budgets_that_cannot_be_met_are_refused(make_config, batch):
    with pytest.raises(ConfigError, match=r"pack_tokens is 24; allowed: null or more than rl\.max_response_tokens"):
        make_config("rl.max_response_tokens=24", "rl.pack_tokens=24")
    with pytest.raises(ConfigError, match=r"micro_batch_tokens is 30; allowed: null or at least rl\.pack_tokens = 40"):
        make_config("rl.max_response_tokens=24", "rl.pack_tokens=40", "rl.micro_batch_tokens=30")
    with pytest.raises(DataError, match=r"a prompt with its response has \d+ tokens; allowed: at most 12"):
        split_rows(batch, micro_batch_tokens=90, pack_tokens=12)
