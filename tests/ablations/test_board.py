import io
import math

import pytest
from rich.console import Console

from ablations.board import LiveBoard, PlainBoard, Tally, make_board
from ablations.job import Job, Progress
from ablations.plan import make_plan
from ablations.run import compose


@pytest.fixture
def jobs(tmp_path):
    checked = make_plan(compose(["+sweep=clipping", "scale=smoke", f"launch.runs_dir={tmp_path}"]))
    common = {
        "checkpoint": None,
        "command": "",
        "wandb_mode": "disabled",
        "sft": "s",
        "folder": tmp_path,
        "source": "c",
    }
    sft = Job(stage="sft", config=checked.configs[0], **common)
    return checked.plan, [sft, *[Job(stage="rl", config=config, **common) for config in checked.configs]]


def progress(step, total=3, **metrics):
    return Progress(step=step, total=total, metrics=metrics)


def play(board, jobs):
    sft, first, second, *_ = jobs
    board.started(sft)
    board.progress(sft, progress(60, 60, loss=0.1))
    board.ended(sft, "")
    board.started(first)
    board.progress(first, progress(2, reward_mean=0.25, entropy=1.5, band_fraction=0.0123))
    board.refresh()
    board.ended(first, "")
    board.started(second)
    board.progress(second, progress(1, reward_mean=0.5, entropy=math.nan, band_fraction=math.nan))
    board.ended(second, "killed by signal 9")


def test_the_live_table_shows_every_arm_with_its_state(jobs):
    plan, all_jobs = jobs
    out = io.StringIO()
    tally = Tally(plan)
    tally.expect(all_jobs)
    board = LiveBoard(tally, "clipping", Console(file=out, force_terminal=True, width=110))
    board.say("W&B mode offline")
    play(board, all_jobs)
    board.close()
    last = out.getvalue().split("clipping")[-1]
    for text in ("state", "reward", "entropy", "outside band", "1.23%", "0.250", "failed", "waiting", "ETA", "2/3"):
        assert text in last, text
    assert "W&B mode offline" in out.getvalue()


def test_plain_lines_carry_the_numbers_of_their_own_run(jobs, capsys):
    plan, all_jobs = jobs
    tally = Tally(plan)
    tally.expect(all_jobs)
    play(PlainBoard(tally), all_jobs)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("ppo_clip-u4 seed 0 done: reward 0.250, entropy 1.500, outside band 1.23%")
    assert lines[2].startswith("clip_higher-u4 seed 0 failed: killed by signal 9")


def test_reused_runs_count_as_done(jobs):
    plan, all_jobs = jobs
    tally = Tally(plan)
    tally.expect(all_jobs[2:])
    assert tally.arms["ppo_clip-u4"].done == 1
    assert tally.arms["ppo_clip-u4"].state == "done"
    assert "sft" not in tally.arms


def test_the_eta_is_unknown_until_a_run_tells_and_zero_at_the_end(jobs):
    plan, all_jobs = jobs
    tally = Tally(plan)
    tally.expect(all_jobs)
    assert math.isnan(tally.eta_s())
    for job in all_jobs:
        tally.start(job)
        tally.end(job, "")
    assert tally.eta_s() == 0


def test_a_pipe_gets_plain_lines_and_a_setting_overrides_it(jobs):
    plan, all_jobs = jobs
    assert isinstance(make_board(plan, all_jobs, live=None), PlainBoard)
    live = make_board(plan, all_jobs, live=True)
    live.close()
    assert isinstance(live, LiveBoard)
