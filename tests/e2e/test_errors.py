"""Bad input: one clear line, exit code 2, and nothing started."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ablations import run
from klear_core.runs import store
from tests.e2e.conftest import COMMAND, ROOT, environment, run_command
from tests.reliability.killing import group_lives


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["+sweep=cliping"], "Could not find 'sweep/cliping' Available options in 'sweep': clipping"),
        (["objective=gpo"], "Could not find 'objective/gpo'"),
        (["rl.stepz=3"], "Could not override 'rl.stepz'"),
        (["+rl.stepz=3"], "rl.stepz is not a setting; allowed: adam_beta1"),
        (["rl.steps=many"], "Value 'many' of type 'str' could not be converted to Integer"),
        (["rl.steps=0"], "rl.steps is 0; allowed: > 0"),
        (["rl.learning_rate=nan"], "rl.learning_rate is nan; allowed: > 0"),
        (["objective.params.clip_low=1.0"], "objective.params.clip_low is 1.0; allowed: 0 <= clip_low < 1"),
        (["objective.params.clip_low=big"], "objective.params.clip_low is 'big'; allowed: a number of type float"),
        (["objective=gppo", "objective.params.beta_low=-1"], "objective.params.beta_low is -1"),
        (["+objective.params.clip=0.2"], "clip is not a parameter; allowed: clip_low, clip_high, dual_clip"),
        (["objective.surrogate=gpo"], "objective.surrogate is 'gpo'; allowed: cispo, gppo, ppo_clip, reinforce"),
        (["loss.reduction=mean"], "loss.reduction is 'mean'; allowed: fixed_length"),
        (["advantage.params.ddof=2"], "advantage.params.ddof is 2; allowed: 0 or 1"),
        (["rl.updates_per_rollout=5"], "allowed: a divisor of rl.problems_per_step = 32"),
        (["sft.checkpoint=no/such/folder"], "checkpoint folder no/such/folder does not exist"),
        (["sweep.primary.metric=avg@7"], "allowed: avg@8 or pass@8"),
        (["+sweep.points.x=rl.nothing"], "there is no setting 'rl.nothing'"),
        (
            ["rl.learning_rate=1e-4,2e-4"],
            "rl.learning_rate varies between runs; allowed: seed, what sweep.compare names",
        ),
        (["launch.slots=0"], "launch.slots is 0; allowed: null or > 0"),
        (["wandb.mode=on"], "wandb.mode is 'on'; allowed: null, online, offline or disabled"),
        (["sweep.name=../x"], "sweep.name is '../x'"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, message, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["ablations.run", f"launch.runs_dir={tmp_path / 'runs'}", *arguments])
    with pytest.raises(SystemExit) as stopped:
        run.main()
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert message in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("where", ["runs", "runs/adhoc", "runs/adhoc/clip_higher", "runs/adhoc/clip_higher/seed0"])
def test_a_file_where_a_run_folder_should_be_is_refused(where, monkeypatch, capsys, tmp_path):
    blocker = tmp_path / where
    blocker.parent.mkdir(parents=True, exist_ok=True)
    blocker.write_text("in the way")
    monkeypatch.setattr(sys, "argv", ["ablations.run", "scale=smoke", f"launch.runs_dir={tmp_path / 'runs'}"])
    with pytest.raises(SystemExit) as stopped:
        run.main()
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert f"{blocker} is a file, and a run folder is needed there" in captured.err
    assert captured.err.count("\n") == 1
    assert blocker.read_text() == "in the way"


@pytest.mark.slow
def test_the_command_itself_exits_with_2_and_one_line():
    done = run_command("+sweep=nothing")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.slow
def test_the_report_command_names_the_sweeps_it_knows(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "reports", "cliping", "--runs", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "there is no sweep 'cliping'" in done.stderr


@pytest.fixture
def long_sweep(tmp_path):
    """Two supervised starts that would train for hours, in a process group of their own."""
    process = subprocess.Popen(
        [*COMMAND, "scale=smoke", "sft.steps=100000", "seed=0,1", f"launch.runs_dir={tmp_path}"],
        cwd=ROOT,
        env=environment(WANDB_MODE="disabled"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(tmp_path.glob("_sft/*/steps.jsonl"))) < 2:
        time.sleep(0.2)
    yield process
    if group_lives(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_request_ends_all_children_and_says_so_in_their_manifests(long_sweep, number, tmp_path):
    os.killpg(long_sweep.pid, number) if number == signal.SIGINT else long_sweep.send_signal(number)
    _, errors = long_sweep.communicate(timeout=30)
    assert long_sweep.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert ends_within(long_sweep.pid, 10)
    statuses = [store.read_status(path.parent) for path in tmp_path.glob("_sft/*/status.json")]
    assert [(status.state, status.exit_class) for status in statuses] == [("interrupted", "killed")] * 2


@pytest.mark.slow
def test_children_do_not_outlive_a_parent_that_is_killed(long_sweep):
    long_sweep.kill()
    assert ends_within(long_sweep.pid, 5)


def ends_within(group, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and group_lives(group):
        time.sleep(0.05)
    return not group_lives(group)


@pytest.mark.slow
def test_a_run_that_fails_is_reported_and_the_others_go_on(tmp_path):
    """A learning rate that overflows: the sweep exits with 1, its report lists the run and shows the healthy one."""
    done = run_command(
        "scale=smoke",
        "sweep.name=broken",
        "+sweep.points.lr=rl.learning_rate",
        "rl.learning_rate=2e-4,1e30",
        f"launch.runs_dir={tmp_path}",
        WANDB_MODE="disabled",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "diverged: at step" in done.stdout
    assert "1 of 2 runs done" in done.stdout
    text = (tmp_path / "broken" / "report" / "report.md").read_text()
    assert "clip_higher-lr1e_30, seed 0: failed: diverged: at step" in text
    assert "—" in text


@pytest.mark.slow
def test_a_refusal_leaves_no_process_though_the_server_has_begun_its_imports():
    process = subprocess.Popen(
        [*COMMAND, "sft.checkpoint=no/such/folder"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.wait(timeout=60) == 2
    assert ends_within(process.pid, 1)
