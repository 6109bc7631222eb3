"""Checkpoint folders in the ordinary transformers layout: safetensors, config and tokenizer as JSON."""

import hashlib
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from klear_core.errors import DataError


def save_checkpoint(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write a folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load with nothing of ours."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_checkpoint(folder: Path) -> tuple[Any, Any]:
    """Model (float32) and tokenizer of a folder; DataError when it is missing or is not a checkpoint."""
    check_checkpoint(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="float32")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"checkpoint folder {folder} cannot be loaded: {str(error).splitlines()[0]}") from None
    return model, tokenizer


def check_checkpoint(folder: Path) -> None:
    """DataError unless ``folder`` holds a model in safetensors and its config."""
    if not folder.is_dir():
        raise DataError(f"checkpoint folder {folder} does not exist")
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise DataError(f"checkpoint folder {folder} holds no config.json with *.safetensors")


def checkpoint_hash(folder: Path) -> str:
    """Hash of the weights of a checkpoint folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
