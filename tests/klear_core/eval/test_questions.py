"""Questions of Klear's and lighteval's files are read alike, and the published files are what the table says."""

import json
import os
from pathlib import Path

import pytest

from klear_core.errors import DataError
from klear_core.eval.gold import check_all
from klear_core.eval.questions import load_questions, read_rows
from klear_core.eval.tasks import BENCHMARKS, get_benchmark
from klear_core.rewards.grader import Grader, Scoring, by
from klear_core.rewards.math import MathVerifier
from klear_core.rewards.math_policy import STANDARD_POLICY
from reports.published import published_table
from tests.klear_core.eval.test_livecodebench import HARD

# Beside the repository, or where the variable says: they never enter it.
FOLDER = Path(os.environ.get("KLEAR_QUESTIONS", Path(__file__).resolve().parents[4] / "shared" / "data"))
FILES = {"aime24": "aime24.qs.jsonl", "aime25": "aime25.qs.jsonl", "hmmt25": "HMMT-202502.jsonl"}
AIME = {"messages": [{"role": "user", "content": "2+2?"}], "meta": {"unique_id": 0, "problem": "2+2?", "solution": "4"}}
FORMS = {
    "aime": AIME,
    "hmmt": {"id": 0, "messages": AIME["messages"], "solution": "\\boxed{4}", "answer": "4"},
    "problem-answer": {"id": 60, "problem": "2+2?", "solution": "Count.", "answer": "4", "url": "", "year": "2024"},
    "question-answer": {"question": "2+2?", "answer": "4"},
    "own-problems": {"prompt": "2+2?", "answer": "4"},
}
AIME24 = get_benchmark("aime24")


def write(folder, rows, name="q.jsonl"):
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / name)


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier(STANDARD_POLICY, num_workers=1) as opened:
        yield opened


def published(task):
    path = FOLDER / FILES[task]
    if not path.is_file():
        pytest.skip(f"{path} is not there: the benchmark's text is not part of this project")
    return str(path)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_question(form, tmp_path):
    questions = load_questions(AIME24, write(tmp_path, [FORMS[form]]), count=None)
    assert questions.format == form
    assert [(each.prompt, each.answer) for each in questions.problems] == [("2+2?", "4")]
    assert questions.known == ""


def test_an_answer_may_be_an_integer(tmp_path):
    where = write(tmp_path, [{"problem": "2+2?", "answer": 4}])
    assert load_questions(AIME24, where, count=None).problems[0].answer == "4"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "p", "response": "r"}], "holds demonstrations (own-demonstrations); allowed: questions of aime24"),
        ([{"colour": "red"}], "no format has the columns colour"),
        ([{"problem": "p", "answer": ""}], "the answer is empty"),
        ([{"problem": "p", "answer": 1.5}], "column answer is a number (1.5); allowed: a text"),
        ([{"problem": "p", "answer": "1"}, {"problem": "p", "answer": "1"}], "line 2: the question is that of"),
        ([{"problem": "p", "answer": "1"}, {"question": "p", "answer": "1"}], "line 2: column problem is missing"),
        ([], "holds no rows"),
    ],
)
def test_data_of_another_form_are_refused_in_one_line(rows, message, tmp_path):
    with pytest.raises(DataError) as caught:
        load_questions(AIME24, write(tmp_path, rows), count=None)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fewer_questions_than_asked_for_are_refused(tmp_path):
    where = write(tmp_path, [FORMS["question-answer"]])
    with pytest.raises(DataError, match="questions is 2; allowed: at most 1"):
        load_questions(AIME24, where, count=2)


def test_the_table_asks_as_the_paper_does():
    paper = published_table("table_1")
    assert [name for name in BENCHMARKS if name != "laptop"] == list(paper.columns)
    for name in paper.columns:
        benchmark, count = get_benchmark(name), paper.counts[name]
        assert (benchmark.questions, benchmark.sampling.num_samples) == (count.questions, count.samples)
        assert str(benchmark.sampling.temperature) == paper.settings["temperature"]
        assert str(benchmark.sampling.top_p) == paper.settings["top_p"]
        assert f"{benchmark.sampling.max_tokens // 1024}K" in paper.settings["max_tokens"]
        assert benchmark.window == paper.windows.get(name)


@pytest.mark.parametrize("task", FILES)
def test_the_published_files_are_known_whole_and_scorable(task, verifier):
    where = published(task)
    questions = load_questions(get_benchmark(task), where, count=None)
    assert len(questions.problems) == 30
    assert questions.known == f"{FILES[task]}, published with the Klear repository"
    number, faults = check_all(read_rows(get_benchmark(task), where)[1], Grader(HARD, answers=by(verifier)))
    assert (number, faults) == (30, [])


def test_a_known_file_of_another_benchmark_is_refused():
    with pytest.raises(DataError, match="the file of aime25; allowed: the data of aime24"):
        load_questions(AIME24, published("aime25"), count=None)


def test_a_reference_that_cannot_be_read_is_named_with_its_row(tmp_path, verifier):
    rows = [{"problem": "a", "answer": "7"}, {"problem": "b", "answer": "(" * 60}, {"problem": "c", "answer": ""}]
    grader = Grader(Scoring(scores=HARD.scores, soft=False), answers=by(verifier))
    number, faults = check_all(read_rows(AIME24, write(tmp_path, rows))[1], grader)
    assert number == 3
    assert [place.rpartition(" ")[2] for place, _ in faults] == ["2", "3"]
    assert "graded GRADER_ERROR, not CORRECT" in faults[0][1]
    assert faults[1][1].startswith("the answer is empty")
