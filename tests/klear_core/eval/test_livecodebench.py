"""LiveCodeBench's format end to end: read, asked through an engine that replays answers, run in the real sandbox."""

import base64
import dataclasses
import json
import pickle
import zlib

import pytest

from klear_core.errors import DataError
from klear_core.eval.benchmark import ask, grade, plan_calls, request_of, rows_of
from klear_core.eval.gold import check_all
from klear_core.eval.livecodebench import WithPreamble
from klear_core.eval.questions import load_questions, read_rows
from klear_core.eval.tasks import CODE, LIVECODEBENCH_LIMITS, get_benchmark
from klear_core.records import Completion, Prompt, TestKind, Verdict
from klear_core.rewards.grader import Grader, Scoring
from klear_core.rewards.sandbox.pool import Sandbox
from klear_core.runs.benchmarks import count
from tests.klear_core.eval.problems import MALFORMED, PROBLEMS, row

HARD = Scoring(scores={verdict: float(verdict is Verdict.CORRECT) for verdict in Verdict}, soft=False)
LIMITS = dataclasses.replace(LIVECODEBENCH_LIMITS, cpu_s=1.0, wall_s=20.0, memory_mb=512, output_kb=256)
ANY_DAY = dataclasses.replace(get_benchmark("lcb_v5"), window=("2024-08-01", "2025-05-01"))


def write(folder, rows):
    path = folder / "test.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return str(path)


def answers_of(index):
    _, answers = PROBLEMS[index]
    return [*answers[:3], MALFORMED.get(index, answers[3])]


class Replay:
    """An engine that returns given answers, whatever it is asked."""

    def __init__(self, by_problem):
        self._by_problem = by_problem
        self.calls = 0

    def generate(self, prompts, sampling, key):
        self.calls += 1
        return [
            tuple(_completion(each) for each in self._by_problem[prompt.problem_id][key.step :][: sampling.num_samples])
            for prompt in prompts
        ]


def _completion(answer):
    return Completion(
        token_ids=(1,) * 7, logprobs=(0.0,) * 7, entropies=None, text=answer.response, finish_reason=answer.finish
    )


@pytest.mark.slow
def test_right_partly_right_wrong_slow_and_hostile_programs_get_their_verdicts(tmp_path):
    questions = load_questions(ANY_DAY, write(tmp_path, [row for row, _ in PROBLEMS]), count=None)
    problems = questions.problems
    assert len(problems) == 20
    assert {problem.tests.kind for problem in problems} == {TestKind.STDIN, TestKind.FUNCTION}
    engine = Replay({problem.problem_id: answers_of(k) for k, problem in enumerate(problems)})
    prompts = [Prompt(problem_id=problem.problem_id, token_ids=(1,)) for problem in problems]
    sampling = dataclasses.replace(get_benchmark("lcb_v5").sampling, num_samples=4)
    rows = []
    with Sandbox(LIMITS) as sandbox:
        grader = Grader(HARD, code=WithPreamble(sandbox))
        for call in plan_calls(20, 4, batch=3):
            answers = ask(engine, request_of(call, prompts, sampling=sampling, seed=0, name="lcb_v5"))
            rows += grade(rows_of(call, problems, answers), problems, grader, is_opened=False)
    assert engine.calls == 40  # three samples of a question, then the fourth
    expected = [(k, answer.response, answer.letters, answer.expected) for k in range(20) for answer in answers_of(k)]
    assert [(row["question"], row["response"], row["tests"], row["verdict"]) for row in rows] == expected
    counts = count(rows, 20)
    assert counts.hits_Q == tuple(sum(answer.expected == "CORRECT" for answer in answers_of(k)) for k in range(20))
    assert (counts.truncated, counts.malformed, counts.lost) == (1 / 80, 2 / 80, 0)


def test_the_window_of_contest_days_decides_and_both_ends_count(tmp_path):
    days = ("2024-07-31", "2024-08-01", "2025-02-01", "2025-02-02", "2025-05-01", "2025-05-02")
    where = write(tmp_path, [row(day, [("1\n", "1\n")], day=day) for day in days])
    asked = {
        name: [p.prompt[:10] for p in load_questions(get_benchmark(name), where, count=None).problems]
        for name in ("lcb_v5", "lcb_v6")
    }
    assert asked == {"lcb_v5": list(days[1:3]), "lcb_v6": list(days[2:5])}


def test_both_kinds_of_tests_count_public_first(tmp_path):
    where = write(tmp_path, [row("a", [("1\n", "2\n"), ("3\n", "4\n")])])
    (problem,) = load_questions(ANY_DAY, where, count=None).problems
    assert (problem.tests.inputs, problem.tests.outputs) == (("1\n", "3\n"), ("2\n", "4\n"))


class Armed:
    def __reduce__(self):
        return (exec, ("raise AssertionError('a pickle was loaded')",))


PACKED = base64.b64encode(zlib.compress(pickle.dumps(Armed()))).decode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"private_test_cases": PACKED}, "column private_test_cases is no JSON, as where a compressed pickle"),
        ({"private_test_cases": "[1]"}, "private_test_cases[0] is a number (1); allowed: an object with input"),
        ({"public_test_cases": "[]", "private_test_cases": "[]"}, "tests of one kind, at least one"),
        ({"contest_date": "soon"}, "contest_date is a text ('soon'); allowed: a day such as 2024-08-01"),
        ({"question_content": 3}, "question_content is a number (3); allowed: a text"),
        (
            {
                "public_test_cases": '[{"input": "1", "output": "1", "testtype": "functional"}]',
                "private_test_cases": [],
            },
            "metadata.func_name is null; allowed: the name of the function",
        ),
    ],
)
def test_a_row_of_another_form_is_refused_in_one_line(change, message, tmp_path):
    where = write(tmp_path, [row("a", [("1\n", "2\n")]) | change])
    with pytest.raises(DataError) as caught:
        load_questions(ANY_DAY, where, count=None)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_expected_outputs_that_no_program_can_give_are_found(tmp_path):
    kept = {"starter_code": "def f(x):\n"}
    rows = [
        row("a", [("1\n", "2\n")]),
        row("b", [("1", "1"), ("2", "NaN")], function="f") | kept,
        row("c", [("1", "[1, 2]")], function="f") | kept,
    ]
    number, faults = check_all(read_rows(ANY_DAY, write(tmp_path, rows))[1], Grader(HARD))
    assert number == 3
    assert [fault for _, fault in faults] == ["test 2 expects 'NaN', a JSON value that does not equal itself"]


def test_the_prompt_holds_problem_and_starter_code_and_asks_for_one_block(tmp_path):
    rows = [row("Add", [("1\n", "2\n")]), row("Sub", [("1", "2")], function="f", starter="def f(x):\n    ...")]
    for problem, inside in zip(
        load_questions(ANY_DAY, write(tmp_path, rows), count=None).problems,
        ("standard input", "def f(x):"),
        strict=True,
    ):
        assert inside in problem.prompt
        assert "```python" in problem.prompt
    assert ANY_DAY.scorer == CODE
