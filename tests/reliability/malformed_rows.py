"""Malformed data and settings of ``task=rows``, and of the demonstrations beside it."""

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e import own_data
from tests.reliability.malformed import Case

_GROUP = "A user's own data, task=rows"
_TRAIN, _TEST = "train.jsonl", "aime25.jsonl"
_PLACES = {"train": _TRAIN, "validation": "aime24.jsonl", "test": _TEST}


@functools.cache
def _model() -> Path:
    home = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return own_data.write_model(Path(home) / "model")


def whole(root: Path) -> None:
    """A model and files that can be run on."""
    own_data.write_data(root / "folder")
    shutil.copytree(_model(), root / "folder" / "model")


def command(*arguments: str) -> tuple[str, ...]:
    """The command on these files; later settings replace earlier ones."""
    data = {split: Path("<folder>") / name for split, name in _PLACES.items()}
    given = own_data.arguments(data, Path("<folder>/model"))
    changed = {word.partition("=")[0] for word in arguments}
    kept = [word for word in given if word.partition("=")[0] not in changed]
    return ("run", "launch.runs_dir=<runs>", *kept, *arguments)


def _write(name: str, *rows: dict[str, Any]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows)) and None


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _as_it_is(folder: Path) -> None:
    """What is wrong is in the command."""


_SFT = ("stage=sft", "sweep.compare=sft_mix.name", "sft.steps=3")
_ROWS = (*_SFT, "sft_mix=rows", "sft_mix.params.path=<folder>/openr1.parquet")
_QUESTION = own_data.sums(40, 1)[0][0]

# (what is wrong, how to make it from whole data, further arguments, part of the message)
_SPOILED: list[tuple[str, Callable[[Path], None], tuple[str, ...], str]] = [
    (
        "no checkpoint",
        _as_it_is,
        ("sft.checkpoint=null",),
        "sft.checkpoint is null; allowed with task=rows: a model folder, as the task has no tokenizer of its own",
    ),
    (
        "stage=sft with sft_mix=teacher",
        _as_it_is,
        _SFT,
        "task=rows has no teacher; set sft_mix=rows sft_mix.params.path=<demonstrations> with stage=sft",
    ),
    (
        "a filter by a reference solver",
        _write(_TRAIN, *own_data.code_rows(0, 8)),
        ("code_filter=reference_90",),
        "task=rows has no reference solver",
    ),
    (
        "a file of training problems is missing",
        _remove(_TRAIN),
        (),
        "task.params.train: <folder>/train.jsonl is no file and no folder",
    ),
    ("a file of test questions is empty", _write(_TEST), (), "task.params.test: <folder>/aime25.jsonl holds no rows"),
    (
        "demonstrations in place of problems",
        _as_it_is,
        ("task.params.train=<folder>/openr1.parquet",),
        "<folder>/openr1.parquet holds demonstrations (openr1-math); allowed: problems",
    ),
    (
        "problems in place of demonstrations",
        _as_it_is,
        (*_SFT, "sft_mix=rows", "sft_mix.params.path=<folder>/train.jsonl"),
        "sft_mix.inputs: <folder>/train.jsonl holds problems (own-problems); allowed: demonstrations",
    ),
    (
        "a file of demonstrations is missing",
        _remove("openr1.parquet"),
        _ROWS,
        "sft_mix.inputs: <folder>/openr1.parquet is no file and no folder",
    ),
    (
        "fewer problems than are asked for",
        _as_it_is,
        ("task.train_problems=9",),
        "<folder>/train.jsonl, which has 8 different prompts; allowed: at least task.train_problems = 9",
    ),
    (
        "fewer questions than are asked for",
        _as_it_is,
        ("eval.test_questions=30",),
        "<folder>/aime25.jsonl, which has 6 different prompts; allowed: at least eval.test_questions = 30",
    ),
    (
        "a test question among the training problems",
        _write(_TRAIN, *own_data.own_rows([*own_data.sums(10, 7), (f" {_QUESTION}", "45")])),
        (),
        f"shares 1 prompts with task.params.test, such as '{_QUESTION}'; allowed: none",
    ),
    (
        "problems without answers",
        _write(_TRAIN, *({"prompt": f"p {k}"} for k in range(8))),
        (),
        "where 'p 0' has neither an answer nor tests that can be run",
    ),
    (
        "prompts that leave no room for the answer",
        _as_it_is,
        ("rl.max_response_tokens=170",),
        "8 of 8 train prompts have 34 to 34 tokens; allowed: 1 to 22, as the model's context is 192",
    ),
    ("a data set of the Hub without hub:", _as_it_is, ("task.params.train=org/name",), "or hub:org/name for the Hub"),
]


def _spoil(change: Callable[[Path], None], root: Path) -> None:
    whole(root)
    change(root / "folder")


def cases() -> list[Case]:
    """Data and settings by what is wrong with them."""
    found = [
        Case(
            group=_GROUP,
            input=what,
            command=command(*arguments),
            message=message,
            prepare=functools.partial(_spoil, change),
        )
        for what, change, arguments, message in _SPOILED
    ]
    bare = ("run", "launch.runs_dir=<runs>", "scale=smoke", "task=rows")
    return [
        Case(group=_GROUP, input="task=rows alone", command=bare, message="rl.max_response_tokens is missing"),
        *found,
    ]
