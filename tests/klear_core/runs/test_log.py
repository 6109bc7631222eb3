"""Records: what is written comes back, a kill costs the last line at most, and any other damage is named."""

import math
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.errors import RunStoreError
from klear_core.runs.log import RecordLog, Syncer, cut_log, decode, encode, read_log

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ROW = st.dictionaries(st.text().filter(lambda key: key not in ("seq", "crc32")), JSON, max_size=4)


def write(path, count, start=1):
    with RecordLog(path) as log:
        for step in range(start, start + count):
            log.append({"step": step, "text": f"line\n{step}"})
    return path


@given(rows=st.lists(ROW, max_size=5))
def test_rows_round_trip_with_every_digit(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "steps.jsonl"
    with RecordLog(path) as log:
        for row in rows:
            log.append(row)
    assert list(read_log(path)) == rows


@given(row=ROW, seq=st.integers(1, 10**9), where=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_flipped_bit_passes_for_a_row(row, seq, where, bit):
    line = encode(row, seq)[:-1]
    broken = bytearray(line)
    broken[where % len(line)] ^= 1 << bit
    with pytest.raises(ValueError, match=r"damaged|not a record|is not row"):
        decode(bytes(broken), seq)


def test_undefined_values_stay_undefined(tmp_path):
    with RecordLog(tmp_path / "a.jsonl") as log:
        log.append({"x": math.nan, "y": math.inf})
    (row,) = read_log(tmp_path / "a.jsonl")
    assert math.isnan(row["x"])
    assert row["y"] == math.inf


def test_every_row_is_in_the_file_before_the_next(tmp_path):
    with RecordLog(tmp_path / "steps.jsonl") as log:
        for step in range(3):
            log.append({"step": step})
            assert len(list(read_log(tmp_path / "steps.jsonl"))) == step + 1


def test_a_log_that_exists_is_gone_on_with(tmp_path):
    path = write(tmp_path / "steps.jsonl", 3)
    write(path, 2, start=4)
    assert [row["step"] for row in read_log(path)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("missing", range(1, 40))
def test_a_torn_last_line_is_left_out_with_a_word(tmp_path, caplog, missing):
    path = write(tmp_path / "steps.jsonl", 3)
    path.write_bytes(path.read_bytes()[:-missing])
    assert [row["step"] for row in read_log(path)] == [1, 2]
    assert "the last line is torn and left out" in caplog.text
    with RecordLog(path) as log:
        assert log.seq == 2
        log.append({"step": 3, "text": "line\n3"})
    assert path.read_bytes() == write(tmp_path / "whole.jsonl", 3).read_bytes()
    assert path.with_suffix(".cut1.jsonl").stat().st_size > 0


def test_a_line_missing_doubled_or_changed_in_the_middle_is_an_error_that_names_it(tmp_path):
    path = write(tmp_path / "steps.jsonl", 3)
    first, second, third = path.read_bytes().splitlines(keepends=True)
    for lines, message in (
        ([first, third], "line 2 is not row 2: rows are missing or doubled"),
        ([first, second, second, third], "line 3 is not row 3"),
        ([first, second.replace(b"2", b"5", 1), third], "line 2 is damaged: its checksum does not match"),
        ([first, second[:9] + b"\n", third], "line 2 is not a record of this version"),
    ):
        path.write_bytes(b"".join(lines))
        with pytest.raises(RunStoreError, match=message):
            list(read_log(path))
        with pytest.raises(RunStoreError, match=message):
            RecordLog(path)


@pytest.mark.parametrize("keep", range(4))
def test_a_cut_keeps_the_rows_before_it_and_the_rest_beside_it(tmp_path, keep):
    path = write(tmp_path / "steps.jsonl", 3)
    whole = path.read_bytes()
    torn = b'{"step": 4, "te'
    path.write_bytes(whole + torn)
    aside = cut_log(path, keep)
    assert [row["step"] for row in read_log(path)] == list(range(1, keep + 1))
    assert path.read_bytes() + aside.read_bytes() == whole + torn
    write(path, 3 - keep, start=keep + 1)
    assert path.read_bytes() == whole
    assert cut_log(path, 3) is None
    assert cut_log(path, 0).name == "steps.cut2.jsonl"


def test_a_cut_behind_the_end_is_refused(tmp_path):
    path = write(tmp_path / "steps.jsonl", 2)
    with pytest.raises(RunStoreError, match="line 3"):
        cut_log(path, 3)
    with pytest.raises(RunStoreError, match="does not exist, but its checkpoint has 1 rows"):
        cut_log(tmp_path / "none.jsonl", 1)
    assert cut_log(tmp_path / "none.jsonl", 0) is None


def test_rows_are_synced_within_a_second_without_another_append(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real(fd)))
    with Syncer() as syncer:
        log = RecordLog(tmp_path / "steps.jsonl", syncer)
        log.append({"step": 1})
        assert synced == []
        import time

        deadline = time.monotonic() + 3
        while not synced and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(synced) == 1
        assert not log.dirty


def test_what_the_disk_refuses_in_the_background_reaches_the_next_append(tmp_path, monkeypatch):
    def refuse(fd):
        raise OSError(28, "No space left on device")

    with pytest.raises(RunStoreError, match=r"cannot be synced: No space left"), Syncer() as syncer:
        log = RecordLog(tmp_path / "steps.jsonl", syncer)
        log.append({"step": 1})
        monkeypatch.setattr(os, "fsync", refuse)
        syncer._stop.wait(1.5)
        log.append({"step": 2})


_FULL = """
import resource, sys
from klear_core.errors import RunStoreError
from klear_core.runs.log import RecordLog
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
log = RecordLog(__import__("pathlib").Path(sys.argv[1]))
try:
    for step in range(1000):
        log.append({"step": step, "text": "x" * 90})
except RunStoreError as error:
    print(step, error)
"""


def test_a_full_disk_is_an_error_and_the_rows_before_it_are_whole(tmp_path):
    path = tmp_path / "steps.jsonl"
    done = subprocess.run([sys.executable, "-c", _FULL, str(path)], capture_output=True, text=True, check=True)
    step, message = done.stdout.split(" ", 1)
    assert "cannot be written" in message
    assert len(list(read_log(path))) == int(step)
    with RecordLog(path) as log:
        assert log.seq == int(step)
