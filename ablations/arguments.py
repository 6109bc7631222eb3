"""The command line before Hydra reads it: what it would take in silence or answer in many lines is refused."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml

from klear_core.errors import ConfigError

SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"
_GROUPS = (
    *("objective", "advantage", "model", "task", "reward", "code_filter", "sft_mix", "control", "engine", "recipe"),
    *("scale", "sweep"),
)
_MAX_CHARACTERS = 4000
# Read by sweep files only, where they fill the list of the other key.
_LISTS = {
    **dict.fromkeys(("scale.seeds", "scale.code_seeds", "scale.data_seeds", "scale.grid_seeds"), "seed"),
    "scale.updates_per_rollout": "rl.updates_per_rollout",
    "scale.learning_rates": "rl.learning_rate",
    "scale.supervised_steps": "sft.steps",
}
# What a given checkpoint leaves without effect, and what of that it does not.
_UNUSED_BESIDE_CHECKPOINT = ("sft.", "model.", "task.params.teacher_mistakes.")
_USED_BESIDE_CHECKPOINT = ("sft.checkpoint", "model.precision", "model.device", "model.gradient_checkpointing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """Hydra's own options and the overrides, told apart."""

    options: list[str]
    overrides: list[str]
    only_shows: bool  # Hydra answers itself, such as --help or --cfg job, and nothing runs


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; allowed: key=value, --config-dir FOLDER, --cfg job, --info, --help")


def parse(arguments: Sequence[str]) -> Arguments:
    """Tell options from overrides and check both; ConfigError names the argument."""
    parser = _Parser(prog="ablations.run", add_help=False, allow_abbrev=False)
    for names in (["--help", "-h"], ["--hydra-help"], ["--version"], ["--resolve"]):
        parser.add_argument(*names, action="store_true")
    parser.add_argument("--multirun", "-m", action="store_true", help="what every command is anyway")
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    kinds = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=kinds)
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("overrides", nargs="*")
    found = vars(parser.parse_intermixed_args(list(arguments)))
    overrides: list[str] = found.pop("overrides")
    found.pop("multirun")
    options = []
    for name, value in found.items():
        if value not in (None, False):
            options += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    only_shows = any(found[name] not in (None, False) for name in ("help", "hydra_help", "version", "cfg", "info"))
    given = _check(overrides)
    if found["config_dir"] is not None:
        _check_folder(found["config_dir"], {group: given.get(group, "") for group in _GROUPS})
    return Arguments(options=options, overrides=overrides, only_shows=only_shows)


def refuse_repeats(arguments: Sequence[str]) -> None:
    """ConfigError when a key is given twice: Hydra would take the last value in silence."""
    given: dict[str, str] = {}
    for argument in arguments:
        key = argument.partition("=")[0].lstrip("+~")
        if key in given:
            raise ConfigError(f"{key} is given twice, as {given[key]!r} and {argument!r}; allowed: once")
        if "=" in argument and not key.startswith("-"):
            given[key] = argument


def _check_folder(name: str, chosen: Mapping[str, str]) -> None:
    """The chosen files of a user's folder are readable, and none is hidden by a file of ours."""
    folder = Path(name)
    if not name or not folder.is_dir():
        raise ConfigError(f"--config-dir is {name!r}; allowed: a folder with files such as objective/<name>.yaml")
    found = [folder / "config.yaml", folder / "schema.yaml"]
    for group, override in chosen.items():
        words = re.findall(r"[\w.-]+", override)
        found += [path for path in sorted((folder / group).glob("*.yaml")) if path.stem in words]
    for path in found:
        ours = SWEEPS / path.relative_to(folder)
        if path.exists() and (ours.exists() or ours.name == "schema.yaml"):
            raise ConfigError(f"{path} would not be read, as the harness has a file of that name; rename it")
    for path in found[2:]:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
        if not isinstance(content, dict):
            raise ConfigError(f"{path} holds {content!r}; allowed: settings, as lines of key: value")


def _check(overrides: Sequence[str]) -> dict[str, str]:
    """The overrides by key."""
    given: dict[str, str] = {}
    for override in overrides:
        name, _, value = override.partition("=")
        key = name.lstrip("+~")
        if not key:
            raise ConfigError(f"the argument {override!r} names no key; allowed: key=value")
        if re.match(r"hydra\b", key):
            raise ConfigError(
                f"{override!r} sets Hydra itself, which the harness does; allowed: the keys of sweeps/config.yaml, "
                f"with a list such as seed=0,1 for several runs"
            )
        if len(value) > _MAX_CHARACTERS:
            raise ConfigError(f"{key} has {len(value)} characters; allowed: at most {_MAX_CHARACTERS}")
        given[key] = override
        if key in _GROUPS and name[:1] != "~" and not _is_name(value):
            raise ConfigError(f"{key} is {value!r}; allowed: a name, or a list of names such as a,b")
    for key, target in _LISTS.items():
        if key in given and target in given:
            raise ConfigError(f"{given[key]!r} has no effect beside {given[target]!r}; leave one out")
        if key in given and "sweep" not in given:
            raise ConfigError(f"{given[key]!r} has no effect without a sweep that reads it; set {target} instead")
    is_start = given.get("sft.checkpoint", "=null").partition("=")[2] not in ("null", "")
    if is_start and _stage(given) == "rl":
        for key, override in given.items():
            if f"{key}.".startswith(_UNUSED_BESIDE_CHECKPOINT) and key not in _USED_BESIDE_CHECKPOINT:
                raise ConfigError(f"{override!r} has no effect beside {given['sft.checkpoint']!r}; leave one out")
    return given


def _stage(given: Mapping[str, str]) -> str:
    """The stage that the overrides ask for, by themselves or by their sweep."""
    if "stage" in given:
        return given["stage"].partition("=")[2]
    path = SWEEPS / "sweep" / f"{given.get('sweep', '').partition('=')[2]}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return str(content.get("stage", "rl"))


def _is_name(value: str) -> bool:
    return value[:1].isalpha() and value not in ("null", "true", "false")
