"""The ways to isolate programs on this machine, each proven by canary probes before it is used."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from klear_core.errors import ConfigError
from klear_core.rewards.sandbox import canary, isolation
from klear_core.rewards.sandbox.limits import Limits
from klear_core.rewards.sandbox.zygote_process import Zygote

_LAYERS = ("seccomp", "landlock", "namespaces")
_WAYS_ON = (
    "ways on: a kernel with seccomp and Landlock (Linux 5.13 or later, not switched off by the container); "
    "bubblewrap (Debian: apt-get install bubblewrap), where user namespaces are allowed; or, for programs that you "
    "trust only, sandbox.allow_unisolated=true, which every record will show"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A proven way to start a zygote."""

    told: str  # name and layers, for the records
    is_isolated: bool
    start: Callable[[], Zygote]


def choose(name: str, *, limits: Limits, readable: tuple[str, ...], allow_unisolated: bool) -> Backend:
    """The first backend whose canaries hold; ConfigError when none does and ``allow_unisolated`` is not set."""
    if missing := isolation.missing_note():
        raise ConfigError(missing)
    tried = []
    for candidate in ("native", "bubblewrap") if name == "auto" else (name,):
        try:
            prefix = bubblewrap_prefix(readable) if candidate == "bubblewrap" else []
            return _proven(candidate, prefix, _LAYERS, limits, readable)
        except ConfigError as error:
            tried.append(f"{candidate}: {error}")
    if allow_unisolated:
        return _proven("UNISOLATED", [], (), limits, readable)
    raise ConfigError(f"programs cannot be run in isolation here ({'; '.join(tried)}); {_WAYS_ON}")


def bubblewrap_prefix(readable: Sequence[str]) -> list[str]:
    """The command that puts a zygote into bubblewrap: read-only libraries and interpreter, nothing else.

    ConfigError when it is not installed.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise ConfigError("bwrap is not installed (Debian: apt-get install bubblewrap)")
    seen = [*isolation.LIBRARIES, *isolation.interpreter(), str(Path(__file__).resolve().parents[2]), *readable]
    binds = [word for path in dict.fromkeys(seen) for word in ("--ro-bind-try", path, path)]
    # Not --die-with-parent: it means the thread that starts it, which may end. The zygote ends with its socket.
    own = ["--unshare-all", "--proc", "/proc", "--dev", "/dev"]
    return [program, *own, *binds, *_executables(), "--chdir", "/"]


def _executables() -> list[str]:
    """The interpreter's own file and the links that lead to it, so that bwrap can start it."""
    words = []
    path = Path(sys.executable)
    for file in dict.fromkeys([path, path.resolve(), path.parent.parent / "pyvenv.cfg"]):
        words += ["--ro-bind-try", str(file), str(file)]
    return words


def _proven(
    name: str, prefix: Sequence[str], layers: Sequence[str], limits: Limits, readable: tuple[str, ...]
) -> Backend:
    """A backend, once its canaries have come back; ConfigError names what they could do."""
    with tempfile.TemporaryDirectory(prefix="canary") as folder:
        Path(folder).chmod(0o755)  # so that it is the sandbox that hides it, not the folder's mode
        zygote = Zygote(layers=layers, readable=readable, prefix=prefix)
        try:
            escaped = canary.probe(zygote, limits, folder=folder, trainer=os.getpid())
        finally:
            zygote.close()
    if escaped and layers:
        raise ConfigError(f"the isolation does not hold, a probe could {', '.join(escaped)}")
    found = zygote.layers

    def start() -> Zygote:
        again = Zygote(layers=layers, readable=readable, prefix=prefix)
        if again.layers != found:  # not probed again: it must be what was probed
            again.close()
            raise ConfigError(f"layers were lost: {again.layers} instead of {found}")
        return again

    kept = [word for word, on in (("seccomp", found.seccomp), ("namespaces", found.namespaces)) if on]
    kept += [f"landlock {found.landlock}"] if found.landlock else []
    return Backend(
        told=f"{name}: {', '.join(kept) or 'no layer'}; as {found.user}", is_isolated=bool(layers), start=start
    )
