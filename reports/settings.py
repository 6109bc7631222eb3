"""Settings of a stored run, out of the config that lies in its folder."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from klear_core.errors import RunStoreError
from klear_core.runs import schema

_ADVICE = "move the run's folder away"


def stored_setting(run_folder: Path, key: str) -> Any:
    """Value of a dotted key such as ``objective.params.beta_low``; None where the key holds null.

    RunStoreError when the folder has no config, or the config no such key.
    """
    value: Any = _config(run_folder / schema.CONFIG_FILE)
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            raise RunStoreError(f"{run_folder / schema.CONFIG_FILE} has no setting {key}; {_ADVICE}")
        value = value[name]
    return value


@cache
def _config(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise RunStoreError(f"{path} cannot be read: {' '.join(str(error).split())}; {_ADVICE}") from None
