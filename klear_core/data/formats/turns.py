"""Conversations of one question and at most one answer, in the spellings of public data."""

from collections.abc import Mapping
from dataclasses import dataclass

from klear_core.data.formats.raw import RawRow, describe


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How a format writes a turn: the keys of speaker and text, and what it calls the speakers."""

    speaker: str
    text: str
    speakers: Mapping[str, str]  # as written -> system, user or assistant


CHAT = Spelling(speaker="role", text="content", speakers={name: name for name in ("system", "user", "assistant")})
# OpenThoughts3 writes human and gpt, its predecessor user and assistant.
SHARE = Spelling(speaker="from", text="value", speakers=dict(CHAT.speakers) | {"human": "user", "gpt": "assistant"})


def question(row: RawRow, column: str, spelling: Spelling = CHAT) -> tuple[str, str]:
    """System message ("" for none) and the one user turn; DataError for any other conversation."""
    turns = _turns(row, column, spelling, allowed=(["system", "user"], ["user"]))
    return (turns[0] if len(turns) == 2 else ""), turns[-1]


def answer(row: RawRow, column: str) -> str:
    """The one assistant turn; DataError for any other conversation."""
    return _turns(row, column, CHAT, allowed=(["assistant"],))[0]


def exchange(row: RawRow, column: str, spelling: Spelling = CHAT) -> tuple[str, str, str]:
    """System message ("" for none), user turn and assistant turn; DataError for any other conversation."""
    turns = _turns(row, column, spelling, allowed=(["system", "user", "assistant"], ["user", "assistant"]))
    return (turns[0] if len(turns) == 3 else ""), turns[-2], turns[-1]


def _turns(row: RawRow, column: str, spelling: Spelling, *, allowed: tuple[list[str], ...]) -> list[str]:
    """The texts of all turns; DataError unless their speakers are one of the ``allowed`` lists."""
    speakers, texts = [], []
    for index, turn in enumerate(row.items(column)):
        where = f"{column}[{index}]"
        if not isinstance(turn, dict):
            raise row.refuse(where, f"is {describe(turn)}", f"an object with {spelling.speaker} and {spelling.text}")
        written = turn.get(spelling.speaker)
        speaker = spelling.speakers.get(written, "") if isinstance(written, str) else ""
        if not speaker:
            raise row.refuse(f"{where}.{spelling.speaker}", f"is {describe(written)}", ", ".join(spelling.speakers))
        speakers.append(speaker)
        texts.append(row.check_text(f"{where}.{spelling.text}", turn.get(spelling.text)))
    if speakers not in allowed:
        told = ", ".join(speakers[:6]) + (", ..." if len(speakers) > 6 else "")
        raise row.refuse(column, f"has the turns {told or 'none'}", " or ".join(" + ".join(each) for each in allowed))
    return texts
