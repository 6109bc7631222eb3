"""Demonstrations and prompts of TRL and verl, and this project's own rows: the fields of its records as columns."""

from collections.abc import Iterator
from typing import Any

from klear_core.data.formats.format import Format, Kind
from klear_core.data.formats.raw import RawRow, describe
from klear_core.data.formats.turns import answer, exchange, question
from klear_core.data.splits import problem_id_of
from klear_core.records import CodeTests, Problem, SFTExample, TestKind

# What a demonstration may say of itself, in our own files and beside the columns of TRL's.
_ABOUT = ("source", "teacher", "is_correct", "difficulty")
_TESTS = "an object with kind, entry, inputs and outputs"


def _demonstration(row: RawRow, prompt: str, response: str, system: str) -> SFTExample:
    return SFTExample(
        problem_id=problem_id_of(prompt),
        prompt=prompt,
        response=response,
        source=row.maybe_text("source"),
        teacher=row.maybe_text("teacher"),
        is_correct=row.maybe_flag("is_correct"),
        difficulty=row.maybe_number("difficulty"),
        system=system,
    )


def _messages(row: RawRow) -> Iterator[SFTExample]:
    system, prompt, response = exchange(row, "messages")
    yield _demonstration(row, prompt, response, system)


def _completion(row: RawRow) -> Iterator[SFTExample]:
    system, prompt = _prompt(row)
    response = answer(row, "completion") if isinstance(row.value("completion"), list) else row.text("completion")
    yield _demonstration(row, prompt, response, system)


def _prompt(row: RawRow) -> tuple[str, str]:
    """System message and prompt, of a text or of a list of turns."""
    if isinstance(row.value("prompt"), list):
        return question(row, "prompt")
    return row.maybe_text("system"), row.text("prompt")


def _own_demonstration(row: RawRow) -> Iterator[SFTExample]:
    prompt = row.text("prompt")
    _check_id(row, prompt)
    yield _demonstration(row, prompt, row.text("response"), row.maybe_text("system"))


def _own_problem(row: RawRow) -> Iterator[Problem]:
    system, prompt = _prompt(row)
    _check_id(row, prompt)
    yield Problem(
        problem_id=problem_id_of(prompt),
        domain=row.maybe_text("domain"),
        prompt=prompt,
        answer=row.maybe_text("answer"),
        source=row.maybe_text("source"),
        difficulty=row.maybe_number("difficulty"),
        tests=_tests(row),
        flawed=row.maybe_flag("flawed") or False,
        system=system,
    )


def _check_id(row: RawRow, prompt: str) -> None:
    """DataError unless the row has the id of its prompt or none: rows are put together and told apart by it."""
    written, own = row.value("problem_id"), problem_id_of(prompt)
    if written is not None and written != own:
        allowed = f"{own}, the beginning of the SHA-256 of the prompt, or no such column"
        raise row.refuse("problem_id", f"is {describe(written)}", allowed)


def _tests(row: RawRow) -> CodeTests | None:
    value = row.value("tests")
    if value is None:
        return None
    if not isinstance(value, dict):
        raise row.refuse("tests", f"is {describe(value)}", f"{_TESTS}, or null")
    kind: Any = value.get("kind")
    if kind not in [*TestKind]:
        raise row.refuse("tests.kind", f"is {describe(kind)}", " or ".join(TestKind))
    inputs, outputs = row.texts("tests.inputs"), row.texts("tests.outputs")
    if not 0 < len(inputs) == len(outputs):
        raise row.refuse("tests", f"has {len(inputs)} inputs and {len(outputs)} outputs", "as many, and at least one")
    entry = row.text("tests.entry")
    return CodeTests(kind=TestKind(kind), entry=entry, inputs=tuple(inputs), outputs=tuple(outputs))


_PROBLEM = ("problem_id", "domain", "source", "difficulty", "flawed", "system")

OWN = (
    Format(name="messages", kind=Kind.DEMONSTRATIONS, needs=("messages",), reads=_ABOUT, convert=_messages),
    Format(
        name="prompt-completion",
        kind=Kind.DEMONSTRATIONS,
        needs=("prompt", "completion"),
        reads=(*_ABOUT, "system"),
        convert=_completion,
    ),
    Format(
        name="own-demonstrations",
        kind=Kind.DEMONSTRATIONS,
        needs=("prompt", "response"),
        reads=(*_ABOUT, "system", "problem_id"),
        convert=_own_demonstration,
    ),
    Format(
        name="own-problems",
        kind=Kind.PROBLEMS,
        needs=("prompt", "answer"),
        reads=(*_PROBLEM, "tests"),
        convert=_own_problem,
    ),
    Format(
        name="own-problems",
        kind=Kind.PROBLEMS,
        needs=("prompt", "tests"),
        reads=_PROBLEM,
        convert=_own_problem,
    ),
    # A column that is not known may be the response under another name, so these rows have none.
    Format(
        name="prompts",
        kind=Kind.PROBLEMS,
        needs=("prompt",),
        reads=_PROBLEM,
        is_exact=True,
        convert=_own_problem,
    ),
)
