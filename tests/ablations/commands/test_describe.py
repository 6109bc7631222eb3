"""`ablations data describe`: every kind of file, overlap with questions, a picture, and untrusted text."""

import json

import pytest

from klear_core.data.formats.fingerprint import fingerprint
from klear_core.data.formats.load import load_rows
from tests.ablations.commands.cli_store import ablations, refused
from tests.klear_core.data.formats.samples import CASES, CONTAINERS, lines

_QUESTION = "how many residents of the town own all four of these curious things"
_ROWS = [
    {"prompt": f"Say {_QUESTION} now", "response": "four", "source": "a", "teacher": "t", "is_correct": True},
    {"prompt": "what is one and one", "response": "it is two", "source": "a", "is_correct": False, "difficulty": 2},
    {"prompt": "what is one and one", "response": "it is two", "source": "[red]\x1b[31mb\u202e", "difficulty": 2.5},
]


def _describe(*arguments):
    done = ablations("data", "describe", *arguments)
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def _cells(out):
    """First cell of each line -> the other ones."""
    return {(words := line.split())[0]: words[1:] for line in out.splitlines() if line.strip()}


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(_ROWS))
    return path


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text(lines([{"prompt": _QUESTION, "answer": "4"}]))
    return path


def test_the_tables_say_what_the_rows_are_like(rows):
    out = _describe(rows)
    cells = _cells(out)
    assert out.startswith(f"demonstrations of {rows}\n")
    assert cells["format"] == ["own-demonstrations"]
    assert ["rows", "3"] in [line.split() for line in out.splitlines()]
    assert cells["content"] == ["hash", fingerprint(load_rows(str(rows))).content_hash]
    assert cells["different"] == ["prompts", "2"]
    assert "rows with an earlier prompt and response   1" in out
    assert cells["a"] == ["2", "66.7%"]
    assert cells["t"] == ["1", "33.3%"]
    assert cells["right"] == cells["wrong"] == cells["unknown"] == ["1", "33.3%"]
    assert cells["2"] == cells["2.5"] == ["1", "33.3%"]
    assert "columns not read" in out


def test_overlap_with_questions_is_counted_for_every_file(rows, questions, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text(lines([{"prompt": "nothing of the kind"}]))
    out = _describe(rows, "--against", questions, "--against", other)
    cells = _cells(out)
    assert cells[str(questions)] == ["1", "33.3%"]
    assert cells[str(other)] == ["0", "0.0%"]
    assert "share 9 words" in out
    assert "share 9 words" not in _describe(rows)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("case", CASES)
def test_every_format_in_every_kind_of_file_is_described(case, container, tmp_path):
    name, written, records = CASES[case]
    found = json.loads(_describe(CONTAINERS[container](tmp_path, written), "--json"))
    assert found["format"] == name
    assert found["profile"]["fingerprint"]["rows"] == len(records)
    assert found["profile"]["fingerprint"]["content_hash"] == fingerprint(records).content_hash


def test_json_holds_what_the_tables_say(rows, questions):
    found = json.loads(_describe(rows, "--json", "--against", questions))
    told = found["profile"]
    assert (found["where"], found["kind"]) == (str(rows), "demonstrations")
    assert told["correctness"] == {"right": 1, "wrong": 1, "unknown": 1}
    assert told["difficulties"] == {"bins": [[2.0, 2.0, 1], [2.5, 2.5, 1]], "unknown": 1}
    assert told["contaminated"] == {str(questions): 1}
    assert told["lengths"]["response words"]["largest"] == 3
    assert set(told["sources"]["rows"]) == {row["source"] for row in _ROWS}


def test_text_of_a_file_does_nothing_to_the_terminal(rows):
    out = _describe(rows)
    assert "[red][31mb" in out
    assert not {"\x1b", "\u202e"} & set(out)


def test_columns_that_are_not_read_are_told(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines([{"prompt": "p", "response": "r", "correct": True, "uuid": 1}]))
    assert "columns not read" in _describe(path)
    assert _cells(_describe(path))["columns"] == ["not", "read", "correct,", "uuid"]


def test_many_sources_are_put_together(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines([{"prompt": "p", "response": "r", "source": f"s{k % 30:02}"} for k in range(60)]))
    out = _describe(path)
    assert "s19" in out
    assert "s20" not in out
    assert _cells(out)["(10"] == ["others)", "20", "33.3%"]


@pytest.mark.parametrize("case", ["OpenR1", "klear code", "own demonstration"])
def test_a_picture_is_drawn_where_it_is_asked_for(case, tmp_path):
    _, written, _ = CASES[case]
    path = CONTAINERS["JSON lines"](tmp_path, written)
    before = {*tmp_path.iterdir()}
    _describe(path)
    assert {*tmp_path.iterdir()} == before
    _describe(path, "--picture", tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_shows_any_name(tmp_path):
    path = tmp_path / "rows.jsonl"
    names = ["$x_{$", "\x1b[31m", "日本", "é\n" * 50, "", *(f"{k}" for k in range(20))]
    path.write_text(lines([{"prompt": "", "response": "", "source": name, "teacher": name} for name in names]))
    _describe(path, "--picture", tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_a_picture_that_cannot_be_written_is_one_line(rows, tmp_path):
    (tmp_path / "x.png").mkdir()
    assert "x.png cannot be written: Is a directory" in refused(
        "data", "describe", rows, "--picture", tmp_path / "x.png"
    )


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_row_that_does_not_fit_is_one_line_and_nothing_is_printed(as_json, rows):
    rows.write_text(lines([*_ROWS, {"prompt": 3, "response": "r"}]))
    assert "rows.jsonl line 4: column prompt is a number (3); allowed: a text" in refused(
        "data", "describe", rows, *as_json
    )


def test_questions_that_cannot_be_read_are_one_line(rows, tmp_path):
    assert "none.jsonl is no file and no folder" in refused(
        "data", "describe", rows, "--against", tmp_path / "none.jsonl"
    )


def test_the_hub_without_network_is_one_line():
    assert "hub:org/name cannot be read: " in refused("data", "describe", "hub:org/name")
