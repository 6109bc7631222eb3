"""What the YAML files of ``sweeps/`` offer: sweeps, objectives, and the presets of every other group."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from klear_core.errors import ConfigError

_SWEEPS = Path(__file__).resolve().parents[2] / "sweeps"
_OWN_LISTS = ("sweep", "objective")
# The C loader is ten times as fast; not every build of yaml has it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds; ConfigError when it cannot be read or holds something else."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path} holds no settings")
    return dict(value)


def sweeps(root: Path = _SWEEPS) -> list[dict[str, Any]]:
    """Name and title of every sweep: `ablations run +sweep=<name>`."""
    return [
        {"name": name, "title": values.get("sweep", {}).get("title", ""), "compare": values["sweep"].get("compare", "")}
        for name, values, _ in _files(root / "sweep")
        if isinstance(values.get("sweep"), Mapping)
    ]


def objectives(root: Path = _SWEEPS) -> list[dict[str, Any]]:
    """Every objective with its surrogate and parameters: `ablations run objective=<name>`."""
    return [
        {
            "name": name,
            "surrogate": values.get("surrogate", ""),
            "params": values.get("params") or {},
            "note": values.get("note", ""),
        }
        for name, values, _ in _files(root / "objective")
    ]


def presets(root: Path = _SWEEPS) -> list[dict[str, Any]]:
    """The files of all other groups: `ablations run <group>=<name>`; ``about`` is the comment at the file's head."""
    groups = sorted(path for path in root.iterdir() if path.is_dir() and path.name not in _OWN_LISTS)
    return [
        {"group": group.name, "name": name, "about": about, "values": values}
        for group in groups
        for name, values, about in _files(group)
    ]


def _files(group: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    for path in sorted(group.glob("*.yaml")):
        yield path.stem, read_yaml(path), _head_comment(path)


def _head_comment(path: Path) -> str:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    return " ".join(line for line in lines if not line.startswith("@package"))
