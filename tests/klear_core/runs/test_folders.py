"""Holding a folder, telling a process from a later one of its number, and replacing a folder whole."""

import subprocess
import sys
import time

import pytest

from klear_core.errors import RunStoreError
from klear_core.runs import folders
from klear_core.runs.schema import LOCK_FILE, Owner

_HOLD = """
import sys, time
from pathlib import Path
from klear_core.runs import folders
with folders.held(Path(sys.argv[1]), wait_s=0):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_told_who_holds_the_folder(holder, tmp_path):
    with pytest.raises(folders.FolderInUseError, match=f"in use by process {holder.pid}"), folders.held(
        tmp_path, wait_s=0.2
    ):
        raise AssertionError("held twice")


def test_a_killed_process_holds_nothing(holder, tmp_path):
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with folders.held(tmp_path, wait_s=0):
        pass


def test_waiting_ends_when_the_holder_does(holder, tmp_path):
    started = time.monotonic()
    import threading

    threading.Timer(0.4, holder.kill).start()
    with folders.held(tmp_path, wait_s=10):
        assert 0.3 < time.monotonic() - started < 5


def test_an_owner_is_the_very_process_and_not_its_number(holder):
    owner = folders.owner_of(holder.pid)
    assert folders.is_alive(owner)
    assert not folders.is_alive(Owner(pid=owner.pid, process_start="1", boot_id=owner.boot_id))
    assert not folders.is_alive(Owner(pid=owner.pid, process_start=owner.process_start, boot_id="another boot"))
    holder.kill()
    assert folders.is_gone(owner, wait_s=5), "a process that waits only to be collected is gone"
    holder.wait()
    assert not folders.is_alive(owner)


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "checkpoint"
    for text in ("one", "two"):
        with folders.replaced_whole(target) as temporary:
            (temporary / "a").write_text(text)
    with pytest.raises(RunStoreError, match="checkpoint cannot be written: No space"), folders.replaced_whole(
        target
    ) as temporary:
        (temporary / "b").write_text("half")
        raise OSError(28, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert (target / "a").read_text() == "two"
    (tmp_path / ".checkpoint.123.tmp").mkdir()
    with folders.replaced_whole(target) as temporary:
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
