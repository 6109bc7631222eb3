"""Malformed inputs are refused before anything starts: one line that says what to do, exit code 2, nothing written."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from ablations.pool import start_fork_server
from tests.e2e.conftest import ROOT, environment
from tests.reliability import malformed_configs, malformed_models, malformed_rows, malformed_runs
from tests.reliability.malformed import ERRORS, Answer, Case, all_cases, ask, nothing, page

pytestmark = pytest.mark.slow

CASES = all_cases()
# In processes of their own: what Python, torch and the fork server print must not come beside the line.
REAL = ("--foo", "objective=gpo", "adhoc/plan.json: cut")
PROGRAMS = {"run": "ablations.run", "report": "reports"}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """One folder for all cases, so that equal commands are equal; the server that loads models begins its imports."""
    start_fork_server()
    return tmp_path_factory.mktemp("malformed") / "root"


@pytest.fixture(scope="module")
def answers() -> dict[Case, Answer]:
    """What every case was answered so far; the page is made of them."""
    return {}


def test_there_are_a_hundred_cases_and_no_two_are_the_same():
    assert len(CASES) >= 100
    assert len({(case.group, case.input) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.group.split()[0]}-{case.input[:60]}" for case in CASES])
def test_it_is_refused_in_one_line_and_nothing_is_written(case, answers, root):
    answer = answers[case] = ask(case, root)
    assert answer.crash == ""
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert case.message in answer.told
    assert answer.out == ""
    assert answer.changed == []


def test_the_page_says_what_the_cases_say_now(answers, root):
    told = page({case: (answers.get(case) or ask(case, root)).told for case in CASES})
    assert ERRORS.read_text(encoding="utf-8") == told, "run: python -m tests.reliability.malformed"


CONFIG = partial(
    malformed_configs.write, "objective/mine.yaml", "name: mine\nsurrogate: reinforce\nnote: n\nparams: {}\n"
)


@pytest.mark.parametrize(
    ("command", "prepare"),
    [
        (("run", "scale=smoke", "launch.runs_dir=<runs>"), nothing),
        (malformed_configs.command("objective=mine"), CONFIG),
        (malformed_models.COMMAND, malformed_models.whole),
        (malformed_rows.command(), malformed_rows.whole),
        (malformed_runs.RUN, malformed_runs.whole),
    ],
)
def test_what_the_cases_spoil_is_accepted_when_it_is_whole(command, prepare, root):
    answer = ask(Case(group="", input="", command=command, message="", prepare=prepare), root)
    assert "StartedError: the runs would start" in answer.crash
    assert answer.err == ""


def test_the_report_of_the_whole_sweep_is_written(root):
    case = Case(group="", input="", command=malformed_runs.REPORT, message="", prepare=malformed_runs.whole)
    answer = ask(case, root)
    assert (answer.crash, answer.err) == ("", "")
    assert "runs/adhoc/report/report.md" in answer.changed


@pytest.mark.parametrize("case", [case for case in CASES if case.input in REAL], ids=REAL)
def test_the_command_itself_says_the_same(case, tmp_path):
    case.prepare(tmp_path)
    words = [
        word.replace("<runs>", f"{tmp_path}/runs").replace("<folder>", f"{tmp_path}/folder") for word in case.command
    ]
    done = subprocess.run(
        [sys.executable, "-m", PROGRAMS[words[0]], *words[1:]],
        cwd=ROOT,
        env=environment(WANDB_MODE="disabled"),
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stderr.replace(f"{tmp_path}/runs", "<runs>").replace(f"{tmp_path}/folder", "<folder>")
    assert done.returncode == 2
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert case.message in told
    assert done.stdout == ""
