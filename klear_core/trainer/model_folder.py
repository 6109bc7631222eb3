"""Model folders in the ordinary transformers layout: safetensors, config and tokenizer as JSON."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from klear_core.errors import DataError, RunStoreError
from klear_core.runs.folders import replaced_whole


def save_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write a folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load with nothing of ours.

    It appears whole or not at all; RunStoreError when the disk refuses.
    """
    try:
        with replaced_whole(folder) as temporary:
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
    except SafetensorError as error:
        raise RunStoreError(f"{folder} cannot be written: {error}") from error


def load_model(folder: Path) -> tuple[Any, Any]:
    """Model (float32) and tokenizer of a folder; DataError when it is missing or is not a checkpoint."""
    check_model(folder)
    # Imported late: looking at a folder should not cost the seconds of this import.
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="float32")
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DataError(f"checkpoint folder {folder} cannot be loaded: {str(error).splitlines()[0]}") from None
    return model, tokenizer


def check_model(folder: Path) -> int:
    """Context length in tokens of the model in a folder, found without loading it.

    DataError unless the folder holds a causal LM's config, readable safetensors files and a tokenizer.
    """
    try:
        found = {path.name for path in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"checkpoint folder {folder} does not exist") from None
    except OSError as error:
        raise DataError(f"checkpoint folder {folder} cannot be read: {error.strerror}") from None
    if "config.json" not in found or not any(name.endswith(".safetensors") for name in found):
        raise DataError(f"checkpoint folder {folder} holds no config.json with *.safetensors")
    config = _read_json(folder / "config.json")
    for key, kind in (("model_type", str), ("max_position_embeddings", int)):
        if not isinstance(config.get(key), kind):
            raise DataError(f"{folder / 'config.json'}: {key} is {config.get(key)!r}; expected a {kind.__name__}")
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="np") as tensors:
                empty = not tensors.keys()
        except (OSError, SafetensorError) as error:
            raise DataError(f"{path} is not a whole safetensors file: {error}") from None
        if empty:
            raise DataError(f"{path} holds no tensors")
    if not (folder / "tokenizer.json").is_file():
        raise DataError(f"checkpoint folder {folder} holds no tokenizer.json")
    _read_json(folder / "tokenizer.json")
    return int(config["max_position_embeddings"])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no JSON object")
    return value


def weights_hash(folder: Path) -> str:
    """Hash of the weights of a checkpoint folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
