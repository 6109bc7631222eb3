"""Disks that are full, read-only, damaged or another user's: what cannot go on is refused in one line, and kept.

Tests run as root in many places, where mode bits stop nobody: users and file systems are changed for real here.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from klear_core.runs import schema
from klear_core.runs.log import RecordLog
from tests.reliability.killing import fingerprints
from tests.reliability.lab import ALWAYS, ARM, Lab, check_same, flip, folder_of, rows, truncate
from tests.reliability.run_faults import FULL, fill

pytestmark = pytest.mark.slow
NOBODY = 65534


@pytest.fixture(scope="module")
def whole(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two runs without any fault."""
    root = tmp_path_factory.mktemp("whole")
    ended = lab.run(root, ALWAYS, seeds=(0, 1))
    assert ended.code == 0, ended.text
    return root


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A root of runs on a file system of a few MiB, where it may be mounted; else an ordinary one."""
    root = tmp_path / "disk"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(root)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield root
    if mounted:
        subprocess.run(["umount", str(root)], check=True)


@pytest.mark.parametrize("fault", ["full_at_record", "full_at_checkpoint"])
def test_a_full_disk_is_told_though_not_even_the_status_fits_and_nothing_is_lost(lab, small_disk, whole, fault):
    ended = lab.run(small_disk, ALWAYS, runs={f"{ARM}/seed0": fault}, step=3)
    assert ended.code == 1
    assert "failed: infrastructure: " in ended.text
    assert "cannot be written" in ended.text
    assert "0 of 1 runs done" in ended.text
    (small_disk / FULL).unlink(missing_ok=True)
    assert lab.run(small_disk, ALWAYS).code == 0
    check_same(small_disk, whole)


def test_a_disk_that_fills_up_before_the_report_costs_the_report_only(lab, small_disk, whole):
    shutil.copytree(whole / "clipping" / ARM / "seed0", folder_of(small_disk))
    before = fingerprints(small_disk)
    ended = lab.run(small_disk, ALWAYS, command="full_at_report", report=True)
    assert ended.code == 1
    assert "Traceback" not in ended.text
    (small_disk / FULL).unlink(missing_ok=True)
    assert lab.run(small_disk, ALWAYS, report=True).code == 0
    assert "report.md" in {path.name for path in (small_disk / "clipping" / schema.REPORT_DIR).iterdir()}
    assert fingerprints(small_disk) == before


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(lab, tmp_path):
    ended = lab.run(tmp_path / "runs", ALWAYS, "eval.test_samples=100000000")
    assert "MB free; free some, or set launch.runs_dir" in ended.error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("named", "seed"), [(schema.PLAN_FILE, 0), (schema.CONFIG_FILE, 1)])
def test_a_plan_that_cannot_be_written_starts_nothing_and_leaves_the_old_one(lab, tmp_path, whole, named, seed):
    shutil.copytree(whole / "clipping", tmp_path / "clipping", ignore=shutil.ignore_patterns("seed[1-9]*"))
    before = tree(tmp_path / "clipping" / schema.PLAN_FILE)
    ended = lab.run(tmp_path, ALWAYS, seeds=[seed], command="file_limit", value=1000)
    assert f"{named} cannot be written: File too large" in ended.error
    assert tree(tmp_path / "clipping" / schema.PLAN_FILE) == before
    assert lab.run(tmp_path, ALWAYS, seeds=[seed]).code == 0
    check_same(tmp_path, whole, seed)


def test_a_ledger_that_takes_no_more_is_told_and_stops_no_run(lab, tmp_path, whole):
    (tmp_path / "clipping").mkdir()
    with RecordLog(tmp_path / "clipping" / schema.LEDGER_FILE) as ledger:
        ledger.append({"event": "sweep_started", "command": "x" * 2**20})
    ended = lab.run(tmp_path, ALWAYS, command="file_limit", value=2**20)
    assert ended.code == 0, ended.text
    assert "warning: the ledger is not complete: " in ended.text
    check_same(tmp_path, whole)
    assert lab.run(tmp_path, ALWAYS).code == 0
    assert [row["event"] for row in rows(tmp_path / "clipping" / schema.LEDGER_FILE)][-2:] == [
        "run_reused",
        "sweep_ended",
    ]


def test_a_full_temporary_folder_is_refused_in_one_line(lab, small_disk, tmp_path):
    if small_disk.is_mount():
        fill(small_disk)
    # No folder can be made in /proc either, by anybody.
    folder = small_disk if small_disk.is_mount() else Path("/proc")
    assert "set TMPDIR" in lab.run(tmp_path / "runs", command="temporary_folder", value=str(folder)).error
    assert not (tmp_path / "runs").exists()


def tree(root: Path) -> dict[str, bytes]:
    """Bytes of every file at or under ``root`` but locks, which hold a process number."""
    paths = [root] if root.is_file() else sorted(root.rglob("*"))
    return {str(path): path.read_bytes() for path in paths if path.is_file() and path.name != schema.LOCK_FILE}


def cut_after(path: Path, text: str) -> None:
    path.write_text(path.read_text().partition(text)[0] + text)


@pytest.mark.parametrize(
    ("where", "damage", "advice"),
    [
        (f"{ARM}/seed0/{schema.STATUS_FILE}", truncate, "move"),
        (f"{ARM}/seed0/{schema.STATUS_FILE}", lambda path: path.write_bytes(b""), "move"),
        (f"{ARM}/seed0/{schema.STATUS_FILE}", Path.unlink, "move"),
        (f"{ARM}/seed0/{schema.CONFIG_FILE}", lambda path: cut_after(path, "train_prob"), "move"),
        (f"{ARM}/seed0/{schema.CONFIG_FILE}", lambda path: cut_after(path, "task:\n"), "reuse=new_folder"),
        (f"{ARM}/seed0/{schema.CONFIG_FILE}", lambda path: path.write_bytes(b""), "move"),
        (schema.LEDGER_FILE, lambda path: flip(path, 0.1), "move"),
    ],
)
def test_a_damaged_file_that_only_a_person_can_judge_is_refused_and_untouched(
    lab, tmp_path, whole, where, damage, advice
):
    shutil.copytree(whole / "clipping", tmp_path / "clipping", ignore=shutil.ignore_patterns("seed[1-9]*"))
    damage(tmp_path / "clipping" / where)
    before = tree(tmp_path)
    error = lab.run(tmp_path, ALWAYS).error
    assert str(tmp_path / "clipping" / Path(where).parent) in error
    assert advice in error
    assert tree(tmp_path) == before


@pytest.fixture
def shared(lab: Lab) -> Iterator[Path]:
    """A folder that every user can reach, with the supervised checkpoint in it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    assert lab.checkpoint is not None
    shutil.copytree(lab.checkpoint, folder / "start")
    for path in (folder / "start").iterdir():
        path.chmod(0o644)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("where", "mode", "message"),
    [
        ("", 0o755, "clipping cannot be created: Permission denied"),
        ("", 0o700, "cannot be reached: Permission denied"),
        (f"clipping/{ARM}/seed0", 0o755, "config.yaml cannot be written: Permission denied"),
        (f"clipping/{ARM}/seed0", 0o700, "status.json cannot be read: Permission denied"),
        ("start", 0o700, "start cannot be read: Permission denied"),
    ],
)
def test_a_folder_of_another_user_is_refused(lab, shared, where, mode, message):
    root = shared / "runs"
    closed = shared / where if where == "start" else root / where
    closed.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        for path in (root, root / "clipping"):
            if where and path.exists():
                os.chown(path, NOBODY, NOBODY)
        closed.chmod(mode)
        planted = {"command": "other_user", "value": NOBODY}
    else:  # no other user can be had, but modes hold for this one
        closed.chmod(mode & 0o555 if mode == 0o755 else 0)
        planted = {}
    error = lab.run(root, ALWAYS, f"sft.checkpoint={shared / 'start'}", **planted).error
    closed.chmod(0o755)
    assert message in error


def test_a_read_only_file_system_is_refused(lab, small_disk, whole):
    if not small_disk.is_mount():  # a file system that nobody may write to
        assert "/proc/runs" in lab.run(Path("/proc/runs"), ALWAYS).error
        return
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "clipping cannot be created: Read-only file system" in lab.run(small_disk, ALWAYS).error
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert lab.run(small_disk, ALWAYS).code == 0
    check_same(small_disk, whole)
