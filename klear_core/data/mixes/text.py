"""How prompts are spelled before they are compared."""

import hashlib
import re
import unicodedata

_WORD = re.compile(r"\w+")


def normalised(text: str) -> str:
    """Unicode NFKC with every run of whitespace as one space and none at the ends; letters keep their case.

    NFKC takes full-width letters for plain ones, and x² for x2 as well.
    """
    # ASCII is its own NFKC, and most prompts are ASCII.
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).split())


def folded(text: str) -> str:
    """``normalised`` in lower case."""
    return normalised(text).lower()


def words(text: str) -> list[str]:
    r"""The runs of ``\w`` in the NFKC text, in lower case."""
    return _WORD.findall((text if text.isascii() else unicodedata.normalize("NFKC", text)).lower())


def digest(*texts: str) -> bytes:
    """16 bytes that name the normalised texts in their order."""
    whole = hashlib.blake2b(digest_size=16)
    for text in texts:
        # One digest a text, so that no text can run into the next.  Half a surrogate pair is a character too.
        whole.update(hashlib.blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=16).digest())
    return whole.digest()


def draw_of(name: str, position: int) -> int:
    """A number of 64 bits for the item at ``position``, the same on every machine: the smallest are a fair sample."""
    return int.from_bytes(hashlib.blake2b(f"{name}/{position}".encode(), digest_size=8).digest(), "big")
