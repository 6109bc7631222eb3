"""A checkpoint folder as it is evaluated: its name, its identity, and its context extended where that is asked."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from klear_core.data.formats.hub import PREFIX, looks_like_hub_name
from klear_core.errors import ConfigError, DataError
from klear_core.rewards.format import OPEN
from klear_core.trainer.model_folder import checkpoint_folder, read_json, weights_hash

_CONFIG = "config.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")  # of the Hub: it names the folder of a local copy
# Beside the weights, what decides which answers a folder gives.
_BESIDE = (_CONFIG, "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def is_of_hub(model: str) -> bool:
    """Whether ``model`` is hub:org/name, which is downloaded where it is not here yet."""
    return model.startswith(PREFIX)


def folder_of(model: str) -> Path:
    """The folder that ``model`` names, or the local copy of what hub:org/name@revision names, made when missing.

    ConfigError for a name of the Hub without ``hub:``; DataError when the Hub's copy cannot be had.
    """
    if not is_of_hub(model) and looks_like_hub_name(model) and not _exists(Path(model)):
        raise ConfigError(
            f"model is {model}, which is no folder here; allowed: hub:{model}, which downloads it, or a folder, such "
            f"as `hf download {model} --local-dir {model.rpartition('/')[2]}` makes where there is a network"
        )
    return checkpoint_folder(model)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def name_of(model: str) -> str:
    """What results are called: organisation and name of a model of the Hub, sweep, arm and seed of a run's checkpoint,
    the folder's own name otherwise.
    """
    whole = Path(model).absolute()
    if is_of_hub(model):
        parts: tuple[str, ...] = (model.removeprefix(PREFIX).partition("@")[0],)
    else:
        parts = whole.parts[-4:-1] if whole.name == "checkpoint" else (whole.name,)
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts)).strip(".-") or "model"


def source_told(model: str, folder: Path) -> str:
    """Where a model is from, without a path of this machine: a model of the Hub as it was given, with the commit that
    its local copy is of, or a folder by its name.
    """
    if not is_of_hub(model):
        return f"folder {name_of(model)}"
    return f"{model}, commit {folder.name}" if _COMMIT.fullmatch(folder.name) else model


def model_hash(folder: Path) -> str:
    """Hash of weights, configuration and tokenizer of a checkpoint folder."""
    digest = hashlib.sha256(weights_hash(folder).encode())
    for name in _BESIDE:
        if (folder / name).is_file():
            digest.update(name.encode() + b"\0" + (folder / name).read_bytes() + b"\0")
    return digest.hexdigest()


@contextmanager
def extended(folder: Path, factor: float | None) -> Iterator[Path]:
    """The folder, or a view of it whose context YaRN extends by ``factor`` (Peng et al., arXiv 2309.00071).

    Only ``config.json`` is another file in the view; nothing in ``folder`` changes. DataError when it has no context.
    """
    if factor is None:
        yield folder
        return
    with TemporaryDirectory(prefix="yarn-") as made:
        view = Path(made) / folder.name
        view.mkdir()
        for path in folder.iterdir():
            if path.name != _CONFIG:
                (view / path.name).symlink_to(path.absolute())
        (view / _CONFIG).write_text(json.dumps(with_yarn(read_json(folder / _CONFIG), factor)), encoding="utf-8")
        yield view


def with_yarn(config: dict[str, Any], factor: float) -> dict[str, Any]:
    """A model's configuration with YaRN: positions up to ``factor`` times as many; ConfigError where it has YaRN."""
    context = config.get("max_position_embeddings")
    if not isinstance(context, int):
        raise DataError(f"{_CONFIG}: max_position_embeddings is {context!r}; allowed: an int")
    # transformers 5 writes rope_parameters, with the base in it; earlier ones rope_scaling beside rope_theta.
    key = "rope_parameters" if isinstance(config.get("rope_parameters"), dict) else "rope_scaling"
    before = config.get(key) or {}
    if before.get("rope_type", before.get("type", "default")) != "default":
        raise ConfigError(f"yarn is {factor:g}, and the model has rope_type {before.get('rope_type')!r} already")
    scaling = {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": context}
    return config | {key: before | scaling, "max_position_embeddings": int(context * factor)}


def opens_reasoning(tokenizer: Any) -> bool:
    """Whether the chat form of a prompt ends in the opening of the reasoning, so that a response begins after it."""
    if not tokenizer.chat_template:
        return False
    chat = [{"role": "user", "content": "?"}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return str(text).rstrip().endswith(OPEN)
