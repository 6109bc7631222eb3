import json
from dataclasses import replace

import pytest

from klear_core.data.splits import problem_id_of
from klear_core.errors import ConfigError, DataError
from klear_core.records import Problem
from tests.klear_core.data.mixes.examples import apply, context, demonstration, numbered

MIX = numbered(40)
PROBLEMS = tuple(
    Problem(problem_id=e.problem_id, domain="d", prompt=e.prompt, answer="", source="s", difficulty=None) for e in MIX
)


def solver(accuracy, problems):
    assert len(problems) == len(PROBLEMS)
    return lambda problem, rng: demonstration(problem.prompt, is_correct=rng.random() < accuracy)


def labelled(name="mix/0", completions=8, examples=MIX, solve=solver):
    where = context(name, solver=solve, problems=PROBLEMS)
    return apply("label_difficulty", examples, where, accuracy=0.7, completions=completions)


def test_difficulty_is_the_share_of_draws_that_the_solver_gets_wrong():
    found, details = labelled()
    assert [replace(e, difficulty=None) for e in found] == MIX
    assert all(8 * e.difficulty == round(8 * e.difficulty) for e in found)
    assert details["mean"] == pytest.approx(sum(e.difficulty for e in found) / 40)
    assert 0.2 < details["mean"] < 0.4
    assert {key: details[key] for key in ("labelled", "unknown", "problems")} == {
        "labelled": 40,
        "unknown": 0,
        "problems": 40,
    }


def test_arms_and_seeds_share_the_labels_whatever_else_is_in_them():
    assert labelled("mix/0")[0] == labelled("another/7")[0]
    assert labelled(examples=MIX[::-1])[0][::-1] == labelled()[0]
    assert labelled(examples=MIX[5:9])[0] == labelled()[0][5:9]


def test_more_draws_go_on_from_fewer():
    one, two = (labelled(completions=count)[0] for count in (1, 2))
    assert all(abs(2 * b.difficulty - a.difficulty) in (0, 1) for a, b in zip(one, two, strict=True))


def test_a_problem_that_the_task_does_not_have_is_of_unknown_difficulty():
    found, details = labelled(examples=[demonstration("elsewhere", difficulty=3.0), *MIX[:2]])
    assert found[0].difficulty is None
    assert (details["labelled"], details["unknown"], details["problems"]) == (2, 1, 2)


def test_without_a_solver_or_without_its_verdict_it_is_an_error():
    with pytest.raises(DataError, match="needs a reference solver, and this task has none"):
        apply("label_difficulty", MIX, accuracy=0.5, completions=2)
    with pytest.raises(DataError, match="does not say whether its answer"):
        labelled(solve=lambda *_: lambda problem, rng: demonstration(problem.prompt, is_correct=None))


@pytest.mark.parametrize(("params"), [{"accuracy": 1.0, "completions": 1}, {"accuracy": 0.5, "completions": 0}])
def test_accuracy_and_draws_have_limits(params):
    with pytest.raises(ConfigError, match="allowed:"):
        apply("label_difficulty", [], **params)


def rated(tmp_path, *rows, examples=MIX):
    file = tmp_path / "rates.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return apply("pass_rates", examples, file=str(file))


def test_pass_rates_are_found_by_id_and_by_prompt(tmp_path):
    rows = [{"problem_id": MIX[0].problem_id, "pass_rate": 1}, "", {"prompt": MIX[1].prompt, "pass_rate": 0.25}]
    found, details = rated(tmp_path, *rows, examples=[replace(e, difficulty=9.0) for e in MIX[:3]])
    assert [e.difficulty for e in found] == [0.0, 0.75, None]
    assert details == {"labelled": 2, "unknown": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r"rates.jsonl:2 is not JSON"),
        ("[1]", r"rates.jsonl:2 is \[1\]; allowed: an object"),
        ({"pass_rate": 0.5}, "rates.jsonl:2 has neither; allowed: a text in problem_id or in prompt"),
        ({"problem_id": "a", "prompt": "b", "pass_rate": 0.5}, "has problem_id and prompt; allowed"),
        ({"problem_id": 3, "pass_rate": 0.5}, "has neither"),
        ({"problem_id": "a"}, "has pass_rate None; allowed: a number from 0 to 1"),
        ({"problem_id": "a", "pass_rate": True}, "has pass_rate True"),
        ({"problem_id": "a", "pass_rate": 50}, "has pass_rate 50"),
        ('{"problem_id": "a", "pass_rate": NaN}', "has pass_rate nan"),
        ({"prompt": MIX[0].prompt, "pass_rate": 0.5}, "says pass_rate 0.5 where an earlier line says 0.25"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path, row, message):
    with pytest.raises(DataError, match=message) as caught:
        rated(tmp_path, {"problem_id": problem_id_of(MIX[0].prompt), "pass_rate": 0.25}, row)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_names_none_of_the_demonstrations_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"pass_rates.file .*absent.jsonl cannot be read"):
        apply("pass_rates", MIX, file=str(tmp_path / "absent.jsonl"))
    with pytest.raises(DataError, match="names none of the 40 demonstrations"):
        rated(tmp_path, {"problem_id": "other", "pass_rate": 0.5})
    with pytest.raises(ConfigError, match="allowed: the path of a JSONL file"):
        apply("pass_rates", MIX, file="")
