"""``dry_run=true``: the plan with a measured estimate, and nothing else."""

import re

import pytest

from ablations import launch
from ablations.estimate import disk_bytes, sft_disk_bytes
from ablations.run import compose
from tests.e2e.conftest import run_command

pytestmark = pytest.mark.slow


def test_it_shows_every_run_and_what_they_will_take_and_writes_nothing(tmp_path):
    root = tmp_path / "runs"
    done = run_command("+sweep=clipping", "scale=smoke", "dry_run=true", f"launch.runs_dir={root}")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    for arm in ("ppo_clip-u4", "clip_higher-u4", "gppo-u4", "cispo-u4", "supervised start"):
        assert re.search(rf"{arm} .*\b0\b.* new ", done.stdout), arm
    assert "runs: 4 to do and 1 supervised starts" in done.stdout
    for line in (
        r"time: about (\d+ min )?\d+ s \(\d+ s a supervised start, \d+ s a run at u4\)",
        r"memory: [\d,]+ MB a process, [\d,]+ MB in all; [\d,]+ MB available",
        r"disk: at most [\d,]+ MB; [\d,]+ MB free",
        "dry run: nothing was started or written",
    ):
        assert re.search(line, done.stdout), line
    memory = int(re.search(r"memory: ([\d,]+) MB", done.stdout).group(1).replace(",", ""))
    assert 200 < memory < 2000
    assert not root.exists()


def test_what_is_done_is_shown_as_reused(smoke):
    done = run_command("+sweep=clipping", "scale=smoke", "dry_run=true", f"launch.runs_dir={smoke['root']}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("reuse") == 4
    assert "nothing is left to run" in done.stdout


def test_the_disk_bound_holds_for_what_runs_really_leave(smoke):
    prepared = launch.prepare(compose(["+sweep=clipping", "scale=smoke", "launch.runs_dir=none"]))
    root = smoke["root"]
    for decision in prepared.decisions:
        folder = root / "clipping" / decision.run.folder
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert used < disk_bytes(decision.config) < 30 * used
    (start,) = (root / "_sft").iterdir()
    used = sum(path.stat().st_size for path in start.rglob("*") if path.is_file())
    assert used < sft_disk_bytes(prepared.decisions[0].config)
