"""The W&B mirror of a run. The run folder is the truth: whatever goes wrong here is logged once and never fails a run."""

import logging
import netrc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import wandb

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WandbMode:
    """Resolved mode and the reason for it, for the line that is printed before a sweep starts."""

    mode: str  # online | offline | disabled
    reason: str


def resolve_mode(explicit: str | None) -> WandbMode:
    """Explicit setting, else WANDB_MODE, else online when an API key is present, else offline; never a login prompt."""
    if explicit is not None:
        return WandbMode(mode=explicit, reason="wandb.mode")
    from_environment = os.environ.get("WANDB_MODE", "")
    if from_environment in ("online", "offline", "disabled"):
        return WandbMode(mode=from_environment, reason="WANDB_MODE")
    if os.environ.get("WANDB_API_KEY") or _key_in_netrc():
        return WandbMode(mode="online", reason="an API key is present")
    return WandbMode(mode="offline", reason="no API key")


def _key_in_netrc() -> bool:
    """Whether an earlier ``wandb login`` left a key; asking wandb itself would warn, or prompt."""
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class WandbSink:
    """Mirrors one run. Every method returns normally whatever W&B does; the first failure switches the mirror off."""

    def __init__(
        self,
        *,
        mode: str,
        project: str,
        folder: Path,
        run_id: str,
        name: str,
        group: str,
        job_type: str,
        config: Mapping[str, Any],
    ) -> None:
        """``config`` holds sweep, arm and seed as keys of their own, because W&B cannot group by tag."""
        self._run: Any = None
        if mode == "disabled":
            return
        try:
            self._run = wandb.init(
                mode=mode,  # type: ignore[arg-type]
                project=project,
                dir=str(folder),
                id=run_id,
                name=name,
                group=group,
                job_type=job_type,
                config=dict(config),
                settings=wandb.Settings(
                    # Rows survive a kill: at most the last second is lost.
                    x_transaction_log_flush_interval=1,
                    save_code=False,
                    disable_git=True,
                    x_disable_meta=True,
                    x_disable_stats=True,
                    console="off",
                    host="",
                    silent=True,
                ),
            )
        except Exception as error:
            self._give_up(error)

    def log(self, row: Mapping[str, Any], *, step: int) -> None:
        """Mirror one row at an explicit step."""
        if self._run is None:
            return
        try:
            self._run.log({key: value for key, value in row.items() if key != "step"}, step=step)
        except Exception as error:
            self._give_up(error)

    def log_texts(self, rows: list[Mapping[str, Any]], *, step: int) -> None:
        """Mirror sampled texts as a table."""
        if self._run is None or not rows:
            return
        try:
            columns = list(rows[0])
            table = wandb.Table(columns=columns, data=[[row[name] for name in columns] for row in rows])
            self._run.log({"rollouts": table}, step=step)
        except Exception as error:
            self._give_up(error)

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Write final values into the run's summary."""
        if self._run is None:
            return
        try:
            self._run.summary.update(dict(values))
        except Exception as error:
            self._give_up(error)

    def finish(self, *, failed: bool) -> None:
        """Close the mirror."""
        if self._run is None:
            return
        try:
            self._run.finish(exit_code=int(failed))
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        # The mirror meets a service and a network; no list of its exceptions would be complete.
        _log.warning("W&B mirror switched off: %s: %s", type(error).__name__, error)
        self._run = None
