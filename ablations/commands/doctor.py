"""`ablations doctor`: what works on this machine, what is off and why, one line each."""

import os
import platform
import re
import resource
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ablations import machine_limits
from ablations.child import ENVIRONMENT
from ablations.commands import machine_checks
from klear_core.errors import ConfigError
from klear_core.rewards.sandbox.limits import Limits
from klear_core.rewards.sandbox.pool import Sandbox
from klear_core.runs.wandb_sink import resolve_mode

# What the base install needs: package -> the module that is imported to see that it works.
BASE = {
    **{name: name for name in ("torch", "transformers")},
    "hydra-core": "hydra",
    **{name: name for name in ("omegaconf", "wandb", "pyarrow", "pandas", "scipy", "numpy", "matplotlib", "rich")},
    **{name: name for name in ("tabulate", "safetensors", "tokenizers", "typer", "packaging")},
    "pyyaml": "yaml",
    "markdown-it-py": "markdown_it",
}
# Package -> its module; those that klear_core never imports stand beside it, for comparisons.
OPTIONAL = {
    "vllm": "vllm",
    "lighteval": "lighteval",
    "math-verify": "math_verify",
    "trl": "",
    "verl": "",
}
# (package, what it needs of another one, why): pairs that an installer refuses or breaks.
PAIRS = (
    (
        "lighteval",
        "hydra-core>=1.4.0rc3",
        "hydra 1.3 pins antlr 4.9, and lighteval 0.13 needs antlr 4.13 through latex2sympy2_extended",
    ),
    ("vllm", "torch==2.14.*", "vllm 0.33 is built for torch 2.14 with CUDA"),
    ("verl", "transformers<5.11", "verl 0.9.1 does not know newer ones"),
)
_SANDBOX_LIMITS = Limits(
    cpu_s=1.0,
    wall_s=10.0,
    memory_mb=512,
    output_kb=256,
    stderr_kb=4,
    threads=32,
    open_files=32,
    max_timeouts=2,
)
_CORE = Path(__file__).resolve().parents[2] / "klear_core"
_OWN_NAME = "klear-ablations"
_LOW_DISK, _LOW_MEMORY, _LOW_FILES = 2 * 10**9, 2**30, 256
_LOW_DATA = 4 * 2**30  # a run maps about 1 GiB of private memory with torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line. ``broken`` is what the base install cannot do without; ``warn`` needs a look; ``off`` is not there."""

    name: str
    state: str  # ok | off | warn | broken
    detail: str


def checks(runs_dir: Path) -> Iterator[Check]:
    """Everything that is looked at, in the order of the lines; takes some seconds, as packages are really imported."""
    imported = machine_checks.import_all([*BASE.values()])
    yield _python()
    yield from (_package(name, imported[module]) for name, module in BASE.items())
    versions = {name: version for name in (*BASE, *OPTIONAL) if (version := _version(name))}
    yield from (optional(name, versions, is_used=not module or _is_used(module)) for name, module in OPTIONAL.items())
    yield _gpu(imported.get("gpu"), versions.get("torch", ""))
    mode = resolve_mode(None)
    yield Check(name="W&B", state="ok", detail=f"mode {mode.mode} ({mode.reason})")
    yield _upload(mode.mode, mode.reason)
    yield _threads()
    yield _cores()
    yield _disk(runs_dir)
    yield _memory()
    yield from _processes(runs_dir)
    yield _sandbox()
    yield from _resources()


def _sandbox() -> Check:
    """How programs that a model wrote would be isolated here; the canaries are really tried."""
    try:
        with Sandbox(_SANDBOX_LIMITS) as sandbox:
            return Check(name="sandbox", state="ok", detail=sandbox.isolation)
    except ConfigError as error:
        return Check(name="sandbox", state="warn", detail=str(error))


def _python() -> Check:
    state = "ok" if sys.version_info >= (3, 11) else "broken"
    return Check(name="python", state=state, detail=f"{platform.python_version()}, 3.11 or newer is needed")


def _package(name: str, told: str) -> Check:
    version = _version(name)
    if not version:
        return Check(name=name, state="broken", detail="not installed; run `make env`")
    if told != "ok":
        return Check(name=name, state="broken", detail=f"{version} cannot be imported: {told}")
    wanted = _wanted().get(name)
    if wanted is not None and not wanted.contains(version, prereleases=True):
        return Check(name=name, state="warn", detail=f"{version} is out of the range {wanted} that is tested")
    return Check(name=name, state="ok", detail=version)


def optional(name: str, versions: Mapping[str, str], *, is_used: bool) -> Check:
    """The line of an optional package: whether it is there, whether this code uses it, what it cannot stand beside."""
    clashes = []
    for package, needed, why in PAIRS:
        other = Requirement(needed)
        version = versions.get(other.name, "")
        if package == name and not (version and other.specifier.contains(version, prereleases=True)):
            clashes.append(f"needs {needed} and here is {version or 'none'} ({why})")
    clash = "; ".join(clashes)
    if name not in versions:
        return Check(name=name, state="off", detail=f"not installed{clash and '; ' + clash}")
    if clash:
        return Check(name=name, state="warn", detail=f"{versions[name]} {clash}")
    if not is_used:
        return Check(name=name, state="off", detail=f"{versions[name]} is installed, but this version does not use it")
    return Check(name=name, state="ok", detail=versions[name])


def _gpu(seen: Mapping[str, Any] | None, torch_version: str) -> Check:
    if seen is None:
        return Check(name="GPU", state="off", detail="torch cannot be asked")
    if not seen["cuda"]:
        return Check(name="GPU", state="off", detail=f"torch {torch_version} is a build without CUDA")
    if not seen["count"]:
        return Check(name="GPU", state="off", detail=f"torch for CUDA {seen['cuda']} sees no device")
    told = f"{seen['name']}, {seen['count']} visible (CUDA {seen['cuda']}); runs with model.device=cuda share the first"
    return Check(name="GPU", state="ok", detail=told)


def _upload(mode: str, reason: str) -> Check:
    if mode == "online":
        return Check(name="W&B upload", state="ok", detail=f"on ({reason}); whether the server answers is not tried")
    hint = "`ablations sync` prints the upload commands" if mode == "offline" else "nothing is mirrored"
    return Check(name="W&B upload", state="off", detail=f"{reason}; {hint}")


def _threads() -> Check:
    here = os.environ.get("OMP_NUM_THREADS", "unset")
    own = ", ".join(f"{name}={ENVIRONMENT[name]}" for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"))
    return Check(name="threads", state="ok", detail=f"OMP_NUM_THREADS is {here} here; runs set {own}")


def _cores() -> Check:
    cores, granted = machine_limits.cores(), machine_limits.cpu_limit()
    if granted is None:
        return Check(name="cores", state="ok", detail=f"{cores}, no limit by the control group")
    told = f"{cores}, the control group grants the time of {granted:g}"
    if granted < cores:
        return Check(name="cores", state="warn", detail=f"{told}; set launch.slots={max(1, int(granted))}")
    return Check(name="cores", state="ok", detail=told)


def _disk(runs_dir: Path) -> Check:
    free = machine_limits.free_disk(runs_dir)
    state = "ok" if free >= _LOW_DISK else "warn"
    return Check(name="disk", state=state, detail=f"{free / 1e9:.1f} GB free for {runs_dir}")


def _memory() -> Check:
    free = machine_limits.free_memory()
    if free is None:
        return Check(name="memory", state="warn", detail="this system does not tell what is free")
    state = "ok" if free >= _LOW_MEMORY * machine_limits.cores() else "warn"
    return Check(name="memory", state=state, detail=f"{free / 2**30:.1f} GiB free; a run takes about 1 GiB at most")


def _processes(runs_dir: Path) -> Iterator[Check]:
    locks = machine_checks.lock_works(runs_dir)
    detection, end = machine_checks.deaths()
    yield _tried("flock", locks, f"a held folder at {runs_dir} is refused to a second process", bad="broken")
    yield _tried("owner detection", detection, "a process that was killed is known to be dead", bad="broken")
    yield _tried("PR_SET_PDEATHSIG", end, "a run ends when the process that started it is killed", bad="warn")


def _tried(name: str, problem: str, works: str, *, bad: str) -> Check:
    return Check(name=name, state=bad if problem else "ok", detail=problem or works)


def _resources() -> Iterator[Check]:
    files, data = machine_limits.soft_limit(resource.RLIMIT_NOFILE), machine_limits.soft_limit(resource.RLIMIT_DATA)
    low = files is not None and files < _LOW_FILES
    yield Check(name="RLIMIT_NOFILE", state="warn" if low else "ok", detail=_shown(files, 1, "files"))
    low = data is not None and data < _LOW_DATA
    yield Check(name="RLIMIT_DATA", state="warn" if low else "ok", detail=_shown(data, 2**20, "MiB"))


def _shown(limit: int | None, unit: int, name: str) -> str:
    return "unlimited" if limit is None else f"{limit // unit} {name}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _wanted() -> dict[str, SpecifierSet]:
    """Tested ranges of the base packages, from the metadata of this project; {} when it is not installed."""
    try:
        lines = metadata.requires(_OWN_NAME) or []
    except metadata.PackageNotFoundError:
        return {}
    found = [Requirement(line) for line in lines]
    return {each.name: each.specifier for each in found if each.marker is None}


def _is_used(module: str) -> bool:
    """Whether the harness has an import of the module anywhere."""
    pattern = re.compile(rf"^\s*(import|from) {module}\b", re.MULTILINE)
    return any(pattern.search(path.read_text(encoding="utf-8")) for path in _CORE.rglob("*.py"))
