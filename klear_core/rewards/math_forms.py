r"""Whether two answers are the same mathematics by the policy of ``math_policy``: structure here, values in the trees.

``Comparison`` reads two spelled answers side by side, so that what one of them leaves open (a unit, a name, whether a
comma separates thousands) is taken from the other.
"""

import re
from collections.abc import Sequence
from itertools import product

from klear_core.rewards.math_structure import (
    Group,
    are_named,
    compact,
    group_of,
    has_relation,
    is_set_text,
    letters,
    matrix_of,
    name_of,
    plainly,
    split,
    ungrouped,
    untyped,
    value_of,
    words_of,
)
from klear_core.rewards.math_trees import TooBigError, Tree, UnreadableError, same_value, tree
from klear_core.rewards.math_units import split_unit

# What the grammar would read wrongly: words inside a value, numbers side by side (it adds them), a transposed letter.
_MISREAD = re.compile(r"\\text|(?<![\d_^])\d+ \d|[A-Z]\^\{? ?(?:T|\\top)(?![a-zA-Z])")
_PERCENT = re.compile(r" ?(?:\\?%|\\text\{ ?per ?cent(?:age)? ?\}|(?<=\d) percent)$")


class UnreadableReferenceError(ValueError):
    """The reference, not the answer, is what cannot be read."""


class Comparison:
    """Compares answers; ``max_value_digits`` as in ``MathPolicy``."""

    def __init__(self, max_value_digits: int) -> None:
        self._max_value_digits = max_value_digits

    def same(self, gold: str, answer: str) -> bool:
        """Whether ``answer`` is what ``gold`` says.

        Raises ``UnreadableError`` for an answer and ``UnreadableReferenceError`` for a reference that is no
        mathematics, and ``TooBigError`` for values of too many digits.
        """
        gold, answer = plainly(gold), plainly(answer)
        if compact(gold) == compact(answer):
            return True
        gold_words, words = words_of(gold), words_of(answer)
        if gold_words is not None or words is not None:
            return (gold_words or letters(gold) or gold) == (words or letters(answer))
        if (gold_rows := matrix_of(gold)) is not None and (rows := matrix_of(answer)) is not None:
            return self._same_matrices(gold_rows, rows)
        gold_group = group_of(gold)
        group = group_of(answer, grouped=gold_group is None)
        if gold_group is None and name_of(gold) and not has_relation(answer):
            return self.same(value_of(gold), answer)
        if group is None and name_of(answer) and gold_group is not None and not has_relation(gold):
            return self.same(gold, value_of(answer))
        listed = [each for each in (gold_group, group) if each is not None and each.is_set]
        if not listed and (gold_group is None or group is None) and (has_relation(gold) or has_relation(answer)):
            return self._same_relations(gold, answer)
        if gold_group is not None or group is not None:
            return self._same_groups(gold, gold_group, answer, group)
        if len(gold_parts := split(gold, r"\cup")) > 1 and len(parts := split(answer, r"\cup")) > 1:
            return self._same_sets(gold_parts, parts) or self._same_trees(gold, answer)
        return self._same_values(gold, answer)

    def reads(self, text: str) -> bool:
        """Whether ``text`` is mathematics or words, by itself."""
        text = value_of(plainly(text))
        if words_of(text) is not None:
            return True
        rows, group = matrix_of(text), group_of(text)
        parts = [item for row in rows or [] for item in row] or (group.items if group else split(text, r"\cup"))
        if len(parts) > 1:
            return all(self.reads(part) for part in parts)
        try:
            self._tree(_PERCENT.sub("", split_unit(ungrouped(text))[0]))
        except (UnreadableError, TooBigError):
            return False
        return True

    def _same_matrices(self, gold: list[list[str]], answer: list[list[str]]) -> bool:
        if [len(row) for row in gold] != [len(row) for row in answer]:
            return False
        pairs = [pair for rows in zip(gold, answer, strict=True) for pair in zip(*rows, strict=True)]
        return all(self.same(*pair) for pair in pairs)

    def _same_relations(self, gold: str, answer: str) -> bool:
        """One side at least is "name = value" or a relation; every value of a chain must be the reference's."""
        gold_name, name = name_of(gold), name_of(answer)
        if gold_name and name and gold_name != name:
            return self._same_trees(gold, answer)
        if (gold_name or not has_relation(gold)) and (name or not has_relation(answer)):
            parts = split(value_of(answer), "=")
            return all(self.same(split(value_of(gold), "=")[-1], part) for part in parts)
        if not has_relation(gold) and ("=" in answer or not (is_set_text(gold) or group_of(gold))):
            return False
        return self._same_trees(gold, answer)

    def _same_groups(self, gold: str, gold_group: Group | None, answer: str, group: Group | None) -> bool:
        if gold_group is None or group is None:
            one, several = (gold, group) if gold_group is None else (answer, gold_group)
            if several is not None and several.is_set:
                parts = split(one, r"\cup")
                # "x < 1 or x > 2" is a union; (1,2) and (3,4) are points.
                if (len(parts) > 1 and all(map(has_relation, several.items))) or not is_set_text(one):
                    sides = (parts, several.items) if gold_group is None else (several.items, parts)
                    return self._same_sets(*sides)
            return is_set_text(one) and self._same_trees(gold, answer)
        if gold_group.is_set and group.is_set:
            return self._same_sets(gold_group.items, group.items)
        if (gold_group.is_set and not are_named(gold_group)) or (group.is_set and group.left):
            return False
        if any(map(name_of, group.items)) and not are_named(group):
            return False  # "x = 1 or x = 2" is no pair
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
        whole_gold, whole = ungrouped(gold), ungrouped(answer)
        (gold, gold_unit), (answer, unit) = split_unit(whole_gold), split_unit(whole)
        if gold_unit and unit and gold_unit != unit:
            return False
        if bool(gold_unit) != bool(unit) and compact(untyped(whole_gold)) == compact(untyped(whole)):
            return True  # 5m may be meant as 5 metres
        gold_share, share = _PERCENT.search(gold), _PERCENT.search(answer)
        gold, answer = _PERCENT.sub("", gold), _PERCENT.sub("", answer)
        if (gold_share and unit) or (share and gold_unit):
            return False
        if compact(gold) == compact(answer):
            return True
        if gold_unit.startswith("base") or unit.startswith("base"):
            return gold.lstrip("0").lower() == answer.lstrip("0").lower()
        if bool(gold_share) == bool(share):
            return self._same_trees(gold, answer)
        hundredth = (rf"\frac{{{gold}}}{{100}}", answer) if gold_share else (gold, rf"\frac{{{answer}}}{{100}}")
        return self._same_trees(gold, answer) or self._same_trees(*hundredth)

    def _same_trees(self, gold: str, answer: str) -> bool:
        try:
            gold_tree = self._tree(gold)
        except (UnreadableError, TooBigError) as error:
            raise UnreadableReferenceError(gold) from error
        return same_value(gold_tree, self._tree(answer))

    def _tree(self, text: str) -> Tree:
        if _MISREAD.search(text):
            raise UnreadableError(text)
        return tree(text, self._max_value_digits)
