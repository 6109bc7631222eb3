"""Questions reach lighteval as a file that it can read, and what it cannot be given is refused."""

import dataclasses
import json

import pytest

from klear_core.errors import ConfigError, DataError
from klear_core.eval.lighteval_files import delimited, write_questions
from klear_core.eval.tasks import get_benchmark
from klear_core.records import CodeTests, Problem, TestKind

AIME24 = get_benchmark("aime24")
ONE = Problem(problem_id="one", domain="math", prompt="Was ist 2+2?\n", answer="4", source="", difficulty=None)


def test_the_file_holds_every_question_with_its_answer(tmp_path):
    two = dataclasses.replace(ONE, problem_id="two", prompt="π?", answer="\\pi")
    lines = (write_questions(AIME24, [ONE, two], tmp_path) / "test.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"problem_id": "one", "problem": "Was ist 2+2?\n", "answer": "4"},
        {"problem_id": "two", "problem": "π?", "answer": "\\pi"},
    ]


def test_other_questions_go_into_another_folder(tmp_path):
    other = dataclasses.replace(ONE, answer="5")
    folders = {write_questions(AIME24, [each], tmp_path) for each in (ONE, ONE, other)}
    assert len(folders) == 2
    assert all(folder.parent == tmp_path for folder in folders)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"tests": CodeTests(kind=TestKind.STDIN, entry="", inputs=("1",), outputs=("1",))},
            ConfigError,
            "without a sandbox; allowed: mathematics",
        ),
        ({"system": "Be brief."}, DataError, "question one has a system message"),
    ],
)
def test_what_lighteval_cannot_be_given_is_refused_in_one_line(change, error, message, tmp_path):
    with pytest.raises(error, match=message) as caught:
        write_questions(AIME24, [dataclasses.replace(ONE, **change)], tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_reference_is_put_between_dollars_once():
    assert [delimited(each) for each in ("7", "8\\sqrt{10}", "$7$", "about $7$")] == [
        "$7$",
        "$8\\sqrt{10}$",
        "$7$",
        "about $7$",
    ]
