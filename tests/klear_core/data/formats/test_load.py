"""Every format is recognised by its columns and read the same from every kind of file."""

import os
from pathlib import Path

import pytest

from klear_core.data.formats.fingerprint import fingerprint
from klear_core.data.formats.format import Kind
from klear_core.data.formats.load import load_rows
from klear_core.data.formats.recognise import FORMATS
from klear_core.errors import DataError
from klear_core.records import Problem
from tests.klear_core.data.formats.samples import CASES, CONTAINERS, hmmt, lines, refused, write_jsonl

# Beside the repository, or where the variable says: they never enter it.
_BENCHMARKS = Path(os.environ.get("KLEAR_QUESTIONS", Path(__file__).resolve().parents[5] / "shared" / "data"))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("case", CASES)
def test_rows_are_the_same_records_in_every_kind_of_file(case, container, tmp_path):
    name, written, records = CASES[case]
    rows = load_rows(str(CONTAINERS[container](tmp_path, written)))
    assert rows.format == name
    assert rows.kind is (Kind.PROBLEMS if isinstance(records[0], Problem) else Kind.DEMONSTRATIONS)
    assert [*rows] == records


def test_every_format_has_a_case():
    assert {name for name, _, _ in CASES.values()} == {each.name for each in FORMATS}


def test_rows_can_be_read_again_and_twice_at_once(tmp_path):
    rows = load_rows(str(write_jsonl(tmp_path, [{"prompt": str(k), "response": "r"} for k in range(3)])))
    assert [*rows] == [*rows]
    pairs = [(one.prompt, two.prompt) for one in rows for two in rows]
    assert len(set(pairs)) == 9


def test_rows_have_the_kind_that_is_asked_for(tmp_path):
    rows = load_rows(str(write_jsonl(tmp_path, [{"prompt": "p", "response": "r"}])))
    assert [each.response for each in rows.demonstrations()] == ["r"]
    with pytest.raises(DataError, match=r"holds demonstrations \(own-demonstrations\); allowed: problems"):
        rows.problems()


def test_columns_that_are_not_read_are_named(tmp_path):
    rows = load_rows(str(write_jsonl(tmp_path, [{"prompt": "p", "response": "r", "correct": True}])))
    assert rows.ignored == ("correct",)


def test_a_misspelt_response_makes_no_problem_of_a_demonstration(tmp_path):
    told, _ = refused(write_jsonl(tmp_path, [{"prompt": "p", "respnse": "r"}]))
    assert "no format has the columns prompt, respnse" in told
    assert "own-demonstrations (lacks response)" in told


def test_a_file_is_recognised_whatever_it_is_called(tmp_path):
    path = tmp_path / "aime24.qs.jsonl"
    path.write_text(lines([hmmt(0, "p")]))
    assert load_rows(str(path)).format == "hmmt"


@pytest.mark.parametrize(
    ("name", "form", "answer"),
    [("aime24.qs.jsonl", "aime", "73"), ("aime25.qs.jsonl", "aime", "70"), ("HMMT-202502.jsonl", "hmmt", "103")],
)
def test_the_benchmark_files_are_read_unchanged(name, form, answer):
    path = _BENCHMARKS / name
    if not path.is_file():
        pytest.skip(f"{path} is not on this machine")
    rows = load_rows(str(path))
    assert (rows.format, fingerprint(rows).rows) == (form, 30)
    assert next(rows.problems()).answer == answer
    assert len({problem.problem_id for problem in rows.problems()}) == 30


def test_an_id_that_stands_for_two_problems_is_refused(tmp_path):
    told, before = refused(write_jsonl(tmp_path, [hmmt(0, "p"), hmmt(1, "q"), hmmt(0, "other")]))
    assert "rows.jsonl line 3: column id is 0, as in line 1 with another content" in told
    assert len(before) == 2


def test_a_row_twice_and_ids_of_another_file_are_no_contradiction(tmp_path):
    (tmp_path / "1.jsonl").write_text(lines([hmmt(0, "p"), hmmt(0, "p")]))
    (tmp_path / "2.jsonl").write_text(lines([hmmt(0, "q")]))
    assert [problem.prompt for problem in load_rows(str(tmp_path)).problems()] == ["p", "p", "q"]
