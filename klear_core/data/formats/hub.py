"""Data sets of the Hugging Face Hub, streamed, and only under a name that begins with ``hub:``."""

import os
import re
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from klear_core.errors import DataError

PREFIX = "hub:"
FORM = "hub:org/name, hub:org/name/config, either with @split (train when left out)"
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME = re.compile(rf"(?P<path>{_PART}/{_PART})(/(?P<config>{_PART}))?(@(?P<split>{_PART}))?")
_REACH_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HubName:
    """A split of a data set."""

    path: str  # organisation/name
    config: str | None  # None for the only or default one
    split: str


def parse_hub_name(where: str) -> HubName:
    """The split that ``hub:org/name/config@split`` names; DataError for a name of another form."""
    found = _NAME.fullmatch(where.removeprefix(PREFIX))
    if found is None:
        raise DataError(f"{where} names no data set; allowed: {FORM}")
    return HubName(path=found["path"], config=found["config"], split=found["split"] or "train")


def looks_like_hub_name(where: str) -> bool:
    """Whether ``where`` would name a data set if ``hub:`` stood before it."""
    return _NAME.fullmatch(where) is not None


def read_hub(name: HubName) -> Iterator[dict[str, Any]]:
    """The rows of a split, from the network and one at a time; DataError when they cannot be had.

    Only data files are read: ``datasets`` runs no loading script since its version 4, which is the least one.
    """
    told = f"hub:{name.path}"
    try:
        import datasets
    except ImportError:
        raise DataError(f"{told} needs the package datasets: pip install 'klear-ablations[hub]'") from None
    if os.path.isdir(name.path):  # noqa: PTH112
        # Or datasets would read it, as if it came from the network.
        raise DataError(f"{told} is also the folder {name.path} here; allowed: its path for the folder, or elsewhere")
    _check_reachable(told)
    try:
        rows = datasets.load_dataset(name.path, name.config, split=name.split, streaming=True)
    except Exception as error:  # of many packages below it, without a common class
        raise _refused(told, error) from None
    rows = iter(rows)
    while True:
        try:
            row = next(rows, None)
        except Exception as error:
            raise _refused(told, error) from None
        if row is None:
            return
        yield row


def _check_reachable(told: str) -> None:
    """DataError when the server cannot be met: its own client would try again for some 25 seconds."""
    is_offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if is_offline or {"http", "https", "all"} & urllib.request.getproxies().keys():
        return  # refused at once, or not to be met directly
    url = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    host, port = url.hostname or "", url.port or (80 if url.scheme == "http" else 443)
    try:
        socket.create_connection((host, port), timeout=_REACH_S).close()
    except OSError as error:
        raise DataError(f"{told} cannot be read: {host} is not reached ({error}); {_INSTEAD}") from None


_INSTEAD = "allowed: a network, or the path of the downloaded files"


def _refused(told: str, error: Exception) -> DataError:
    message = " ".join(str(error).split())[:240]
    return DataError(f"{told} cannot be read: {type(error).__name__}: {message}; {_INSTEAD}")
