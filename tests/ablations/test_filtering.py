"""The filter by a reference solver, against flaws that are known because they were planted."""

import dataclasses
from pathlib import Path

import pytest

from ablations.filtering import check_filter, filter_rows, solved_shares, usable_problems
from ablations.grading import open_sandbox
from ablations.tasks import load_problems
from klear_core.data.tasks import get_task
from klear_core.errors import ConfigError, DataError
from klear_core.rewards.code import CodeJudge
from klear_core.rewards.sandbox.limits import Ended, TestRun
from klear_core.runs import schema, store

SMALL = ("task=functions", "task.train_problems=96", "task.params.flawed_share=0.3")


@pytest.fixture(scope="module")
def config(make_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return make_config(*SMALL, "code_filter=reference_90", f"launch.runs_dir={folder}")


@pytest.fixture(scope="module")
def judge(config):
    with open_sandbox(config) as sandbox:
        yield CodeJudge(sandbox)


def test_a_good_solver_finds_the_flawed_problems_and_few_others(config, judge):
    problems = load_problems(config, "train")
    usable = usable_problems(config, problems, judge)
    dropped = {problem.problem_id for problem, kept in zip(problems, usable, strict=True) if not kept}
    flawed = {problem.problem_id for problem in problems if problem.flawed}
    assert flawed <= dropped  # no right program passes them
    assert len(dropped - flawed) <= 5
    rows = filter_rows(problems, usable)
    assert sum(row["dropped"] for row in rows if row["flawed"]) == len(flawed)
    assert sum(row["kept"] + row["dropped"] for row in rows) == len(problems)


def test_a_worse_solver_drops_more_sound_problems(config, judge):
    problems = [problem for problem in load_problems(config, "train") if not problem.flawed]
    task, settings = get_task(config.task), config.code_filter
    shares = {}
    for accuracy in (0.9, 0.6):
        worse = dataclasses.replace(settings, accuracy=accuracy)
        shares[accuracy] = solved_shares(task, worse, config.task.data_seed, problems, judge)
        assert sum(shares[accuracy].values()) / len(problems) == pytest.approx(accuracy, abs=0.06)
    dropped = {a: sum(share < settings.min_pass_rate for share in found.values()) for a, found in shares.items()}
    assert dropped[0.6] > dropped[0.9]


def test_all_runs_of_a_sweep_share_one_file_of_shares(config, judge):
    problems = load_problems(config, "train")
    first = usable_problems(config, problems, judge)
    ran = judge.runs
    another_seed = dataclasses.replace(config, seed=5)
    assert usable_problems(another_seed, problems, judge) == first
    assert judge.runs == ran


def test_a_damaged_file_of_shares_is_made_again(config, judge):
    problems = load_problems(config, "train")
    first = usable_problems(config, problems, judge)
    (path,) = Path(config.launch.runs_dir).glob("_filter/*/shares.json")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert usable_problems(config, problems, judge) == first
    assert path.read_bytes() == whole


def test_the_oracle_drops_exactly_the_planted_flaws(make_config):
    config = make_config(*SMALL, "code_filter=oracle")
    problems = load_problems(config, "train")
    assert usable_problems(config, problems, None) == [not problem.flawed for problem in problems]


def test_a_filter_that_leaves_less_than_a_step_is_refused(make_config):
    config = make_config(*SMALL[:2], "task.params.flawed_share=1.0", "code_filter=oracle")
    with pytest.raises(DataError, match="leaves 0 of 96 problems"):
        usable_problems(config, load_problems(config, "train"), None)


def test_solutions_that_the_machine_failed_to_grade_do_not_count_against_a_problem(config):
    class Broken:
        def run_all(self, programs):
            lost = TestRun(ended=Ended.LOST, output=b"", error="", cpu_s=0.0, wall_s=0.0)
            return [[lost] * len(program.inputs) for program in programs]

    problems = load_problems(config, "train")[:3]
    task, settings = get_task(config.task), config.code_filter
    shares = solved_shares(task, settings, config.task.data_seed, problems, CodeJudge(Broken()))
    assert set(shares.values()) == {1.0}


def test_a_filter_needs_tests_and_a_solver_of_that_accuracy(make_config):
    with pytest.raises(ConfigError, match="code_filter is 'oracle'"):
        check_filter(make_config("code_filter=oracle"), has_tests=False)
    with pytest.raises(ConfigError, match=r"code_filter\.accuracy"):
        check_filter(make_config(*SMALL, "code_filter=reference_90", "code_filter.accuracy=0.001"), has_tests=True)


def test_problems_whose_difficulty_nobody_says_are_counted_last_and_read_back(tmp_path, config):
    known = load_problems(config, "train")[:2]
    problems = [
        dataclasses.replace(known[0], difficulty=None, flawed=True),
        dataclasses.replace(known[1], difficulty=1.5),
    ]
    rows = filter_rows(problems, [False, True])
    assert [(row["difficulty"], row["kept"], row["dropped"]) for row in rows] == [(1.5, 1, 0), (None, 0, 1)]
    store.write_json(tmp_path / schema.FILTER_FILE, rows)
    assert store.read_filter(tmp_path) == rows
