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
from klear_core.trainer.model_folder import read_json, weights_hash

_CONFIG = "config.json"
# Beside the weights, what decides which answers a folder gives.
_BESIDE = (_CONFIG, "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def check_folder(model: str) -> Path:
    """The folder that ``model`` names; ConfigError for what is none, with the way to get one of the Hub's."""
    path = Path(model)
    is_hub = model.startswith(PREFIX) or looks_like_hub_name(model)
    try:
        is_there = path.exists()
    except (OSError, ValueError):
        is_there = False
    if is_hub and not is_there:
        name = model.removeprefix(PREFIX)
        raise ConfigError(
            f"model is {model}, which is no folder here, and nothing is downloaded; allowed: a folder, such as what "
            f"`hf download {name} --local-dir {name.rpartition('/')[2]}` makes where there is a network"
        )
    return path


def name_of(folder: Path) -> str:
    """What results are called: sweep, arm and seed of a run's checkpoint, the folder's own name otherwise."""
    whole = folder.absolute()
    parts = whole.parts[-4:-1] if whole.name == "checkpoint" else (whole.name,)
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts)).strip(".-") or "model"


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
