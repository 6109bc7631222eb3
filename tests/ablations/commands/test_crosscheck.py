"""`ablations crosscheck` on stored answers: agreement as counted by hand, and one line where it cannot be had."""

import json
import math

import pytest

from ablations import crosschecking
from klear_core.eval.crosscheck import DIFFERENCES, RAW, STRIPPED
from klear_core.runs import schema, store
from klear_core.runs.benchmarks import COLUMNS
from tests.ablations.commands.cli_store import ablations, contents, refused
from tests.klear_core.eval.lighteval_env import needs_lighteval
from tests.reports.test_table1 import write

RIGHT, WRONG = "<think>So.</think>$\\boxed{7}$", "<think>So.</think>$\\boxed{8}$"
CUT = "<think>Perhaps $\\boxed{7}$, but let me"  # right for lighteval in both texts
INSIDE = "<think>It is $\\boxed{7}$</think>I do not know."  # right for avg@n alone
# Our verdict and the text, sample by sample.
QUESTIONS = [
    [("CORRECT", RIGHT), ("WRONG", WRONG)],
    [("TRUNCATED", CUT), ("NO_ANSWER", INSIDE)],
    [("CORRECT", WRONG), ("GRADER_ERROR", RIGHT)],
]


def stored(runs, questions=QUESTIONS, *, tests="", keep=None):
    """A stored evaluation of these texts."""
    folder = write(runs, "m", "aime24", [[verdict == "CORRECT" for verdict, _ in each] for each in questions])
    rows = [
        dict.fromkeys(COLUMNS, "")
        | {"question": q, "sample": s, "problem_id": f"p{q}", "answer": "7", "response": text, "tests": tests}
        | {"verdict": verdict, "correct": verdict == "CORRECT", "response_tokens": 9}
        | {"difficulty": math.nan, "pass_rate": math.nan}
        for q, samples in enumerate(questions)
        for s, (verdict, text) in enumerate(samples)
    ]
    store.write_table(folder / schema.EVAL_FILE, rows[:keep], COLUMNS)
    return folder


@needs_lighteval
@pytest.mark.filterwarnings("ignore")
def test_agreement_is_that_of_counting(tmp_path):
    folder = stored(tmp_path)
    before = contents(folder)
    done = ablations("crosscheck", folder)
    assert done.exit_code == 0, done.output
    found = json.loads((folder / "crosscheck.json").read_text())
    counts = {"both_right": 1, "both_wrong": 1, "only_ours": 1, "only_theirs": 2}
    assert found["tallies"] == {RAW: counts, STRIPPED: counts | {"both_wrong": 2, "only_theirs": 1}}
    assert found["agreement"] == {RAW: 0.4, STRIPPED: 0.6}
    assert found["verdicts_of_theirs"] == {RAW: {"TRUNCATED": 1, "NO_ANSWER": 1}, STRIPPED: {"TRUNCATED": 1}}
    assert found["ungraded"] == 1
    assert found["scores"]["lighteval"] == pytest.approx({"avg@2": 2 / 3, "pass@1": 0.5, "pass@2": 1.0})
    assert found["scores"]["ours"]["avg@2"] == pytest.approx(0.5)
    assert [each["theirs"] for each in found["questions"]] == [0.5, 1.0, 0.5]
    assert found["differences"] == DIFFERENCES
    assert found["lighteval"]["lighteval"] == "0.13.0"
    assert f"{RAW}, the text with its reasoning: 40.0% of 5 answers alike; both right 1" in done.stdout
    assert "(to us NO_ANSWER 1, TRUNCATED 1)" in done.stdout
    assert "1 of 3 questions: every sample is judged alike" in done.stdout
    assert "avg@n, question 1, sample 0, right for theirs only: reference '7', ours TRUNCATED ''" in done.stdout
    assert all(difference in done.stdout for difference in DIFFERENCES.values())
    assert {path: each for path, each in contents(folder).items() if path.name != "crosscheck.json"} == before


def test_without_lighteval_one_line_says_how_to_have_it(tmp_path, monkeypatch):
    monkeypatch.setattr(crosschecking, "find_spec", lambda name: None)
    folder = stored(tmp_path)
    told = refused("crosscheck", folder)
    assert "lighteval is not installed: make env-lighteval" in told
    assert f".venv-lighteval/bin/ablations crosscheck {folder}" in told
    assert not (folder / "crosscheck.json").exists()


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path):
    assert "manifest.json does not exist" in refused("crosscheck", tmp_path)
    assert "holds 5 of 6 answers; allowed: a complete evaluation" in refused("crosscheck", stored(tmp_path, keep=5))
    assert "aime24, which asks for programs; allowed: mathematics" in refused(
        "crosscheck", stored(tmp_path / "programs", tests="PP")
    )
