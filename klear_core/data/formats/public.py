"""The formats of public data: RL files of Klear and verl, reasoning traces, and benchmark files."""

from collections.abc import Iterator

from klear_core.code_tests import UnsupportedTestsError, read_tests
from klear_core.data.formats.format import Format, Kind
from klear_core.data.formats.raw import RawRow, describe
from klear_core.data.formats.turns import SHARE, exchange, question
from klear_core.data.splits import problem_id_of
from klear_core.errors import DataError
from klear_core.records import CodeTests, Problem, SFTExample

_TRUTH = "reward_model.ground_truth"
_RL = ("data_source", "prompt", "ability", _TRUTH)
_CODE = ("code", "coding")


def _rl(row: RawRow) -> Iterator[Problem]:
    """A problem for RL.  One with tests that are not understood has neither tests nor answer: it cannot be graded."""
    system, prompt = question(row, "prompt")
    domain = row.text("ability")
    is_code = domain.lower() in _CODE
    yield Problem(
        problem_id=problem_id_of(prompt),
        domain=domain,
        prompt=prompt,
        answer="" if is_code else _answer(row, _TRUTH),
        source=row.text("data_source"),
        difficulty=None,
        tests=_tests(row) if is_code else None,
        system=system,
    )


def _answer(row: RawRow, column: str) -> str:
    """A reference answer; some sets write integers as numbers."""
    value = row.value(column)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    return row.text(column)


def _tests(row: RawRow) -> CodeTests | None:
    written = row.text(_TRUTH)
    try:
        tests = read_tests(written)
    except UnsupportedTestsError:
        return None
    except DataError as error:
        raise DataError(f"{row.place}: column {_TRUTH}: {error}") from None
    # JSON within the text may spell out what the text itself may not hold.
    for text in (tests.entry, *tests.inputs, *tests.outputs):
        row.check_text(_TRUTH, text)
    return tests


def _openr1(row: RawRow) -> Iterator[SFTExample]:
    """One demonstration a generation, each with the verdict on its own answer."""
    prompt = row.text("problem")
    generations, verdicts = row.texts("generations"), row.items("correctness_math_verify")
    if len(generations) != len(verdicts):
        found = f"has {len(verdicts)} values for {len(generations)} generations"
        raise row.refuse("correctness_math_verify", found, "one for each")
    # All are checked before the first is given away: a row is read whole or not at all.
    flags = [row.check_flag(f"correctness_math_verify[{index}]", verdict) for index, verdict in enumerate(verdicts)]
    source = row.maybe_text("source")
    for response, is_correct in zip(generations, flags, strict=True):
        yield SFTExample(
            problem_id=problem_id_of(prompt),
            prompt=prompt,
            response=response,
            source=source,
            teacher="",
            is_correct=is_correct,
            difficulty=None,
        )


def _openthoughts(row: RawRow) -> Iterator[SFTExample]:
    system, prompt, response = exchange(row, "conversations", SHARE)
    beside = row.maybe_text("system")
    if beside and system:
        raise row.refuse("system", "is a text beside a system turn", "one of both")
    yield SFTExample(
        problem_id=problem_id_of(prompt),
        prompt=prompt,
        response=response,
        source=row.maybe_text("source"),
        teacher="",
        is_correct=None,
        difficulty=row.maybe_number("difficulty"),
        system=system or beside,
    )


def _benchmark(row: RawRow, answer: str, identity: str) -> Iterator[Problem]:
    """A question of a benchmark.

    Its own id only has to differ within its file: AIME 2025 and HMMT both count from 0, so a problem is known by its
    prompt here as everywhere.
    """
    written = row.value(identity)
    if isinstance(written, bool) or not isinstance(written, str | int):
        raise row.refuse(identity, f"is {describe(written)}", "a text or an integer")
    system, prompt = question(row, "messages")
    yield Problem(
        problem_id=problem_id_of(prompt),
        domain="math",
        prompt=prompt,
        answer=_answer(row, answer),
        source="",
        difficulty=None,
        system=system,
    )


def _aime(row: RawRow) -> Iterator[Problem]:
    # What these files call the solution is the answer alone.
    return _benchmark(row, "meta.solution", "meta.unique_id")


def _hmmt(row: RawRow) -> Iterator[Problem]:
    return _benchmark(row, "answer", "id")


PUBLIC = (
    Format(
        name="openr1-math",
        kind=Kind.DEMONSTRATIONS,
        needs=("problem", "generations", "correctness_math_verify"),
        reads=("source",),
        convert=_openr1,
    ),
    Format(name="verl-rl", kind=Kind.PROBLEMS, needs=(*_RL, "extra_info"), convert=_rl),
    Format(name="klear-rl", kind=Kind.PROBLEMS, needs=_RL, convert=_rl),
    Format(
        name="aime",
        kind=Kind.PROBLEMS,
        needs=("messages", "meta.unique_id", "meta.problem", "meta.solution"),
        identity="meta.unique_id",
        convert=_aime,
    ),
    Format(
        name="hmmt",
        kind=Kind.PROBLEMS,
        needs=("id", "messages", "solution", "answer"),
        identity="id",
        convert=_hmmt,
    ),
    Format(
        name="openthoughts",
        kind=Kind.DEMONSTRATIONS,
        needs=("conversations",),
        reads=("source", "difficulty", "system"),
        convert=_openthoughts,
    ),
)
