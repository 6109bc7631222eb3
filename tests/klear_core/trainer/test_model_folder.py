"""Where a start's weights lie: a folder as it is, or the local copy of a model of the Hub."""

import os
from pathlib import Path

import huggingface_hub
import pytest

from klear_core.errors import DataError
from klear_core.trainer import model_folder
from klear_core.trainer.model_folder import checkpoint_folder


@pytest.fixture(autouse=True)
def empty_cache():
    model_folder._downloaded.cache_clear()


def test_a_folder_is_itself():
    assert checkpoint_folder("models/mine") == Path("models/mine")


def test_a_model_of_the_hub_is_its_local_copy_of_the_revision_asked_for_once(monkeypatch, tmp_path):
    asked = []

    def download(name, *, revision, allow_patterns):
        asked.append((name, revision))
        assert "*.safetensors" in allow_patterns and not any("bin" in pattern for pattern in allow_patterns)
        return str(tmp_path / "copy")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    found = [checkpoint_folder(where) for where in ("hub:org/name", "hub:org/name", "hub:org/name@v1")]
    assert found == [tmp_path / "copy"] * 3
    assert asked == [("org/name", None), ("org/name", "v1")]


def test_a_model_that_cannot_be_had_is_refused_with_the_way_to_a_folder():
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    with pytest.raises(DataError, match=r"hub:no-such/model cannot be had: .*'hf download no-such/model") as caught:
        checkpoint_folder("hub:no-such/model")
    assert "\n" not in str(caught.value)
