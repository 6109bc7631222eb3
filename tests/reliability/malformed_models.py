"""Malformed checkpoint folders, given as sft.checkpoint."""

import atexit
import functools
import json
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reliability.malformed import Case

_GROUP = "Checkpoint folders given as sft.checkpoint=<folder>"
_WEIGHTS = "model.safetensors"
_KEPT = 10  # bytes of a file that is cut, before anything that differs between machines


@functools.cache
def _whole() -> Path:
    """A checkpoint that can be started from; every case spoils a copy."""
    from klear_core.data.tokenizer import build_tokenizer
    from klear_core.model_config import ModelConfig
    from klear_core.trainer.model_folder import save_model
    from klear_core.trainer.policy import build_model

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_layers": 2}
    heads = {"num_heads": 4, "num_kv_heads": 2, "head_dim": 8}
    shape = ModelConfig(name="tiny", **sizes, **heads, precision="float32", device="cpu", gradient_checkpointing=False)
    tokenizer = build_tokenizer(max_length=128)
    home = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    folder = Path(home) / "whole"
    save_model(folder, build_model(shape, tokenizer, seed=0), tokenizer)
    return folder


def whole(root: Path) -> None:
    """The checkpoint as it was saved."""
    shutil.copytree(_whole(), root / "folder")


def _edit(name: str, **values: Any) -> Callable[[Path], None]:
    """Set fields of a JSON file; None removes one."""

    def edit(folder: Path) -> None:
        fields = json.loads((folder / name).read_text()) | values
        (folder / name).write_text(json.dumps({key: value for key, value in fields.items() if value is not None}))

    return edit


def _write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def _cut(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: _KEPT if name.endswith(".json") else len(content) // 2])

    return cut


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _tensors(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        save_file(change(load_file(folder / _WEIGHTS)), folder / _WEIGHTS)

    return edit


def _only_pickle(folder: Path) -> None:
    (folder / _WEIGHTS).rename(folder / "pytorch_model.bin")


def _more_tokens(folder: Path) -> None:
    path = folder / "tokenizer.json"
    fields = json.loads(path.read_text())
    fields["model"]["vocab"] |= {f"word{k}": 40 + k for k in range(100)}
    path.write_text(json.dumps(fields))


def _header_only() -> bytes:
    header = b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    return struct.pack("<Q", len(header)) + header


_FIT = "the weights of checkpoint folder <folder> do not fit its config.json"
_NOT_WHOLE = f"<folder>/{_WEIGHTS} is not a whole safetensors file"
# (what is wrong, how to make it from a whole checkpoint, part of the message)
_SPOILED: list[tuple[str, Callable[[Path], None], str]] = [
    ("config.json is missing", _remove("config.json"), "<folder> holds no config.json with *.safetensors"),
    ("config.json is cut", _cut("config.json"), "<folder>/config.json cannot be read"),
    ("config.json is a list", _write("config.json", b"[1]"), "<folder>/config.json holds no JSON object"),
    ("config.json is not UTF-8", _write("config.json", b'{"a": "\xf6"}'), "can't decode byte 0xf6"),
    ("config.json is nested without end", _write("config.json", b"[" * 100_000), "maximum recursion depth exceeded"),
    ("config.json has no model_type", _edit("config.json", model_type=None), "model_type is None; allowed: a str"),
    ("model_type is 3", _edit("config.json", model_type=3), "config.json: model_type is 3; allowed: a str"),
    (
        "model_type is of no known architecture",
        _edit("config.json", model_type="nothing"),
        "has model type `nothing` but Transformers does not recognize this architecture",
    ),
    ("model_type is of no language model", _edit("config.json", model_type="vit"), "cannot be loaded: Unrecognized"),
    (
        "config.json has no max_position_embeddings",
        _edit("config.json", max_position_embeddings=None),
        "max_position_embeddings is None; allowed: a int",
    ),
    (
        "a context of 32 tokens",
        _edit("config.json", max_position_embeddings=32),
        "rl.max_response_tokens is 48; allowed: at most 24",
    ),
    ("num_attention_heads is a word", _edit("config.json", num_attention_heads="four"), "expected int, got str"),
    (
        "config.json asks for 3 layers, the weights have 2",
        _edit("config.json", num_hidden_layers=3, layer_types=["full_attention"] * 3),
        f"{_FIT}: 11 are missing, such as model.layers.2.input_layernorm.weight",
    ),
    ("config.json asks for other widths", _edit("config.json", hidden_size=64), f"{_FIT}: 20 are of another shape"),
    ("config.json is of another architecture", _edit("config.json", model_type="llama"), f"{_FIT}: 4 are not known"),
    ("no weights", _remove(_WEIGHTS), "<folder> holds no config.json with *.safetensors"),
    ("weights as a pickle only", _only_pickle, "<folder> holds no config.json with *.safetensors"),
    ("weights are cut", _cut(_WEIGHTS), _NOT_WHOLE),
    ("weights are an empty file", _write(_WEIGHTS, b""), _NOT_WHOLE),
    ("weights are other bytes", _write(_WEIGHTS, bytes(range(256)) * 4), _NOT_WHOLE),
    ("weights end after their header", _write(_WEIGHTS, _header_only()), _NOT_WHOLE),
    ("weights without tensors", _tensors(lambda _: {}), f"<folder>/{_WEIGHTS} holds no tensors"),
    (
        "a layer of the weights is missing",
        _tensors(lambda found: {name: value for name, value in found.items() if ".layers.1." not in name}),
        f"{_FIT}: 11 are missing, such as model.layers.1.input_layernorm.weight",
    ),
    (
        "weights are NaN",
        _tensors(lambda found: {name: value * float("nan") for name, value in found.items()}),
        "are not finite: model.embed_tokens.weight holds NaN or infinity",
    ),
    ("tokenizer.json is missing", _remove("tokenizer.json"), "<folder> holds no tokenizer.json"),
    ("tokenizer.json is cut", _cut("tokenizer.json"), "<folder>/tokenizer.json cannot be read"),
    ("tokenizer.json is {}", _write("tokenizer.json", b"{}"), "the tokenizer of checkpoint folder <folder> cannot be"),
    ("tokenizer_config.json is broken", _write("tokenizer_config.json", b"["), "the tokenizer of checkpoint folder"),
    ("a tokenizer of more tokens than the model", _more_tokens, "has 130 tokens; allowed: at most the 30 of the model"),
    (
        "a tokenizer without end of text",
        _edit("tokenizer_config.json", eos_token=None),
        "has no eos_token; set it in tokenizer_config.json",
    ),
    ("a tokenizer without padding", _edit("tokenizer_config.json", pad_token=None), "has no pad_token; set it in"),
]


def _spoil(change: Callable[[Path], None], root: Path) -> None:
    whole(root)
    change(root / "folder")


COMMAND = ("run", "scale=smoke", "launch.runs_dir=<runs>", "sft.checkpoint=<folder>")


def cases() -> list[Case]:
    """Folders by what is wrong with them."""
    found = [
        Case(group=_GROUP, input=what, command=COMMAND, message=message, prepare=functools.partial(_spoil, change))
        for what, change, message in _SPOILED
    ]
    exact = "allowed: a folder in the transformers layout"
    absent = f"checkpoint folder <folder> does not exist; {exact}"
    is_file = f"checkpoint folder <folder> is a file; {exact}"
    return [
        Case(group=_GROUP, input="no such folder", command=COMMAND, message=absent),
        Case(group=_GROUP, input="a file", command=COMMAND, message=is_file, prepare=_a_file),
        Case(group=_GROUP, input="an empty folder", command=COMMAND, message="holds no config.json", prepare=_empty),
        *found,
    ]


def _a_file(root: Path) -> None:
    (root / "folder").write_text("weights")


def _empty(root: Path) -> None:
    (root / "folder").mkdir()
