"""What a run's data were, as a hash: a setting names a file, and a file can change behind its name."""

import hashlib
from functools import lru_cache
from pathlib import Path

from ablations.tasks import load_problems
from klear_core.config import RunConfig
from klear_core.data.formats.files import shards
from klear_core.data.formats.hub import PREFIX
from klear_core.data.mixes.sample import SENTENCE
from klear_core.data.splits import SPLITS
from klear_core.data.tasks import get_task, is_read
from klear_core.runs import provenance
from klear_core.trainer.model_folder import checkpoint_folder, weights_hash

_CHUNK = 2**20


def reads_files(config: RunConfig) -> bool:
    """Whether problems, demonstrations or weights of a config come from files or the Hub."""
    return is_read(get_task(config.task)) or bool(_inputs(config)) or config.sft.checkpoint is not None


def data_hash(config: RunConfig) -> str:
    """Hash of all problems, of the files that the mix reads, and of the weights of a given checkpoint."""
    problems = [problem for split in SPLITS for problem in load_problems(config, split)]
    texts = [f"{p.system}{p.prompt}{p.answer if p.tests is None else p.tests}" for p in problems]
    if mix := mix_hash(config):
        texts.append(mix)
    if config.sft.checkpoint is not None:
        folder = checkpoint_folder(config.sft.checkpoint)
        texts.append(_weights(folder, tuple(map(_stamp, sorted(folder.glob("*.safetensors"))))))
    return provenance.data_hash(texts)


def mix_hash(config: RunConfig) -> str:
    """Hash of the files that the mix of a config reads, "" when it reads none; of the Hub only the name counts."""
    found = []
    for where in _inputs(config):
        if where.startswith(PREFIX):
            found.append(where)
        elif where.startswith(SENTENCE):
            folder = Path(where.removeprefix(SENTENCE))
            found += [_bytes(*_stamp(path)) for path in sorted(folder.glob("*.safetensors"))]
        else:
            found += [_bytes(*_stamp(path)) for path in shards(Path(where))]
    return hashlib.sha256("\n".join(found).encode()).hexdigest() if found else ""


def _inputs(config: RunConfig) -> list[str]:
    """Names of all files, folders and data sets that a mix reads, also by its operators."""
    found = [str(raw["rows"]) for raw in config.sft_mix.inputs if "rows" in raw]
    for params in (params for step in config.sft_mix.steps for params in step.values()):
        found += [str(params["file"])] if "file" in params else []
        found += [str(params["embedding"])] if str(params.get("embedding", "")).startswith(SENTENCE) else []
    return found


def _stamp(path: Path) -> tuple[Path, int, int]:
    state = path.stat()
    return path, state.st_mtime_ns, state.st_size


# The runs of a sweep share their files, which may take seconds to read.
@lru_cache(maxsize=64)
def _bytes(path: Path, changed_ns: int, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@lru_cache(maxsize=4)
def _weights(folder: Path, stamps: tuple[tuple[Path, int, int], ...]) -> str:
    return weights_hash(folder)
