"""A process that has imported everything and starts real commands by forking: a kill test would wait for imports else.

Speaks JSON lines: {"start": {...}} answers {"pid": n}, {"poll": pid} answers {"code": exit code or null}.  A started
command is ``ablations.run.main`` in a session of its own; its runs are forked from it instead of from the fork server,
which is all that differs from ``python -m ablations.run``.  ``patch`` names a function, "module:name", that is called
with ``arguments`` before the command starts, to plant a fault; what it changes holds in the runs as well.
"""

import atexit
import contextlib
import functools
import importlib
import json
import multiprocessing.popen_fork  # before a command becomes a user who may not read the interpreter's files
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "disabled",
}


class Zygote:
    """The test's side: starts commands in the zygote and asks how they ended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.zygote"],
            cwd=ROOT,
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(
        self,
        arguments: list[str],
        output: Path,
        *,
        patch: str = "",
        uid: int | None = None,
        report: bool = True,
        **kwargs: Any,
    ) -> int:
        """Start ``ablations.run ARGUMENTS`` with its output in a file; returns its pid, which leads a group.

        Without ``report`` the sweep ends after its runs: the report takes longer than they do.
        """
        request = {"arguments": arguments, "output": str(output), "patch": patch, "uid": uid, "report": report}
        return int(self._ask({"start": request | {"kwargs": kwargs}})["pid"])

    def poll(self, pid: int) -> int | None:
        """Exit code of a command, minus the signal that ended it, None while it runs."""
        code = self._ask({"poll": pid})["code"]
        return None if code is None else int(code)

    def close(self) -> None:
        """End the zygote; commands that it has started go on."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@functools.cache
def shared() -> Zygote:
    """The one zygote of a test session."""
    zygote = Zygote()
    atexit.register(zygote.close)
    return zygote


def _serve() -> None:
    import torch  # noqa: F401
    import transformers.models.qwen3.modeling_qwen3  # noqa: F401

    import ablations.launch
    import ablations.preflight
    import ablations.probe
    import ablations.run
    import ablations.stages

    for module in (ablations.pool, ablations.preflight, ablations.probe):
        module.fork_server = lambda: multiprocessing.get_context("fork")
    ablations.pool.start_fork_server = lambda: None
    codes: dict[int, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any]
        if "start" in request:
            pid = os.fork()
            if pid == 0:
                _command(**request["start"])
            answer = {"pid": pid}
        else:
            pid = request["poll"]
            if pid not in codes:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    codes[pid] = os.waitstatus_to_exitcode(status)
            answer = {"code": codes.get(pid)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _command(
    arguments: list[str], output: str, patch: str, uid: int | None, report: bool, kwargs: dict[str, Any]
) -> None:
    """The forked command; never returns."""
    code = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if uid is not None:
            os.setgid(uid)
            os.setuid(uid)
        from ablations import launch, run

        if not report:
            launch._write_report = lambda checked: 0
        if patch:
            module, name = patch.split(":")
            getattr(importlib.import_module(module), name)(**kwargs)
        sys.argv = ["ablations.run", *arguments]
        run.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
