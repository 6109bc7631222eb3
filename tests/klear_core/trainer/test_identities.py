"""Identities pass where the trainer is right, fail where it is not, and say where nothing was tested."""

import copy
import dataclasses

import pytest
import torch

from klear_core.config import ObjectiveConfig
from klear_core.errors import RunStoreError
from klear_core.objectives import surrogates
from klear_core.rollout.native import NativeEngine
from klear_core.runs.schema import CORNERS, IDENTITY_STATES
from klear_core.trainer import identities, identity_sides, update
from klear_core.trainer.identities import TOLERANCES, all_checks, check_steps, check_tokens
from klear_core.trainer.identity_batch import IdentityBatch, read_batch, sample_batch, write_batch
from klear_core.trainer.identity_sides import Policies
from klear_core.trainer.policy import build_model
from klear_core.trainer.rl import RLTrainer

BAND = {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": None}
BETAS = {"beta_low": 0.25, "beta_high": 1.0}


def preset(name, surrogate, **params):
    return ObjectiveConfig(name=name, surrogate=surrogate, params=params, note="")


PPO, GPPO = (
    preset("clip_higher", "ppo_clip", **BAND),
    preset("gppo_b025_d3", "gppo", **BAND | BETAS | {"dual_clip": 3.0}),
)
PRESETS = [PPO, GPPO, preset("cispo", "cispo", weight_low=0.8, weight_high=1.28), preset("reinforce", "reinforce")]


@pytest.fixture(scope="module")
def policies(make_config, tokenizer, grader, chains):
    """A start and a policy far from it, as after training; every step works on copies of them."""
    config = make_config(
        "rl.problems_per_step=8", "rl.completions_per_problem=4", "rl.max_response_tokens=12", "task.train_problems=24"
    )
    model = build_model(config.model, tokenizer, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)  # peaked enough that a few tokens are likely
        trained = copy.deepcopy(model)
        for parameter in trained.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))

    def make_trainer(config, model):
        engine = NativeEngine(model, tokenizer)
        return RLTrainer(config, model=model, tokenizer=tokenizer, engine=engine, grader=grader, problems=chains)

    return Policies(old=model, new=trained, config=config, make_trainer=make_trainer)


@pytest.fixture(scope="module")
def stored(policies):
    """No problem is solved, so advantages are drawn."""
    sampled = sample_batch(lambda model: policies.make_trainer(policies.config, model), policies.old, policies.new)
    generator = torch.Generator().manual_seed(2)
    advantages_N = torch.randn(len(sampled.batch.advantages_N), generator=generator)
    return dataclasses.replace(sampled, batch=dataclasses.replace(sampled.batch, advantages_N=advantages_N))


def states(rows):
    return {row.state for row in rows}


def test_every_identity_holds_on_a_batch_with_tokens_in_all_corners(stored, policies):
    assert all(stored.corners().values())
    rows = list(all_checks(stored, policies, PRESETS))
    assert states(rows) == {"passed"}
    assert {row.dtype for row in rows} == {"float32", "float64"}
    assert {row.objective for row in rows} == {"", *(preset.name for preset in PRESETS)}
    for row in rows:
        assert row.tolerance == (0 if row.name.startswith("ratio") else TOLERANCES[getattr(torch, row.dtype)])
    between = [row for row in rows if row.name == "identity between objectives"]
    assert len(between) == 2 * 3
    assert next(row for row in rows if row.objective == GPPO.name).pieces.keys() == {
        "A>0, r>1.28",
        "A<0, r<0.8",
        "A<0, r>3",
    }


def wrong_gppo(logprobs_NT, old_logprobs_NT, advantages_NT, **params):
    return surrogates.gppo(logprobs_NT, old_logprobs_NT, advantages_NT, **params | {"clip_low": 0.20001})


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_surrogate_that_is_a_hair_off_fails_in_both_precisions(stored, policies, dtype, monkeypatch):
    monkeypatch.setitem(surrogates._TABLE, "gppo", wrong_gppo)
    assert check_tokens(stored, GPPO, dtype).state == "failed"
    assert check_tokens(stored, PPO, dtype).state == "passed"
    if dtype == torch.float64:
        assert states(check_steps(stored, policies, [GPPO], dtype)) == {"failed"}


def test_a_trainer_that_trains_on_padding_fails_where_its_tokens_pass(stored, policies, monkeypatch):
    right = update.policy_loss

    def unmasked(logprobs_NT, old_NT, advantages_N, mask_NT, **rest):
        return right(logprobs_NT, old_NT, advantages_N, torch.ones_like(mask_NT), **rest)

    monkeypatch.setattr(update, "policy_loss", unmasked)
    assert check_tokens(stored, PPO, torch.float32).state == "passed"
    assert states(check_steps(stored, policies, [PPO], torch.float32)) == {"failed"}


@pytest.mark.parametrize("micro_batch_tokens", [None, 90])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_steps_keep_their_identities_on_packed_rows_and_in_micro_batches(stored, policies, dtype, micro_batch_tokens):
    rl = dataclasses.replace(policies.config.rl, pack_tokens=30, micro_batch_tokens=micro_batch_tokens)
    packed = dataclasses.replace(policies, config=dataclasses.replace(policies.config, rl=rl))
    rows = [
        *check_steps(stored, packed, [GPPO], dtype),
        *identities.check_steps_on_policy(stored, packed, [PPO], dtype),
    ]
    assert states(rows) == {"passed"}


def test_a_ratio_that_is_not_exactly_1_at_the_first_update_fails(stored, policies, monkeypatch):
    right = identity_sides.trainer_step

    def off(*arguments, **keywords):
        step = right(*arguments, **keywords)
        return dataclasses.replace(step, ratios_K=step.ratios_K * (1 + 1e-7))

    monkeypatch.setattr(identities, "trainer_step", off)
    *_, row = identities.check_steps_on_policy(stored, policies, [PPO], torch.float32)
    assert (row.name, row.tolerance, row.state) == ("ratio at the first update", 0, "failed")


def test_without_spread_ratios_nothing_off_policy_is_called_passed(stored, policies):
    same = IdentityBatch(batch=stored.batch, new_logprobs_NT=stored.batch.old_logprobs_NT)
    rows = list(all_checks(same, dataclasses.replace(policies, new=policies.old), PRESETS))
    off_policy = [row for row in rows if "r = 1" not in row.name and not row.name.startswith("ratio")]
    assert states(off_policy) == {"not exercised"}
    assert all("no token" in row.note for row in off_policy)
    assert states(set_aside := [row for row in rows if row not in off_policy]) == {"passed"}
    assert set_aside


def test_a_surrogate_without_a_stated_weight_is_not_called_passed(stored, policies, monkeypatch):
    monkeypatch.setitem(surrogates._TABLE, "new", surrogates.reinforce)
    rows = [row for row in all_checks(stored, policies, [preset("new", "new")]) if row.objective == "new"]
    (unstated,) = [row for row in rows if row.name == "gradient per token"]
    assert unstated.state == "not exercised"
    assert "new is not stated" in unstated.note
    assert set(IDENTITY_STATES) >= states(rows)


def test_the_batch_is_read_back_as_it_was_written(stored, tmp_path):
    path = tmp_path / "batch.safetensors"
    write_batch(path, stored)
    found = read_batch(path)
    assert [path.name for path in tmp_path.iterdir()] == ["batch.safetensors"]
    assert torch.equal(found.new_logprobs_NT, stored.new_logprobs_NT)
    for field in dataclasses.fields(stored.batch):
        torch.testing.assert_close(
            getattr(found.batch, field.name), getattr(stored.batch, field.name), rtol=0, atol=0, equal_nan=True
        )


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_damaged_batch_is_a_store_error(tmp_path, content):
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(RunStoreError, match="holds no batch of identities"):
        read_batch(tmp_path / "b")


def test_exchanging_the_policies_inverts_every_ratio_and_mirrors_the_corners(stored):
    new_K, old_K, _ = stored.tokens()
    again_new_K, again_old_K, _ = stored.reversed().tokens()
    assert torch.equal(new_K - old_K, again_old_K - again_new_K)
    assert stored.corners().keys() == CORNERS.keys()
    part = stored.richest(3)
    assert len(part.batch.group_index_N.unique()) == 3
    assert sum(part.corners().values()) >= sum(stored.corners().values()) * 3 / 8
