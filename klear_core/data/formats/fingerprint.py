"""What a stream of records holds, as a hash: the same for the same records, whatever format they came from."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from klear_core.data.formats.format import Record

# Hashed first: a change of the form below makes other hashes, and says so here.
_FORM = b"klear records 1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Number of records and the SHA-256 over all of their fields, in their order."""

    rows: int
    content_hash: str


class Fingerprinter:
    """A fingerprint that grows record by record."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(_FORM)
        self._rows = 0

    def add(self, record: Record) -> None:
        """Take in the next record."""
        # A list of the fields in the order of their names, one line of JSON a record.
        line = json.dumps([type(record).__name__, *_plain(record)], ensure_ascii=False, separators=(",", ":"))
        self._hash.update(line.encode("utf-8", "surrogatepass") + b"\n")
        self._rows += 1

    def result(self) -> Fingerprint:
        """The fingerprint of the records so far."""
        return Fingerprint(rows=self._rows, content_hash=self._hash.hexdigest())


def fingerprint(records: Iterable[Record]) -> Fingerprint:
    """The fingerprint of records in their order; holds one of them at a time."""
    growing = Fingerprinter()
    for record in records:
        growing.add(record)
    return growing.result()


def _plain(record: Record) -> list[object]:
    values = []
    for name in sorted(each.name for each in dataclasses.fields(record)):
        value = getattr(record, name)
        if name == "difficulty" and value is not None:
            value = float(value)  # 1 and 1.0 are one difficulty
        elif name == "tests" and value is not None:
            value = [value.kind, value.entry, value.inputs, value.outputs]
        values.append(value)
    return values
