"""``python -m ablations.run [+sweep=<name>] [key=value ...]``: compose, check, run, report."""

import dataclasses
import functools
import logging
import os
import re
import sys
import tempfile
import typing
import warnings
from collections.abc import Callable
from typing import Any

from ablations.arguments import SWEEPS, parse, refuse_repeats
from klear_core.config import RunConfig
from klear_core.errors import ConfigError, HarnessError
from klear_core.settings import build

_INVALID = 2


def main() -> None:
    """Run the command line; exit code 0 when all runs are done, 1 when some failed, 2 when the plan is refused."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        refuse_repeats(sys.argv[1:])
        configs = compose(sys.argv[1:])
        if not configs:  # Hydra has answered itself: --help, --cfg, --info
            return
        # Imported late: what needs only Hydra, such as --help, should not wait for torch.
        from ablations.child import allow_hub
        from ablations.pool import start_fork_server

        allow_hub(configs)
        start_fork_server()
        from ablations.launch import run_sweep

        code = run_sweep(configs)
    except HarnessError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        code = _INVALID
    sys.exit(code)


def compose(arguments: list[str]) -> list[RunConfig]:
    """Every job of a command line as a RunConfig; ConfigError, one line, for what Hydra or the limits refuse."""
    # Hydra otherwise prints several lines and exits with 1 by itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    import hydra
    from hydra.errors import HydraException, OverrideParseException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    _register_schema()
    given = parse(arguments)
    # Checked after Hydra has returned: it prints lines of its own about an error inside a job.
    composed: list[DictConfig] = []

    def collect(config: DictConfig) -> None:
        composed.append(config)

    try:
        folder = tempfile.TemporaryDirectory()
    except OSError as error:
        raise ConfigError(f"no temporary folder can be made: {error}; free some disk, or set TMPDIR") from None
    with folder as scratch, warnings.catch_warnings():
        # Hydra 1.3 warns without version_base, 1.4 with it.
        warnings.filterwarnings("ignore", message="The version_base parameter is deprecated")
        # Hydra writes a multirun.yaml of its own; the plan and the runs' config.yaml say more.
        # The flag repeats the config's hydra.mode: without it Hydra hides an error of composition behind another one.
        # Options that show something, such as --cfg job, do not go with it.
        flags = given.options if given.only_shows else [*given.options, "--multirun"]
        command = [sys.argv[0], *flags, *given.overrides, f"hydra.sweep.dir={scratch}"]
        entry: Callable[[], Any] = hydra.main(version_base="1.3", config_path=str(SWEEPS), config_name="config")(
            collect
        )
        kept, sys.argv = sys.argv, command
        try:
            entry()
        except OverrideParseException as error:
            raise ConfigError(
                f"the argument {error.override!r} cannot be read; allowed: key=value, a list as key=a,b, and quotes "
                f"around other signs, as in 'key=\"a b\"'"
            ) from None
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
            raise ConfigError(_one_line(error)) from None
        except OSError as error:
            raise ConfigError(f"temporary folder {scratch}: {error.strerror}; free some disk, or set TMPDIR") from None
        finally:
            sys.argv = kept
    if not composed and not given.only_shows:
        raise ConfigError("the command line asks for no run, as a list in it is empty; give each list a value")
    return [build(RunConfig, _plain(config)) for config in composed]


def _plain(config: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        missing = OmegaConf.missing_keys(config)
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {_one_line(error)}") from None
    if missing:
        raise ConfigError(f"{min(missing)} is missing; set it")
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


@functools.cache
def _register_schema() -> None:
    """Tell Hydra the types of all settings, once a process: it refuses a second registration."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="schema", node=_mutable(RunConfig))


def _mutable(kind: type[Any]) -> type[Any]:
    """The same dataclass without ``frozen``, which OmegaConf would turn into a config nothing can be merged into."""
    hints = typing.get_type_hints(kind)
    fields = [(name, _for_hydra(hint)) for name, hint in hints.items()]
    return dataclasses.make_dataclass(kind.__name__, fields)


def _for_hydra(hint: Any) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _mutable(hint)
    # OmegaConf would turn any number into a truth value; ``build`` refuses it.
    return Any if bool in (hint, *typing.get_args(hint)) else hint


def _one_line(error: BaseException) -> str:
    """Message of a Hydra error and its cause, with the alternatives Hydra lists, on one line."""
    parts = []
    current: BaseException | None = error
    while current is not None:
        text = str(current).split("Config search path:")[0].split("full_key:")[0]
        # Hydra's advice for a key that is not there is to add it.
        parts.append(re.sub(r" To append to your config use \S+", "", " ".join(text.split())))
        current = current.__cause__
    if unknown := re.match(r"Could not override '([\w.]+)'", parts[0]):
        parts.append(f"allowed: {', '.join(_keys_beside(unknown[1]))}")
    return "; ".join(dict.fromkeys(part for part in parts if part))


def _keys_beside(key: str) -> list[str]:
    """The settings of the group in which a key was looked for."""
    kind: Any = RunConfig
    for name in key.split(".")[:-1]:
        hint = typing.get_type_hints(kind).get(name)
        if not dataclasses.is_dataclass(hint):
            break
        kind = hint
    return sorted(typing.get_type_hints(kind))


if __name__ == "__main__":
    main()
