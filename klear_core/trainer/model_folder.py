"""Model folders in the ordinary transformers layout: safetensors, config and tokenizer as JSON."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from klear_core.data.formats.hub import PREFIX
from klear_core.errors import DataError, RunStoreError
from klear_core.runs.folders import replaced_whole

if TYPE_CHECKING:
    from klear_core.trainer.placing import Held

_TOLD = 200
# What transformers raises at files that it does not understand.
_REFUSALS = (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError)


def checkpoint_folder(where: str) -> Path:
    """The folder that a setting names: itself, or the local copy of ``hub:org/name@revision``, made when missing.

    DataError when the Hub's copy can neither be found here nor downloaded.
    """
    if not where.startswith(PREFIX):
        return Path(where)
    name, _, revision = where.removeprefix(PREFIX).partition("@")
    return _downloaded(name, revision or None)


# A plan asks for the same folder many times.
@lru_cache(maxsize=8)
def _downloaded(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    files = ["*.json", "*.safetensors", "*.jinja", "*.txt"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    except Exception as error:  # of many packages below it, without a common class
        raise DataError(
            f"{PREFIX}{name} cannot be had: {_told(error)}; allowed: a network, or a folder made elsewhere with "
            f"'hf download {name} --local-dir FOLDER'"
        ) from None


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


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder; DataError when it cannot be loaded, or lacks a token that every engine needs."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoTokenizer

    where = f"the tokenizer of checkpoint folder {folder}"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (*_REFUSALS, StrictDataclassError) as error:
        raise DataError(f"{where} cannot be loaded: {_told(error)}") from None
    for name in ("eos_token", "pad_token"):
        if getattr(tokenizer, name) is None:
            raise DataError(f"{where} has no {name}; set it in tokenizer_config.json")
    return tokenizer


def load_model(folder: Path, held: "Held | None" = None) -> tuple[Any, Any]:
    """Model and tokenizer of a folder; DataError when it is missing or is not a whole checkpoint.

    Weights come in the precision and on the device of ``held``, or as float32 on the CPU.
    """
    check_model(folder)
    # Imported late: looking at a folder should not cost the seconds of this import.
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoModelForCausalLM

    from klear_core.trainer.placing import place, weight_dtype

    where = f"checkpoint folder {folder}"
    tokenizer = load_tokenizer(folder)
    try:
        # What does not fit is told below: by default transformers would go on with random weights.
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            dtype=weight_dtype("float32" if held is None else held.precision),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except (*_REFUSALS, StrictDataclassError) as error:
        raise DataError(f"{where} cannot be loaded: {_told(error)}") from None
    for kind, told in (
        ("missing_keys", "missing"),
        ("mismatched_keys", "of another shape"),
        ("unexpected_keys", "not known to it"),
    ):
        names = sorted(name if isinstance(name, str) else name[0] for name in found[kind])
        if names:
            raise DataError(
                f"the weights of {where} do not fit its config.json: {len(names)} are {told}, such as {names[0]}"
            )
    _check_together(model, tokenizer, where)
    return model if held is None else place(model, held), tokenizer


def _check_together(model: Any, tokenizer: Any, where: str) -> None:
    known, size = len(tokenizer), model.get_input_embeddings().num_embeddings
    if known > size:
        raise DataError(f"the tokenizer of {where} has {known} tokens; allowed: at most the {size} of the model")
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise DataError(f"the weights of {where} are not finite: {name} holds NaN or infinity")


def _told(error: Exception) -> str:
    """What an exception says first, on one line; its class where the text alone says little."""
    first, *rest = str(error).splitlines() or [""]
    text = " ".join(" ".join([first, *rest[: first.endswith(":")]]).split())[:_TOLD]
    return text if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {text}"


def check_model(folder: Path) -> int:
    """Context length in tokens of the model in a folder, found without loading it.

    DataError unless the folder holds a causal LM's config, readable safetensors files and a tokenizer.
    """
    try:
        found = {path.name for path in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError) as error:
        state = "is a file" if isinstance(error, NotADirectoryError) else "does not exist"
        raise DataError(f"checkpoint folder {folder} {state}; allowed: a folder in the transformers layout") from None
    except OSError as error:
        raise DataError(f"checkpoint folder {folder} cannot be read: {error.strerror}") from None
    if "config.json" not in found or not any(name.endswith(".safetensors") for name in found):
        raise DataError(f"checkpoint folder {folder} holds no config.json with *.safetensors")
    config = read_json(folder / "config.json")
    for key, kind in (("model_type", str), ("max_position_embeddings", int)):
        if not isinstance(config.get(key), kind) or isinstance(config[key], bool):
            raise DataError(f"{folder / 'config.json'}: {key} is {config.get(key)!r}; allowed: a {kind.__name__}")
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
    read_json(folder / "tokenizer.json")
    return int(config["max_position_embeddings"])


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object that a file of a checkpoint folder holds; DataError when it holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
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
