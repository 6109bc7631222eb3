"""Malformed inputs and what is said about them; ``python -m tests.reliability.malformed`` writes ERRORS.md.

Each case is a command with whatever it needs in a folder of its own: <runs> and <folder> stand for paths below it.
"""

import io
import logging
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ablations.run import compose

ERRORS = Path(__file__).resolve().parents[2] / "ERRORS.md"
_ENVIRONMENT = {"WANDB_MODE": "disabled", "NETRC": os.devnull, "HF_HUB_OFFLINE": "1"}
# What depends on the machine or on the state of the source, and long rows of one letter.
_VARYING = (
    (r"[\d,]+ MB (free|of disk)", r"<n> MB \1"),
    (r"\(source \w+, not \w+\)", "(source <hash>, not <hash>)"),
    (r"_sft/\w{16}", "_sft/<key>"),
    (r"(.)\1{29,}", r"\1\1\1..."),
)


def nothing(root: Path) -> None:
    """A case that needs no files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One malformed input; ``command`` begins with run, report or ablations."""

    group: str
    input: str  # as the table shows it
    command: tuple[str, ...]
    message: str  # part of the one line
    prepare: Callable[[Path], None] = nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the command did."""

    code: object
    out: str
    err: str
    changed: list[str]  # files that were made, changed or removed
    crash: str  # a traceback, "" without one

    @property
    def told(self) -> str:
        """The line without its prefix."""
        return self.err.removeprefix("error: ").rstrip("\n")


class StartedError(AssertionError):
    """The input was accepted: the runs would have been started."""


_composed: dict[tuple[str, ...], list[Any]] = {}


def _compose(arguments: list[str]) -> list[Any]:
    """The same as ``compose``; a command line that is composed again, for other files, is not composed anew."""
    key = tuple(arguments)
    if key not in _composed:
        _composed[key] = compose(arguments)
    return _composed[key]


def ask(case: Case, root: Path) -> Answer:
    """Run the command of a case in this process, up to the point where runs would start. ``root`` is emptied first."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    case.prepare(root)
    before = _contents(root)
    out, err, code, crash = io.StringIO(), io.StringIO(), None, ""
    root_logger = logging.getLogger()
    handlers, root_logger.handlers = root_logger.handlers, []
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, _ENVIRONMENT))
        stack.enter_context(patch("ablations.pool.start_fork_server"))
        stack.enter_context(patch("ablations.launch._run", side_effect=StartedError("the runs would start")))
        stack.enter_context(patch("ablations.run.compose", _compose))
        stack.enter_context(patch.object(sys, "argv", list(sys.argv)))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        try:
            _call(case.command[0], [_filled(word, root) for word in case.command[1:]])
        except SystemExit as ended:
            code = ended.code
        except Exception:
            crash = traceback.format_exc()
    root_logger.handlers = handlers
    after = _contents(root)
    changed = sorted(str(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    told = err.getvalue()
    for place in ("runs", "folder"):
        told = told.replace(str(root / place), f"<{place}>")
    return Answer(code=code, out=out.getvalue(), err=told, changed=changed, crash=crash)


def _call(program: str, words: list[str]) -> None:
    if program == "run":
        from ablations import run

        sys.argv = ["ablations.run", *words]
        run.main()
    elif program == "report":
        from reports.__main__ import main

        sys.argv = ["reports", *words]
        main()
    else:
        from ablations.cli import app

        app(words, prog_name="ablations")


def _filled(word: str, root: Path) -> str:
    return word.replace("<runs>", str(root / "runs")).replace("<folder>", str(root / "folder"))


def _contents(root: Path) -> dict[Path, bytes]:
    """Every file with its bytes, but for locks: holding a folder to look at it changes nothing in it."""
    files = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(root): path.read_bytes() for path in files}


def all_cases() -> list[Case]:
    """Every case, by group."""
    from tests.reliability import (
        malformed_configs,
        malformed_models,
        malformed_rows,
        malformed_runs,
        malformed_settings,
    )

    return [
        *malformed_settings.cases(),
        *malformed_configs.cases(),
        *malformed_models.cases(),
        *malformed_rows.cases(),
        *malformed_runs.cases(),
    ]


def steady(told: str) -> str:
    """A message without what differs between machines."""
    for pattern, replacement in _VARYING:
        told = re.sub(pattern, replacement, told)
    return told


def page(told: dict[Case, str]) -> str:
    """ERRORS.md: every case with its message."""
    lines = [
        "# Errors",
        "",
        f"{len(told)} malformed inputs and what is said about each of them. All are refused before anything starts,",
        "with one line on standard error that begins with `error: `, and exit code 2; nothing is written.",
        "`tests/reliability/test_malformed.py` checks this page, `python -m tests.reliability.malformed` writes it.",
    ]
    for group in dict.fromkeys(case.group for case in told):
        lines += ["", f"## {group}", "", "| input | message |", "| --- | --- |"]
        lines += [
            f"| {_code(case.input)} | {_code(steady(text))} |" for case, text in told.items() if case.group == group
        ]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Text in a table's cell, as it is; a backtick needs a longer fence."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    padding = " " if "`" in text or not text.strip() else ""
    return f"{fence}{padding}{text.replace('|', chr(92) + '|')}{padding}{fence}"


def main() -> None:
    """Ask all cases and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        told = {case: ask(case, Path(folder) / "root").told for case in all_cases()}
    ERRORS.write_text(page(told), encoding="utf-8")


if __name__ == "__main__":
    # The cases import this module by its name: their class must be the same.
    from tests.reliability.malformed import main as write

    write()
