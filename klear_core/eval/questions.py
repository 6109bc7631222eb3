"""Questions of a benchmark from a file, a folder or the Hub, in the forms of Klear, lighteval and LiveCodeBench."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from klear_core.data.formats.files import is_there, read_shards, shards
from klear_core.data.formats.fingerprint import fingerprint
from klear_core.data.formats.format import Format, Kind
from klear_core.data.formats.hub import FORM, PREFIX, looks_like_hub_name, parse_hub_name, read_hub
from klear_core.data.formats.raw import RawRow
from klear_core.data.formats.recognise import KNOWN_COLUMNS, missing, recognise
from klear_core.data.splits import problem_id_of
from klear_core.errors import DataError
from klear_core.eval import livecodebench
from klear_core.eval.tasks import CODE, Benchmark, known_file
from klear_core.records import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is asked, and what is known of where it is from."""

    problems: tuple[Problem, ...]
    format: str
    sha256: str  # of the file's bytes, of the names and bytes of a folder's files; "" where rows came from the Hub
    content_hash: str  # over the records: the same in every kind of file
    known: str  # what the file is, "" for one that the table of benchmarks does not know


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRow:
    """One row: its problem, or why it has none (``fault``)."""

    place: str
    problem: Problem | None
    fault: str = ""


def _asked(row: RawRow, prompt: str) -> Iterator[Problem]:
    value = row.value("answer")
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    yield Problem(
        problem_id=problem_id_of(prompt),
        domain="math",
        prompt=prompt,
        answer=str(value) if is_integer else row.text("answer"),
        source="",
        difficulty=None,
    )


def _two_columns(name: str) -> Format:
    return Format(
        name=f"{name}-answer",
        kind=Kind.PROBLEMS,
        needs=(name, "answer"),
        convert=lambda row: _asked(row, row.text(name)),
    )


# lighteval's maths sets have a problem or a question with its answer beside it.
_FORMATS = (livecodebench.FORMAT, _two_columns("problem"), _two_columns("question"))
_COLUMNS = KNOWN_COLUMNS.union(*(each.columns for each in _FORMATS))


def read_rows(benchmark: Benchmark, where: str) -> tuple[str, Iterator[ReadRow]]:
    """Format and rows of the benchmark's data; rows outside its window are left out, a bad row is told and passed.

    DataError when nothing can be read at all: no file, no rows, or rows of another format.
    """
    first = next(_raw_rows(where), None)
    if first is None:
        raise DataError(f"{where} holds no rows; allowed: at least one")
    form = next((each for each in _FORMATS if not missing(first, each)), None)
    form = form or recognise(first, (*map(str, first.values), *first.others))
    if form.kind is not Kind.PROBLEMS:
        raise DataError(f"{where} holds {form.kind} ({form.name}); allowed: questions of {benchmark.name}")
    if (form is livecodebench.FORMAT) != (benchmark.scorer == CODE):
        allowed = livecodebench.SOURCE if benchmark.scorer == CODE else "problems with answers, as AIME and HMMT have"
        raise DataError(f"{where} has the format {form.name}; allowed for {benchmark.name}: {allowed}")
    return form.name, _read(benchmark, where, form)


def _read(benchmark: Benchmark, where: str, form: Format) -> Iterator[ReadRow]:
    seen: dict[str, str] = {}
    for row in _raw_rows(where):
        try:
            if lacks := missing(row, form):
                raise row.refuse(lacks[0], "is missing", f"what row 1 has, the format {form.name}")
            if benchmark.window and not livecodebench.in_window(livecodebench.contest_day(row), benchmark.window):
                continue
            (problem,) = (each for each in form.convert(row) if isinstance(each, Problem))
            if problem.tests is None and not problem.answer.strip():
                raise DataError(f"{row.place}: the answer is empty; allowed: a reference answer")
            if earlier := seen.get(problem.problem_id):
                raise DataError(f"{row.place}: the question is that of {earlier}; allowed: each question once")
        except DataError as error:
            yield ReadRow(place=row.place, problem=None, fault=str(error))
            continue
        seen[problem.problem_id] = row.place
        yield ReadRow(place=row.place, problem=problem)


def load_questions(benchmark: Benchmark, where: str, *, count: int | None) -> Questions:
    """The first ``count`` questions, all when None; DataError at the first bad row, or when there are fewer.

    A file that is known to be another benchmark's is refused.
    """
    sha256 = "" if where.startswith(PREFIX) else file_hash(where)
    owner, known = known_file(sha256)
    if owner not in ("", benchmark.name):
        raise DataError(f"{where} is {known}, the file of {owner}; allowed: the data of {benchmark.name}")
    form, rows = read_rows(benchmark, where)
    problems: list[Problem] = []
    for row in rows:
        if row.problem is None:
            raise DataError(row.fault)
        problems.append(row.problem)
        if len(problems) == count:
            break
    if not problems:
        first, last = benchmark.window or ("", "")
        raise DataError(f"{where} has no problem of {first} to {last}; allowed: at least one of {benchmark.name}")
    if count is not None and len(problems) < count:
        raise DataError(f"questions is {count}; allowed: at most {len(problems)}, as {where} has no more")
    return Questions(
        problems=tuple(problems),
        format=form,
        sha256=sha256,
        content_hash=fingerprint(problems).content_hash,
        known=known,
    )


def file_hash(where: str) -> str:
    """SHA-256 of a file, or over the names and hashes of the files of a folder; DataError when there are none."""
    found = shards(_path(where))
    hashes = [(path.name, _sha256(path)) for path in found]
    if len(hashes) == 1:
        return hashes[0][1]
    return hashlib.sha256("\n".join(f"{digest}  {name}" for name, digest in hashes).encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _raw_rows(where: str) -> Iterator[RawRow]:
    if where.startswith(PREFIX):
        rows = enumerate(read_hub(parse_hub_name(where)), start=1)
        return (RawRow(file=where, unit="row", number=number, values=values) for number, values in rows)
    return read_shards(shards(_path(where)), _COLUMNS)


def _path(where: str) -> Path:
    path = Path(where)
    if looks_like_hub_name(where) and not is_there(path):
        raise DataError(f"{where} is no file and no folder; allowed: a path, or {PREFIX}{where} for the Hub ({FORM})")
    return path
