"""Append-only records: one JSON object a line, each with its sequence number and checksum, synced within a second.

A line is ``{"step": 3, ..., "seq": 3, "crc32": "9f1c2ab0"}``: ``seq`` counts the lines of the file from 1, ``crc32`` is
that of the line's UTF-8 bytes before ``, "crc32"``.  A kill can tear the last line only, as each line is one write.
"""

import json
import logging
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from klear_core.errors import RunStoreError
from klear_core.runs.folders import make_folder

_log = logging.getLogger(__name__)
_SYNC_EVERY_S = 0.9
_DECODER = json.JSONDecoder()  # json.loads looks at encoding and white space of every line anew


def encode(row: Mapping[str, Any], seq: int) -> bytes:
    """The line of a row; floats keep all their digits, non-finite ones are written NaN, Infinity, -Infinity."""
    body = json.dumps({**row, "seq": seq}, ensure_ascii=False, check_circular=False)[:-1].encode()
    return b'%s, "crc32": "%08x"}\n' % (body, zlib.crc32(body))


def decode(line: bytes, seq: int) -> dict[str, Any]:
    """The row of a line without its newline; ValueError, with the reason, unless it is whole and is row ``seq``."""
    body, mark, tail = line.rpartition(b', "crc32": "')
    if not mark:
        raise ValueError("is not a record of this version")
    if tail != b'%08x"}' % zlib.crc32(body):
        raise ValueError("is damaged: its checksum does not match")
    text = body.decode() + "}"
    row: dict[str, Any]
    row, end = _DECODER.raw_decode(text)
    if end != len(text) or row.pop("seq") != seq:
        raise ValueError(f"is not row {seq}: rows are missing or doubled")
    return row


class RecordLog:
    """Appends rows to a record file; a file that exists is gone on with after its last whole line."""

    def __init__(self, path: Path, syncer: "Syncer | None" = None) -> None:
        """RunStoreError when the file cannot be opened, or is damaged anywhere but in its last line."""
        make_folder(path.parent)
        self.path = path
        self._syncer = syncer
        self.seq = _mend(path) if path.exists() else 0
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunStoreError(f"{path} cannot be opened: {error.strerror}") from None
        self.dirty = False
        if syncer is not None:
            syncer.add(self)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row in one call; RunStoreError when the disk does not take it whole."""
        if self._syncer is not None:
            self._syncer.check()
        line = encode(row, self.seq + 1)
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            raise RunStoreError(f"{self.path} cannot be written: {error.strerror}") from error
        if written != len(line):
            raise RunStoreError(f"{self.path} cannot be written: the disk took {written} of {len(line)} bytes")
        self.seq += 1
        self.dirty = True
        if self._syncer is None:
            self.sync()

    def sync(self) -> None:
        """Have the kernel put what was appended on the disk."""
        self.dirty = False
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise RunStoreError(f"{self.path} cannot be synced: {error.strerror}") from error

    def close(self) -> None:
        """Sync and close; closing twice is allowed."""
        if self._fd < 0:
            return
        fd = self._fd
        try:
            if self.dirty:
                self.sync()
        finally:
            self._fd = -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Syncer:
    """Syncs the logs of a run about once a second in a thread, so that no step waits for the disk."""

    def __init__(self) -> None:
        self._logs: list[RecordLog] = []
        self._error: RunStoreError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-sync", daemon=True)

    def add(self, log: RecordLog) -> None:
        """Sync ``log`` from now on."""
        self._logs.append(log)

    def check(self) -> None:
        """Raise what went wrong in the thread, once."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def sync(self) -> None:
        """Sync all logs now; RunStoreError when the disk refuses."""
        self.check()
        self._sync_dirty()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        failures = []
        for log in self._logs:
            try:
                log.close()
            except RunStoreError as failure:
                failures.append(failure)
        if error is None:
            self.check()
            if failures:
                raise failures[0]

    def _run(self) -> None:
        while not self._stop.wait(_SYNC_EVERY_S):
            try:
                self._sync_dirty()
            except RunStoreError as error:
                self._error = error

    def _sync_dirty(self) -> None:
        for log in self._logs:
            if log.dirty:
                log.sync()


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a record file, without sequence number and checksum.

    One torn last line is left out, with a warning; RunStoreError for any other damage, with the line's number.
    """
    return _rows(path)


def cut_log(path: Path, keep: int) -> Path | None:
    """Cut a record file after row ``keep``; what is cut, a torn line included, is kept beside it and its path returned.

    RunStoreError when the file holds fewer rows: a checkpoint never knows more than the log.
    """
    if not path.exists():
        if keep:
            raise RunStoreError(f"{path} does not exist, but its checkpoint has {keep} rows of it")
        return None
    raw = path.read_bytes()
    end, seq = 0, 0
    while seq < keep:
        stop = raw.find(b"\n", end)
        try:
            decode(raw[end : max(stop, end)], seq + 1)
        except ValueError as error:
            raise RunStoreError(f"{path} line {seq + 1} {error}, and the checkpoint needs {keep} rows") from None
        end, seq = stop + 1, seq + 1
    if end == len(raw):
        return None
    number = 1
    while (aside := path.with_suffix(f".cut{number}{path.suffix}")).exists():
        number += 1
    _write_synced(aside, raw[end:])
    with path.open("r+b") as file:
        file.truncate(end)
        os.fsync(file.fileno())
    return aside


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise RunStoreError(f"{path} does not exist") from None
    except OSError as error:
        raise RunStoreError(f"{path} cannot be read: {error.strerror}") from None
    start, seq = 0, 0
    while start < len(raw):
        stop = raw.find(b"\n", start)
        if stop < 0:
            _log.warning("%s: the last line is torn and left out (%d bytes)", path, len(raw) - start)
            return
        seq += 1
        try:
            row = decode(raw[start:stop], seq)
        except (ValueError, KeyError) as error:
            told = str(error) if str(error).startswith("is ") else "is not a record"
            raise RunStoreError(f"{path} line {seq} {told}") from None
        start = stop + 1
        yield row


def _mend(path: Path) -> int:
    """Cut off a torn last line, kept beside the file; returns the number of whole rows."""
    seq = sum(1 for _ in _rows(path))
    cut_log(path, seq)
    return seq


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
