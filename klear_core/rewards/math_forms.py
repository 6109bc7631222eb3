r"""Whether two answers are the same mathematics by the policy of ``math_policy``: structure here, values in the trees.

An answer is words, a value with or without a unit, several in brackets, a set or a list, a union, a matrix, or a
relation.  ``Comparison`` reads two spelled answers side by side, so that what one of them leaves open (a unit, a name)
is taken from the other.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from klear_core.rewards.math_trees import UnreadableError, same_value, tree
from klear_core.rewards.math_units import split_unit

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
_SHORT_WORDS = {"yes", "no", "odd", "all", "one", "two", "six", "ten", "dne", "any"}
_PERCENT = re.compile(r" ?(?:\\?%|\\text\{ ?per ?cent(?:age)? ?\}|(?<=\d) percent)$")


class UnreadableReferenceError(ValueError):
    """The reference, not the answer, is what cannot be read."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Several values: ``left`` and ``right`` are brackets, or "" for a list without any."""

    left: str
    items: tuple[str, ...]
    right: str

    @property
    def is_set(self) -> bool:
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
    return " ".join(re.sub(r"[.,;:!?()'\"]", " ", found).casefold().split())


class Comparison:
    """Compares answers; ``max_value_digits`` as in ``MathPolicy``."""

    def __init__(self, max_value_digits: int) -> None:
        self._max_value_digits = max_value_digits

    def same(self, gold: str, answer: str) -> bool:
        """Whether ``answer`` is what ``gold`` says.

        Raises ``UnreadableError`` for an answer and ``UnreadableReferenceError`` for a reference that is no
        mathematics, and ``TooBigError`` for values of too many digits.
        """
        gold, answer = _plainly(gold), _plainly(answer)
        if _compact(gold) == _compact(answer):
            return True
        gold_words, words = words_of(gold), words_of(answer)
        if gold_words is not None or words is not None:
            return (gold_words or _letters(gold)) == (words or _letters(answer))
        if _matrix(gold) is not None and _matrix(answer) is not None:
            return self._same_matrices(_matrix(gold) or [], _matrix(answer) or [])
        gold_group = _group(gold)
        group = _group(answer, grouped=gold_group is None)
        if gold_group is None and _has_name(gold) and not _has_relation(answer):
            return self.same(_value(gold), answer)
        if group is None and _has_name(answer) and gold_group is not None and not _has_relation(gold):
            return self.same(gold, _value(answer))
        listed = [each for each in (gold_group, group) if each is not None and each.is_set]
        if not listed and (gold_group is None or group is None) and (_has_relation(gold) or _has_relation(answer)):
            return self._same_relations(gold, answer)
        if gold_group is not None or group is not None:
            return self._same_groups(gold, gold_group, answer, group)
        if _top(gold, r"\cup") and _top(answer, r"\cup"):
            return self._same_sets(_split(gold, r"\cup"), _split(answer, r"\cup")) or self._same_trees(gold, answer)
        return self._same_values(gold, answer)

    def _same_matrices(self, gold: list[list[str]], answer: list[list[str]]) -> bool:
        if [len(row) for row in gold] != [len(row) for row in answer]:
            return False
        pairs = [pair for rows in zip(gold, answer, strict=True) for pair in zip(*rows, strict=True)]
        return all(self.same(*pair) for pair in pairs)

    def _same_relations(self, gold: str, answer: str) -> bool:
        """One side at least is "name = value" or a relation; every value of a chain must be the reference's."""
        gold_name, name = _NAME.match(gold), _NAME.match(answer)
        if gold_name and name and _compact(gold_name["name"]) != _compact(name["name"]):
            return self._same_trees(gold, answer)
        if (gold_name or not _has_relation(gold)) and (name or not _has_relation(answer)):
            parts = _split(_value(answer), "=")
            return all(self.same(_split(_value(gold), "=")[-1], part) for part in parts)
        if not _has_relation(gold) and ("=" in answer or not (_is_set_text(gold) or _group(gold))):
            return False
        return self._same_trees(gold, answer)

    def _same_groups(self, gold: str, gold_group: _Group | None, answer: str, group: _Group | None) -> bool:
        if gold_group is None or group is None:
            one, several = (gold, group) if gold_group is None else (answer, gold_group)
            if several is not None and several.is_set and (_top(one, r"\cup") or not _is_set_text(one)):
                return self._same_sets(_items(gold, gold_group), _items(answer, group))
            return self._same_trees(gold, answer)
        if gold_group.is_set and group.is_set:
            return self._same_sets(gold_group.items, group.items)
        named = not gold_group.left and all(_has_name(item) for item in gold_group.items)
        if (gold_group.is_set and not named) or (group.is_set and group.left):
            return False
        if len(gold_group.items) != len(group.items):
            return False
        brackets, gold_brackets = (group.left, group.right), (gold_group.left, gold_group.right)
        # Only two items in brackets can be an interval, whose brackets count.
        if group.left and gold_group.left and len(group.items) == 2 and brackets != gold_brackets:
            return False
        return all(self.same(*pair) for pair in zip(gold_group.items, group.items, strict=True))

    def _same_sets(self, gold: Sequence[str], answer: Sequence[str]) -> bool:
        """Every item of one in the other, and the other way round; repeated items count once."""
        if not gold or not answer:
            return False  # the empty set has a sign of its own
        equal = [[self.same(*pair) for pair in product([item], answer)] for item in gold]
        return all(map(any, equal)) and all(map(any, zip(*equal, strict=True)))

    def _same_values(self, gold: str, answer: str) -> bool:
        whole_gold, whole = _ungrouped(gold), _ungrouped(answer)
        (gold, gold_unit), (answer, unit) = split_unit(whole_gold), split_unit(whole)
        if gold_unit and unit and gold_unit != unit:
            return False
        if bool(gold_unit) != bool(unit) and _compact(_untyped(whole_gold)) == _compact(_untyped(whole)):
            return True  # 5m may be meant as 5 metres
        gold_share, share = _PERCENT.search(gold), _PERCENT.search(answer)
        gold, answer = _PERCENT.sub("", gold), _PERCENT.sub("", answer)
        if _compact(gold) == _compact(answer):
            return True
        if gold_unit.startswith("base") or unit.startswith("base"):
            return gold.lstrip("0").lower() == answer.lstrip("0").lower()
        if bool(gold_share) == bool(share):
            return self._same_trees(gold, answer)
        hundredth = (rf"\frac{{{gold}}}{{100}}", answer) if gold_share else (gold, rf"\frac{{{answer}}}{{100}}")
        return self._same_trees(gold, answer) or self._same_trees(*hundredth)

    def _same_trees(self, gold: str, answer: str) -> bool:
        try:
            gold_tree = tree(gold, self._max_value_digits)
        except UnreadableError as error:
            raise UnreadableReferenceError(gold) from error
        if re.search(r"\\text|\d \d", answer):  # words inside a value; the grammar adds numbers side by side
            raise UnreadableError(answer)
        return same_value(gold_tree, tree(answer, self._max_value_digits))


def _plainly(text: str) -> str:
    r"""Without the rounded value behind \approx, and the condition for the set of what meets it."""
    text = text.strip()
    exact, *rounded = _split(text, r"\approx")
    if rounded and not re.fullmatch(r"\\?[a-zA-Z]+", exact):
        text = exact
    built = _SET_OF.match(text)
    return built[1] if built else text


def _letters(text: str) -> str | None:
    return text.casefold() if text.isalpha() else None


def _compact(text: str) -> str:
    return re.sub(r"(?<!\w) | (?!\w)", "", text)


def _untyped(text: str) -> str:
    return re.sub(r"\\text\{ ?(\w+) ?\}", r"\1", text)


def _has_relation(text: str) -> bool:
    return _RELATION.search(text) is not None


def _has_name(text: str) -> bool:
    return _NAME.match(text) is not None


def _value(text: str) -> str:
    match = _NAME.match(text)
    return match["value"] if match else text


def _is_set_text(text: str) -> bool:
    return re.search(r"\\(?:cup|cap|setminus|emptyset|mathbb)(?![a-zA-Z])", text) is not None


def _ungrouped(text: str) -> str:
    """Without the separators of thousands in front, as in 12,345 m."""
    return _GROUPED.sub(lambda match: match[1] + match[2].replace(",", ""), text)


def _matrix(text: str) -> list[list[str]] | None:
    match = _MATRIX.match(text)
    if match is None or r"\begin" in match[2]:
        return None
    rows = [row for row in re.split(r"\\\\", match[2]) if row.strip()]
    return [row.split("&") for row in rows]


def _split(text: str, separator: str) -> list[str]:
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


def _top(text: str, separator: str) -> bool:
    return len(_split(text, separator)) > 1


def _items(text: str, group: _Group | None) -> tuple[str, ...]:
    return tuple(_split(text, r"\cup")) if group is None else group.items


def _group(text: str, *, grouped: bool = True) -> _Group | None:
    """The several values that ``text`` writes; None for one value. A \\pm b is two.

    ``grouped``: whether 100,200 is one number with a separator.
    """
    if grouped and _GROUPED.match(text):
        return None
    listed = [part for piece in _split(_AND.sub(",", text), ";") for part in _split(piece, ",")]
    if len(listed) > 1:
        return _Group("", tuple(both for part in listed if part for both in _both_signs(part)), "")
    for left, right in ((r"\{", (r"\}",)), ("(", (")", "]")), ("[", (")", "]")), ("]", ("[", "]"))):
        if text.startswith(left) and text.endswith(right):
            inner = text[len(left) : -len(right[0])]
            if left != r"\{" and _closes_early(inner):
                break
            items = [part for piece in _split(_AND.sub(",", inner), ";") for part in _split(piece, ",")]
            if left == r"\{":
                return _Group(left, tuple(both for part in items if part for both in _both_signs(part)), right[0])
            return _Group(left, tuple(items), text[-1]) if len(items) > 1 else None
    both = _both_signs(text)
    return _Group("", tuple(both), "") if len(both) > 1 else None


def _closes_early(inner: str) -> bool:
    """Whether the first bracket closes before the end, as in (1,2) \\cup (3,4)."""
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
