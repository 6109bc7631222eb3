"""Checkpoints of an unfinished run: everything its next step depends on, in two generations, checked when read.

A checkpoint is a folder of safetensors and JSON files, with their sha256 written last::

    resume/
      latest                 name of the newest generation, replaced in one step
      000007/                model.safetensors  optimizer.safetensors  generators.safetensors  state.json  sha256.json
      000006/                the one before, used when the newest is damaged
"""

import hashlib
import json
import logging
import os
import random
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from klear_core.errors import DataError, RunStoreError
from klear_core.runs.folders import replaced_whole
from klear_core.runs.store import write_text

_log = logging.getLogger(__name__)
_LATEST = "latest"
_STATE_FILE = "state.json"
_SUMS_FILE = "sha256.json"
_GENERATORS = "generators"
_KEPT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """State of a trainer: named groups of tensors, one file each, and plain JSON data."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    data: Mapping[str, Any]


class Checkpoints:
    """The generations of one run; exactly one process may use the folder at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, state: TrainState) -> Path:
        """Write a new generation, make it the latest and drop all but the one before.

        The state of every random generator of the process and its thread count are added.  A kill at any moment leaves
        a whole latest generation.  RunStoreError when the disk refuses; the older generations are untouched then.
        """
        present = self._generations()
        number = max((int(path.name) for path in present), default=0) + 1
        folder = self._folder / f"{number:06d}"
        data, generators = capture_generators()
        with replaced_whole(folder) as temporary:
            for name, tensors in {**state.tensors, _GENERATORS: generators}.items():
                _write_tensors(temporary / f"{name}.safetensors", tensors)
            whole = {**state.data, _GENERATORS: data, "threads": torch.get_num_threads()}
            (temporary / _STATE_FILE).write_text(json.dumps(whole), encoding="utf-8")
            sums = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
            (temporary / _SUMS_FILE).write_text(json.dumps(sums, indent=2), encoding="utf-8")
        write_text(self._folder / _LATEST, folder.name + "\n")
        for path in present[: -(_KEPT - 1)]:
            shutil.rmtree(path, ignore_errors=True)
        return folder

    def load(self) -> TrainState | None:
        """The newest whole generation, None when there is none; restores generators and thread count.

        A damaged generation is passed over with a warning that says what is wrong with it.
        """
        for remains in self._folder.glob(".*.tmp"):
            shutil.rmtree(remains, ignore_errors=True)
        for folder in self._candidates():
            try:
                state = _read(folder)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                _log.warning("checkpoint %s is damaged and passed over: %s", folder, error)
                continue
            restore_generators(state.data[_GENERATORS], state.tensors[_GENERATORS])
            torch.set_num_threads(state.data["threads"])
            return state
        return None

    def remove(self) -> None:
        """Remove all generations: the run is done. A kill meanwhile leaves them whole or gone."""
        for remains in self._folder.parent.glob(f".{self._folder.name}.*.tmp"):
            shutil.rmtree(remains, ignore_errors=True)
        aside = self._folder.with_name(f".{self._folder.name}.{os.getpid()}.tmp")
        with suppress(OSError):
            self._folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def _generations(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("[0-9]*") if path.name.isdigit())

    def _candidates(self) -> list[Path]:
        newest_first = self._generations()[::-1]
        try:
            latest = (self._folder / _LATEST).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return newest_first
        return sorted(newest_first, key=lambda path: path.name != latest)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, path)
    except SafetensorError as error:
        raise RunStoreError(f"{path.parent} cannot be written: {error}") from error


def _read(folder: Path) -> TrainState:
    sums = json.loads((folder / _SUMS_FILE).read_text(encoding="utf-8"))
    found = {path.name for path in folder.iterdir()} - {_SUMS_FILE}
    if found != set(sums):
        raise ValueError(f"holds {', '.join(sorted(found))} instead of {', '.join(sorted(sums))}")
    for name, expected in sums.items():
        if _sha256(folder / name) != expected:
            raise ValueError(f"{name} has another sha256 than {_SUMS_FILE} says")
    data = json.loads((folder / _STATE_FILE).read_text(encoding="utf-8"))
    tensors = {path.stem: load_file(path) for path in folder.glob("*.safetensors")}
    return TrainState(tensors=tensors, data=data)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_tensors(model: Any) -> dict[str, Tensor]:
    """Parameters by name, a shared one once, with the buffers that a state dict would hold."""
    stored = model.state_dict().keys()
    buffers = {name: value for name, value in model.named_buffers() if name in stored}
    return {name: value.detach() for name, value in model.named_parameters()} | buffers


@torch.no_grad()
def restore_model(model: Any, tensors: Mapping[str, Tensor]) -> None:
    """Copy stored values into a model; DataError when names or shapes are those of another one."""
    ours = model_tensors(model)
    if {name: value.shape for name, value in ours.items()} != {name: value.shape for name, value in tensors.items()}:
        raise DataError("the checkpoint is that of a model with other parameters")
    for name, value in ours.items():
        value.copy_(tensors[name])


def capture_generators() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """State of the process's global generators (Python, NumPy, torch and its devices) as JSON data and tensors.

    Our own random numbers are named by (seed, stream, step, problem, sample) and use none of them; a model's dropout or
    a library may.
    """
    version, words, gauss = random.getstate()
    name, keys, *rest = np.random.get_state(legacy=True)
    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64))}
    # To ask for more would take memory of a GPU that this run does not use.
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        tensors |= {f"cuda.{k}": value for k, value in enumerate(torch.cuda.get_rng_state_all())}
    return {"python": [version, list(words), gauss], "numpy": [name, *rest]}, tensors


def restore_generators(data: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Put the global generators back where ``capture_generators`` found them."""
    version, words, gauss = data["python"]
    random.setstate((version, tuple(words), gauss))
    name, *rest = data["numpy"]
    np.random.set_state((name, tensors["numpy"].numpy().astype(np.uint32), *rest))
    torch.set_rng_state(tensors["torch"])
    devices = [tensors[key] for key in sorted(tensors, key=len) if key.startswith("cuda.")]
    if devices and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(devices)
