"""The objects of a JSON array, one at a time, without the array in memory."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from klear_core.data.formats.raw import describe
from klear_core.errors import DataError

_CHUNK = 2**20  # bytes
_BLANKS = re.compile(r"[ \t\r\n]*")
_decode = json.JSONDecoder().raw_decode


def array_items(file: BinaryIO, name: str, max_item: int) -> Iterator[dict[str, Any]]:
    """The objects of the array that ``file`` holds; DataError names the row, from 1, that is none.

    ``max_item`` is the number of characters beyond which an object is not waited for.
    """
    text = _Text(file, name)
    text.skip("[")
    row = 1
    if text.peek() == "]":
        text.skip("]")
    else:
        while True:
            text.place = f"{name} row {row}"
            yield _item(text, max_item)
            row += 1
            if text.peek() == "]":
                text.skip("]")
                break
            text.place = f"{name} row {row}"
            text.skip(",")
    if text.peek():
        raise DataError(f"{name} goes on after its array; allowed: one array of objects, or one object a line")


class _Text:
    """What is read and not yet taken of a file."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.held, self.at = "", 0
        self.place = name
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def more(self, size: int) -> bool:
        """Read on by about ``size`` bytes; False at the end of the file."""
        chunk = self._file.read(size)
        try:
            decoded = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError:
            before = self._file.tell() - len(chunk)
            raise DataError(f"{self.place} or one soon after is not UTF-8, after byte {before}") from None
        self.held, self.at = self.held[self.at :] + decoded, 0
        return bool(chunk)

    def peek(self) -> str:
        """The next letter that is no blank, "" at the end of the file."""
        while True:
            found = _BLANKS.match(self.held, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.held):
                return self.held[self.at]
            if not self.more(_CHUNK):
                return ""

    def skip(self, letter: str) -> None:
        """Take the next letter; DataError when it is another one."""
        found = self.peek()
        if found != letter:
            told = f"has {found!r} where {letter!r} belongs" if found else "is cut off: the array does not end"
            raise DataError(f"{self.place} {told}; allowed: an array of objects")
        self.at += 1


def _item(text: _Text, max_item: int) -> dict[str, Any]:
    first = text.peek()
    if first and first != "{":
        found = _found(text.held, text.at)
        raise DataError(f"{text.place} is {found}; allowed: an array of objects")
    size = _CHUNK
    while True:
        try:
            value, end = _decode(text.held, text.at)
        except RecursionError:
            raise DataError(f"{text.place} is nested too deeply; allowed: an array of objects") from None
        except ValueError as error:
            # Whether the object is broken or only not read to its end shows when there is more of it.
            if len(text.held) - text.at > max_item or not text.more(size):
                told = getattr(error, "msg", "a number of too many digits")
                raise DataError(f"{text.place} is no JSON, or is cut off: {told}") from None
            size *= 2
            continue
        text.at = end
        return dict(value)


def _found(held: str, at: int) -> str:
    try:
        return describe(_decode(held, at)[0])
    except (ValueError, RecursionError):
        return f"no JSON ({held[at : at + 20]!r})"
