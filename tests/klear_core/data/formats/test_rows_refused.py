"""A row that does not fit its format is refused in one line with file, row, column, what was found and is allowed."""

import json

import pytest

from klear_core.data.formats.raw import MAX_FIELD
from tests.klear_core.data.formats.samples import (
    CASES,
    OPENR1,
    OPENTHOUGHTS,
    TESTS,
    aime,
    chat,
    hmmt,
    refused,
    rl,
    user,
    write_jsonl,
    write_parquet,
)

_OWN = {"prompt": "p", "response": "r"}
_CODE = rl("p", TESTS, "code")
_BROKEN = json.dumps({"inputs": ["1"], "outputs": []})

# A row that fits, one that does not, and what is said of it.
ROWS = [
    (_OWN, {"prompt": "p"}, "column response is missing; allowed: what row 1 has, the format own-demonstrations"),
    (_OWN, {"messages": chat("p", "r")}, "column prompt is missing; allowed: what row 1 has"),
    (_OWN, _OWN | {"prompt": None}, "column prompt is null; allowed: a text"),
    (_OWN, _OWN | {"prompt": 3}, "column prompt is a number (3); allowed: a text"),
    (_OWN, _OWN | {"prompt": ["p"]}, "column prompt is a list of 1; allowed: a text"),
    (_OWN, _OWN | {"response": {}}, "column response is an object of 0; allowed: a text"),
    (_OWN, _OWN | {"is_correct": "yes"}, "column is_correct is a text ('yes'); allowed: true, false or null"),
    (_OWN, _OWN | {"is_correct": 1}, "column is_correct is a number (1); allowed: true, false or null"),
    (_OWN, _OWN | {"difficulty": "hard"}, "column difficulty is a text ('hard'); allowed: a finite number or null"),
    (_OWN, _OWN | {"difficulty": True}, "column difficulty is a boolean (True); allowed: a finite number or null"),
    (_OWN, _OWN | {"difficulty": float("nan")}, "column difficulty is a number (nan); allowed: a finite number"),
    (_OWN, _OWN | {"difficulty": 10**400}, "column difficulty is a number of more than 60 digits; allowed: a finite"),
    (_OWN, _OWN | {"problem_id": "7"}, "column problem_id is a text ('7'); allowed: 148de9c5a7a4, the beginning"),
    (_OWN, _OWN | {"prompt": "a\0b"}, "column prompt has a NUL as character 2; allowed: text without NUL"),
    (_OWN, _OWN | {"response": "ab\ud800"}, "column response has half a surrogate pair as character 3; allowed: valid"),
    (
        _OWN,
        _OWN | {"response": "x" * (10 * 2**20)},
        f"column response has 10485760 characters; allowed: at most {MAX_FIELD}",
    ),
    (
        {"messages": chat("p", "r")},
        {"messages": chat("p", "r") * 2},
        "has the turns user, assistant, user, assistant; a",
    ),
    (
        {"messages": chat("p", "r")},
        {"messages": user("p")},
        "column messages has the turns user; allowed: system + user",
    ),
    (
        {"messages": chat("p", "r")},
        {"messages": []},
        "column messages has the turns none; allowed: system + user + ass",
    ),
    ({"messages": chat("p", "r")}, {"messages": "p"}, "column messages is a text ('p'); allowed: a list"),
    (
        {"messages": chat("p", "r")},
        {"messages": ["p"]},
        "column messages[0] is a text ('p'); allowed: an object with role",
    ),
    (
        {"messages": chat("p", "r")},
        {"messages": [{"role": "tool", "content": "x"}]},
        "column messages[0].role is a text ('tool'); allowed: system, user, assistant",
    ),
    (
        {"messages": chat("p", "r")},
        {"messages": [*user("p"), {"role": "assistant", "content": None}]},
        "column messages[1].content is null; allowed: a text",
    ),
    (
        {"prompt": "p", "completion": "r"},
        {"prompt": "p", "completion": user("r")},
        "column completion has the turns user",
    ),
    (
        rl("p", "4"),
        rl("p", "4") | {"prompt": user("p") * 2},
        "column prompt has the turns user, user; allowed: system + u",
    ),
    (rl("p", "4"), rl("p", None), "column reward_model.ground_truth is null; allowed: a text"),
    (rl("p", "4"), rl("p", "4") | {"reward_model": None}, "column reward_model.ground_truth is missing; allowed: what"),
    (_CODE, rl("p", "4", "code"), "column reward_model.ground_truth: tests are no JSON object"),
    (_CODE, rl("p", "{", "code"), "column reward_model.ground_truth: tests are no JSON"),
    (
        _CODE,
        rl("p", _BROKEN, "code"),
        "column reward_model.ground_truth: tests need inputs and outputs, lists of one le",
    ),
    (
        _CODE,
        rl("p", TESTS.replace("4", "\\u0000"), "code"),
        "column reward_model.ground_truth has a NUL as character 1",
    ),
    (OPENR1, OPENR1 | {"correctness_math_verify": [True]}, "correctness_math_verify has 1 values for 2 generations; a"),
    (
        OPENR1,
        OPENR1 | {"correctness_math_verify": [True, "x"]},
        "correctness_math_verify[1] is a text ('x'); allowed: t",
    ),
    (OPENR1, OPENR1 | {"generations": ["a", None]}, "column generations[1] is null; allowed: a text"),
    (OPENR1, OPENR1 | {"correctness_math_verify": None}, "column correctness_math_verify is null; allowed: a list"),
    (
        OPENTHOUGHTS,
        OPENTHOUGHTS | {"conversations": OPENTHOUGHTS["conversations"][:1]},
        "conversations has the turns user",
    ),
    (
        OPENTHOUGHTS,
        OPENTHOUGHTS | {"conversations": user("p")},
        "column conversations[0].from is null; allowed: system,",
    ),
    (aime("1", "p"), aime(None, "q"), "column meta.unique_id is null; allowed: a text or an integer"),
    (
        aime("1", "p"),
        {"messages": user("q"), "meta": {"unique_id": "2"}},
        "column meta.problem is missing; allowed: what",
    ),
    (
        hmmt(0, "p"),
        hmmt(1, "q") | {"messages": chat("q", "r")},
        "has the turns user, assistant; allowed: system + user or",
    ),
    (hmmt(0, "p"), hmmt(1, "q", 7.5), "column answer is a number (7.5); allowed: a text"),
]


@pytest.mark.parametrize(("good", "bad", "told"), ROWS, ids=[told[:40] for _, _, told in ROWS])
def test_a_row_that_does_not_fit_is_named_and_the_rows_before_it_come_first(good, bad, told, tmp_path):
    path = write_jsonl(tmp_path, [good, good, bad, good])
    message, before = refused(path)
    assert message.startswith(f"{path} line 3: column ")
    assert told in message
    assert before[: len(before) // 2] == before[len(before) // 2 :] != []


@pytest.mark.parametrize(
    ("tests", "told"),
    [
        ("x", "column tests is a text ('x'); allowed: an object with kind, entry, inputs and outputs, or null"),
        ({"kind": "x"}, "column tests.kind is a text ('x'); allowed: stdin or function"),
        ({"kind": ["stdin"]}, "column tests.kind is a list of 1; allowed: stdin or function"),
        ({"kind": "stdin"}, "column tests.inputs is null; allowed: a list"),
        (
            {"kind": "stdin", "inputs": ["1"], "outputs": [1]},
            "column tests.outputs[0] is a number (1); allowed: a text",
        ),
        (
            {"kind": "stdin", "inputs": ["1"], "outputs": []},
            "column tests has 1 inputs and 0 outputs; allowed: as many",
        ),
        ({"kind": "stdin", "inputs": [], "outputs": []}, "column tests has 0 inputs and 0 outputs; allowed: as many"),
    ],
)
def test_tests_that_do_not_fit_are_named(tests, told, tmp_path):
    message, _ = refused(write_jsonl(tmp_path, [{"prompt": "p", "answer": "", "tests": tests}]))
    assert f"line 1: {told}" in message


@pytest.mark.parametrize("case", ["klear maths", "OpenR1", "messages", "AIME", "own demonstration"])
def test_a_null_in_parquet_is_named_by_its_row(case, tmp_path):
    _, (row, *_), _ = CASES[case]
    column = next(name for name in ("prompt", "problem", "messages") if name in row)
    message, before = refused(write_parquet(tmp_path, [row] * 70 + [row | {column: None}]))
    assert f"rows.parquet row 71: column {column} is null" in message
    assert before


def test_a_parquet_column_of_another_type_is_named(tmp_path):
    message, _ = refused(write_parquet(tmp_path, [{"prompt": b"p", "response": "r"}]))
    assert "rows.parquet row 1: column prompt is bytes (b'p'); allowed: a text" in message


def test_the_nearest_formats_say_what_they_lack(tmp_path):
    row = {name: value for name, value in rl("p", "4").items() if name != "ability"}
    message, _ = refused(write_jsonl(tmp_path, [row]))
    assert (
        "line 1: no format has the columns data_source, prompt, reward_model; nearest: klear-rl (lacks ability)"
        in message
    )


def test_names_of_columns_are_told_on_one_line(tmp_path):
    message, _ = refused(write_jsonl(tmp_path, [{"a\nb": 1, "x" * 10_000: 2}]))
    assert f"no format has the columns 'a\\nb', '{'x' * 40}'; nearest: " in message


def test_a_row_without_columns_is_refused(tmp_path):
    message, _ = refused(write_jsonl(tmp_path, [{}]))
    assert "no format has the columns (none)" in message
