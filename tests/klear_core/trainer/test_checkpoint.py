"""Checkpoints: what is saved comes back, two generations are kept, and damage is found and passed over."""

import random

import numpy as np
import pytest
import torch

from klear_core.errors import DataError, RunStoreError
from klear_core.trainer.checkpoint import Checkpoints, TrainState, model_tensors, restore_model


def state(step):
    tensors = {"model": {"w": torch.full((3,), float(step))}, "optimizer": {"0.step": torch.tensor(float(step))}}
    return TrainState(tensors=tensors, data={"step": step, "note": [step, None]})


def test_a_state_comes_back_bit_for_bit(tmp_path):
    tensors = {"model": {"a": torch.randn(5, 3), "b": torch.randn(4).to(torch.bfloat16), "c": torch.tensor(3)}}
    checkpoints = Checkpoints(tmp_path / "resume")
    assert checkpoints.load() is None
    checkpoints.save(TrainState(tensors=tensors, data={"step": 7, "x": 0.1 + 0.2}))
    found = checkpoints.load()
    assert (found.data["step"], found.data["x"], found.data["threads"]) == (7, 0.1 + 0.2, torch.get_num_threads())
    for name, value in tensors["model"].items():
        assert found.tensors["model"][name].dtype == value.dtype
        assert torch.equal(found.tensors["model"][name], value)


def test_every_generator_goes_on_where_it_was(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    random.gauss(0, 1)
    checkpoints.save(state(1))
    drawn = [(random.random(), random.gauss(0, 1), np.random.rand(), float(torch.rand(()))) for _ in range(3)]
    checkpoints.load()
    assert drawn == [(random.random(), random.gauss(0, 1), np.random.rand(), float(torch.rand(()))) for _ in range(3)]


def test_the_newest_and_the_one_before_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in range(1, 6):
        checkpoints.save(state(step))
        assert Checkpoints(tmp_path).load().data["step"] == step
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000004", "000005", "latest"]
    checkpoints.remove()
    assert not tmp_path.exists()
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}*"))
    checkpoints.remove()


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGE = {
    "a flipped bit in the weights": lambda folder: flip(folder / "model.safetensors"),
    "a flipped bit in the state": lambda folder: flip(folder / "state.json"),
    "a flipped bit in the moments": lambda folder: flip(folder / "optimizer.safetensors"),
    "a truncated list of sums": lambda folder: (folder / "sha256.json").write_text('{"model.saf'),
    "an empty list of sums": lambda folder: (folder / "sha256.json").write_text("{}"),
    "a list of sums that is no list": lambda folder: (folder / "sha256.json").write_text("3"),
    "no list of sums": lambda folder: (folder / "sha256.json").unlink(),
    "a missing file": lambda folder: (folder / "optimizer.safetensors").unlink(),
    "a file more": lambda folder: (folder / "other.safetensors").write_bytes(b""),
    "a truncated file": lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 9),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_generation_is_passed_over_with_a_word(tmp_path, caplog, damage):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1))
    newest = checkpoints.save(state(2))
    DAMAGE[damage](newest)
    assert checkpoints.load().data["step"] == 1
    assert "000002 is damaged and passed over" in caplog.text
    # The next one must not take the damaged one's place, and the whole one must outlive it.
    checkpoints.save(state(3))
    assert checkpoints.load().data["step"] == 3
    flip(tmp_path / "000003" / "model.safetensors")
    DAMAGE[damage](tmp_path / "000002") if damage.startswith("a flipped") else None
    assert (found := checkpoints.load()) is None or found.data["step"] in (1, 2)


def test_with_nothing_whole_there_is_nothing(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        flip(checkpoints.save(state(step)) / "model.safetensors")
    assert checkpoints.load() is None
    assert caplog.text.count("passed over") == 2


@pytest.mark.parametrize("latest", ["000001\n", "000009\n", "", "\x80"])
def test_the_latest_is_what_latest_says_or_else_the_newest_whole_one(tmp_path, latest):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1))
    checkpoints.save(state(2))
    (tmp_path / "latest").write_bytes(latest.encode("latin-1"))
    assert checkpoints.load().data["step"] == (1 if latest == "000001\n" else 2)


def test_the_remains_of_a_kill_are_cleared_away(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1))
    (tmp_path / ".000002.77.tmp").mkdir()
    assert checkpoints.load().data["step"] == 1
    assert not (tmp_path / ".000002.77.tmp").exists()


def test_a_disk_that_refuses_leaves_the_older_generation(tmp_path, monkeypatch):
    from klear_core.trainer import checkpoint

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1))

    def refuse(tensors, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", refuse)
    with pytest.raises(RunStoreError, match="No space left"):
        checkpoints.save(state(2))
    assert checkpoints.load().data["step"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001", "latest"]


def test_tied_weights_are_stored_once_and_another_model_is_refused(model):
    tensors = {name: value.clone() for name, value in model_tensors(model).items()}
    assert "lm_head.weight" not in tensors
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    restore_model(model, tensors)
    assert all(torch.equal(value, tensors[name]) for name, value in model_tensors(model).items())
    assert model.lm_head.weight is model.model.embed_tokens.weight
    tensors.popitem()
    with pytest.raises(DataError, match="other parameters"):
        restore_model(model, tensors)
