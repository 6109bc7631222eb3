r"""What an answer is made of: its name, its items and brackets, its rows, its words. Spelled text in, text out."""

import re
from dataclasses import dataclass

_NAME = re.compile(
    r"(?P<name>\\?[a-zA-Z]+'*(?:_(?:\w|\{[^{}]*\}))?(?:\([a-zA-Z](?:,[a-zA-Z])*\))?|\\text\{[^{}]*\}"
    r"|\([a-zA-Z](?:,[a-zA-Z])+\)) ?(?:=|\\(?:in|equiv|approx)(?![a-zA-Z])) ?(?P<value>.+)$",
    re.DOTALL,
)
_RELATION = re.compile(r"=|<|>|\\(?:le|ge|ne|in|equiv|approx)(?![a-zA-Z])")
_AND = re.compile(r"\\text\{,? ?(?:and|or) ?\}|(?<=[\d)}\]a-z]) (?:and|or) (?=[-\d(\\\[a-z])")
_GROUPED = re.compile(r"^((?:\\\$|[$€£¥])? ?-?(?:\\\$)? ?)(\d{1,3}(?:,\d{3})+)(?=$|[^\d,])(?!.*,)")
_MATRIX = re.compile(r"^\\begin\{([pbB]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}$", re.DOTALL)
_SET_OF = re.compile(r"^\\\{ ?[a-zA-Z] ?(?:\\in ?\\mathbb\{[A-Z]\} ?)?(?:\\mid|\\vert|\||:) ?(.+)\\\}$", re.DOTALL)
_PURE_TEXT = re.compile(r"^\\text\{([^{}]*)\}$")
_WORDS = re.compile(r"^[A-Za-z][A-Za-z ,.'-]*$")
_BRACKETS = {r"\{": (r"\}",), "(": (")", "]"), "[": (")", "]"), "]": ("[", "]")}
_SHORT_WORDS = {"yes", "no", "odd", "all", "one", "two", "six", "ten", "dne", "any"}


@dataclass(frozen=True, slots=True)
class Group:
    """Several values between the brackets ``left`` and ``right``, which are "" for a list without any."""

    left: str
    items: tuple[str, ...]
    right: str

    @property
    def is_set(self) -> bool:
        """Whether the order of the items is nothing."""
        return self.left in ("", r"\{")


def words_of(text: str) -> str | None:
    """``text`` as lower-case words, when it is words; None for mathematics."""
    match = _PURE_TEXT.match(text)
    if match is not None and not re.fullmatch(r"[-\d., ]+", match[1]):
        found = match[1]
    elif _WORDS.match(text) and (
        any(len(word) >= 4 for word in re.findall("[A-Za-z]+", text)) or text.lower() in _SHORT_WORDS
    ):
        found = text
    else:
        return None
    return " ".join(re.sub(r"[.,;:!?()'\"]", " ", found).casefold().split()) or None


def plainly(text: str) -> str:
    r"""Without the rounded value behind \approx, and the condition for the set of what meets it."""
    text = text.strip()
    exact, *rounded = split(text, r"\approx")
    if rounded and not re.fullmatch(r"\\?[a-zA-Z]+", exact):
        text = exact
    built = _SET_OF.match(text)
    return built[1] if built else text


def letters(text: str) -> str | None:
    """``text`` in lower case when it is letters alone."""
    return text.casefold() if text.isalpha() else None


def compact(text: str) -> str:
    """Without the spaces that part nothing."""
    return re.sub(r"(?<!\w) | (?!\w)", "", text)


def untyped(text: str) -> str:
    """With words in the type of symbols."""
    return re.sub(r"\\text\{ ?(\w+) ?\}", r"\1", text)


def has_relation(text: str) -> bool:
    """Whether ``text`` states an equation, an inequality or a membership."""
    return _RELATION.search(text) is not None


def name_of(text: str) -> str | None:
    """The name of a "name = value"; None without one."""
    match = _NAME.match(text)
    return compact(match["name"]) if match else None


def value_of(text: str) -> str:
    """The value of a "name = value", and ``text`` itself without a name."""
    match = _NAME.match(text)
    return match["value"] if match else text


def is_set_text(text: str) -> bool:
    """Whether ``text`` has the signs of sets."""
    return re.search(r"\\(?:cup|cap|setminus|emptyset|mathbb)(?![a-zA-Z])", text) is not None


def ungrouped(text: str) -> str:
    """Without the separators of thousands in front, as in 12,345 m."""
    return _GROUPED.sub(lambda match: match[1] + match[2].replace(",", ""), text)


def matrix_of(text: str) -> list[list[str]] | None:
    """The rows of a matrix; None for anything else."""
    match = _MATRIX.match(text)
    if match is None or r"\begin" in match[2]:
        return None
    rows = [row for row in re.split(r"\\\\", match[2]) if row.strip()]
    return [row.split("&") for row in rows]


def split(text: str, separator: str) -> list[str]:
    """``text`` at every ``separator`` outside brackets of any kind."""
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        if depth == 0 and text.startswith(separator, at):
            parts.append(text[start:at])
            at += len(separator)
            start = at
            continue
        if text[at] == "\\" and text[at + 1 : at + 2] in ("{", "}"):
            at += 1
        depth += (text[at] in "([{") - (text[at] in ")]}")
        at += 1
    return [part.strip() for part in [*parts, text[start:]]]


def are_named(group: Group) -> bool:
    """Whether a list gives each of its values a name of its own, as in x = 1, y = 2."""
    names = {name for item in group.items if (name := name_of(item)) is not None}
    return not group.left and len(names) == len(group.items)


def group_of(text: str, *, grouped: bool = True) -> Group | None:
    r"""The several values that ``text`` writes; None for one value. A \pm b is two.

    ``grouped``: whether 100,200 is one number with a separator.
    """
    if grouped and _GROUPED.match(text):
        return None
    listed = _items(text)
    if len(listed) > 1:
        return Group("", _with_both_signs(listed), "")
    for left, rights in _BRACKETS.items():
        if text.startswith(left) and text.endswith(rights):
            inner = text[len(left) : -len(rights[0])]
            if _closes_early(inner):
                break
            items = _items(inner)
            if left == r"\{":
                return Group(left, _with_both_signs(items), rights[0])
            return Group(left, tuple(items), text[-1]) if len(items) > 1 else None
    both = _with_both_signs([text])
    return Group("", both, "") if len(both) > 1 else None


def _items(text: str) -> list[str]:
    return [part for piece in split(_AND.sub(",", text), ";") for part in split(piece, ",")]


def _with_both_signs(items: list[str]) -> tuple[str, ...]:
    """The items that are not empty, those with a sign of either kind twice."""
    return tuple(both for item in items if item for both in _both_signs(item))


def _closes_early(inner: str) -> bool:
    r"""Whether the first bracket closes before the end, as in (1,2) \cup (3,4)."""
    depth = 0
    for character in inner:
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return True
    return False


def _both_signs(text: str) -> list[str]:
    r"""``text`` with either sign for \pm and the other for \mp."""
    if not re.search(r"\\(?:pm|mp)(?![a-zA-Z])", text):
        return [text]
    upper = re.sub(r"\\pm(?![a-zA-Z]) ?", "+", re.sub(r"\\mp(?![a-zA-Z]) ?", "-", text))
    lower = re.sub(r"\\pm(?![a-zA-Z]) ?", "-", re.sub(r"\\mp(?![a-zA-Z]) ?", "+", text))
    return [upper.removeprefix("+"), lower]
