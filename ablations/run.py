"""``python -m ablations.run [+sweep=<name>] [key=value ...]``: compose, check, run, report."""

import dataclasses
import functools
import logging
import os
import sys
import tempfile
import typing
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from klear_core.config import RunConfig
from klear_core.errors import ConfigError, HarnessError
from klear_core.settings import build

_SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"
_INVALID = 2


def main() -> None:
    """Run the command line; exit code 0 when all runs are done, 1 when some failed, 2 when the plan is refused."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        configs = compose(sys.argv[1:])
        if not configs:  # Hydra has answered itself: --help, --cfg, --info
            return
        # Imported late: what needs only Hydra, such as --help, should not wait for torch.
        from ablations.pool import start_fork_server

        start_fork_server()
        from ablations.launch import run_sweep

        code = run_sweep(configs)
    except HarnessError as error:
        sys.stderr.write(f"error: {error}\n")
        code = _INVALID
    sys.exit(code)


def compose(arguments: list[str]) -> list[RunConfig]:
    """Every job of a command line as a RunConfig; ConfigError, one line, for what Hydra or the limits refuse."""
    # Hydra otherwise prints several lines and exits with 1 by itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _register_schema()
    composed: list[dict[str, Any]] = []

    def collect(config: DictConfig) -> None:
        # Checked after Hydra has returned: it prints lines of its own about an error inside a job.
        plain = OmegaConf.to_container(config, resolve=True)
        assert isinstance(plain, dict)
        composed.append({str(key): value for key, value in plain.items()})

    try:
        folder = tempfile.TemporaryDirectory()
    except OSError as error:
        raise ConfigError(f"no temporary folder can be made: {error}; free some disk, or set TMPDIR") from None
    with folder as scratch, warnings.catch_warnings():
        # Hydra 1.3 warns without version_base, 1.4 with it.
        warnings.filterwarnings("ignore", message="The version_base parameter is deprecated")
        # Hydra writes a multirun.yaml of its own; the plan and the runs' config.yaml say more.
        # The flag repeats the config's hydra.mode: without it Hydra hides an error of composition behind another one.
        # Hydra's own flags, such as --cfg job, do not go with it.
        flags = [] if any(argument.startswith("-") for argument in arguments) else ["--multirun"]
        command = [sys.argv[0], *flags, *arguments, f"hydra.sweep.dir={scratch}"]
        entry: Callable[[], Any] = hydra.main(version_base="1.3", config_path=str(_SWEEPS), config_name="config")(
            collect
        )
        kept, sys.argv = sys.argv, command
        try:
            entry()
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(_one_line(error)) from None
        except OSError as error:
            raise ConfigError(f"temporary folder {scratch}: {error.strerror}; free some disk, or set TMPDIR") from None
        finally:
            sys.argv = kept
    return [build(RunConfig, plain) for plain in composed]


@functools.cache
def _register_schema() -> None:
    """Tell Hydra the types of all settings, once a process: it refuses a second registration."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="schema", node=_mutable(RunConfig))


def _mutable(kind: type[Any]) -> type[Any]:
    """The same dataclass without ``frozen``, which OmegaConf would turn into a config nothing can be merged into."""
    hints = typing.get_type_hints(kind)
    fields = [
        (name, _mutable(hint) if isinstance(hint, type) and dataclasses.is_dataclass(hint) else hint)
        for name, hint in hints.items()
    ]
    return dataclasses.make_dataclass(kind.__name__, fields)


def _one_line(error: BaseException) -> str:
    """Message of a Hydra error and its cause, with the alternatives Hydra lists, on one line."""
    parts = []
    current: BaseException | None = error
    while current is not None:
        text = str(current).split("Config search path:")[0].split("full_key:")[0]
        parts.append(" ".join(text.split()))
        current = current.__cause__
    return "; ".join(dict.fromkeys(part for part in parts if part))


if __name__ == "__main__":
    main()
