"""Problems in LiveCodeBench's format, and what LiveCodeBench gives to the programs that solve them.

A row has ``question_content``, ``starter_code`` ("" for a whole program), ``contest_date``, ``public_test_cases`` and
``private_test_cases`` (JSON lists of ``input``, ``output`` and ``testtype``, stdin or functional), ``difficulty`` and
``metadata`` (JSON with ``func_name``). Both kinds of tests count.

How outputs are compared, here and in LiveCodeBench:

- Printed text: line by line, numbers by their exact decimal value. LiveCodeBench also forgives blanks at the beginning
  of a line and of the whole output, and compares numbers only on lines that hold nothing else; here a line may mix
  words and numbers, and a leading blank counts.
- Returned values: equal as JSON values, a tuple as a list, without tolerance in both. LiveCodeBench uses the program's
  own ``==``, so that True is 1 there and an object may lie; here a boolean is no number and values are compared as text
  that the program does not touch.
- Time: 6 seconds of processor time a test here, 6 seconds by the clock there. One test not passed decides both.
- A whole program is run as a program here, its exit code included, and as a function inside another program there.

Private tests as a base64 text of a compressed pickle, as ``code_generation_lite`` has them, are refused: whoever wrote
a pickle decides what loading it runs.
"""

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from klear_core.code_tests import read_tests
from klear_core.data.formats.format import Format, Kind
from klear_core.data.formats.raw import RawRow, describe
from klear_core.data.splits import problem_id_of
from klear_core.errors import DataError
from klear_core.records import CodeTests, Problem
from klear_core.rewards.code import CodeJudge, Verdicts

SOURCE = "livecodebench"
_DIFFICULTIES = {"easy": 1.0, "medium": 2.0, "hard": 3.0}
_PICKLED = (
    "is no JSON, as where a compressed pickle is packed into it, which is never loaded here because that can run code; "
    "allowed: a JSON list of tests, so write it as JSON once with LiveCodeBench's own loader, in a container"
)
# Modules whose names a program may use without importing them, as LiveCodeBench has it.
_STARS = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing"),
)
PREAMBLE = "\n".join(
    [
        *(f"from {name} import *" for name in _STARS),
        f"import {', '.join(name for name in _STARS if name not in ('builtins', 'typing'))}",
        "sys.setrecursionlimit(50000)",
        "",
    ]
)


def prompt_of(content: str, starter_code: str) -> str:
    """What is asked: the problem, then how its program is to be given."""
    if starter_code:
        told = f"Complete this code and keep its names:\n\n```python\n{starter_code}\n```"
    else:
        told = "Write a whole Python program that reads its input from standard input and prints its answer."
    return f"{content.strip()}\n\n{told}\n\nGive the whole program in one block that begins with ```python."


def contest_day(row: RawRow) -> str:
    """Day of the contest, ISO 8601; DataError when the row has none."""
    value = row.value("contest_date")
    try:
        return datetime.date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        raise row.refuse("contest_date", f"is {describe(value)}", "a day such as 2024-08-01") from None


def in_window(day: str, window: tuple[str, str]) -> bool:
    """Whether a contest day lies in a window; both ends count, as in LiveCodeBench's own filter."""
    return window[0] <= day <= window[1]


def _problem(row: RawRow) -> Iterator[Problem]:
    starter = row.maybe_text("starter_code")
    prompt = prompt_of(row.text("question_content"), starter)
    level = row.maybe_text("difficulty").lower()
    contest_day(row)
    yield Problem(
        problem_id=problem_id_of(prompt),
        domain="code",
        prompt=prompt,
        answer="",
        source=SOURCE,
        difficulty=_DIFFICULTIES.get(level),
        tests=_tests(row),
    )


FORMAT = Format(
    name=SOURCE,
    kind=Kind.PROBLEMS,
    needs=("question_content", "contest_date", "public_test_cases", "private_test_cases"),
    reads=("starter_code", "difficulty", "metadata", "question_id"),
    convert=_problem,
)


def _tests(row: RawRow) -> CodeTests:
    cases = [case for column in ("public_test_cases", "private_test_cases") for case in _cases(row, column)]
    kinds = {case["testtype"] for case in cases}
    if len(kinds) != 1:
        told = " and ".join(sorted(kinds)) or "none"
        raise row.refuse("public_test_cases", f"and the private ones are {told}", "tests of one kind, at least one")
    written: dict[str, Any] = {name: [case[key] for case in cases] for name, key in _TEXTS.items()}
    if kinds == {"functional"}:
        written["fn_name"] = _entry(row)
    try:
        return read_tests(json.dumps(written))
    except DataError as error:
        raise DataError(f"{row.place}: {error}") from None


_TEXTS = {"inputs": "input", "outputs": "output"}


def _cases(row: RawRow, column: str) -> Iterator[Mapping[str, str]]:
    value = row.value(column)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise DataError(f"{row.place}: column {column} {_PICKLED}") from None
    if not isinstance(value, list):
        raise row.refuse(column, f"is {describe(value)}", "a list of tests, or its JSON text")
    for index, case in enumerate(value):
        fits = isinstance(case, dict) and all(isinstance(case.get(key), str) for key in (*_TEXTS.values(), "testtype"))
        if not fits or case["testtype"] not in ("stdin", "functional"):
            allowed = "an object with input, output and testtype, stdin or functional"
            raise row.refuse(f"{column}[{index}]", f"is {describe(case)}", allowed)
        yield case


def _entry(row: RawRow) -> str:
    value = row.value("metadata")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise row.refuse("metadata", f"is {describe(value)}", "an object, or its JSON text") from None
    name = value.get("func_name") if isinstance(value, Mapping) else None
    if not isinstance(name, str) or not name.isidentifier():
        raise row.refuse("metadata.func_name", f"is {describe(name)}", "the name of the function that is called")
    return name


class WithPreamble(CodeJudge):
    """Judges programs that may use names which LiveCodeBench imports for them, such as ``List`` of starter code."""

    def judge_all(self, submissions: Sequence[tuple[str, CodeTests]]) -> list[Verdicts]:
        """As ``CodeJudge.judge_all``; a program that begins with ``from __future__`` stays as it is."""
        return super().judge_all(
            [(source if "from __future__" in source else PREAMBLE + source, tests) for source, tests in submissions]
        )
