"""Whether two pieces of LaTeX have one value: the only file that knows math-verify, its parser and sympy.

Text becomes a tree through latex2sympy's grammar alone: no sympify, no parse_expr, no eval of what a model wrote.
Decimals become the rationals that they write, so no comparison rounds.
"""

import dataclasses
import functools
import inspect
import math

import sympy
from latex2sympy2_extended import latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from math_verify import verify

_DIGITS = 50  # of numerical comparisons: more than any decimal that a person writes
_SEPARATE = sympy.Float(10) ** -30  # two values that differ by more are not one
_LOG10_2 = math.log10(2)
# The grammar beside math-verify 0.5.2 has no such setting: it tells upper and lower case apart without being asked.
_KEEPS_CASE = {field.name for field in dataclasses.fields(ConversionConfig)} & {"lowercase_symbols"}
_CONVERSION = ConversionConfig(**dict.fromkeys(_KEEPS_CASE, False))
_PARAMETERS = inspect.signature(verify).parameters
_PRECISION = {name: _DIGITS for name in ("precision", "float_rounding", "numeric_precision") if name in _PARAMETERS}
Tree = sympy.Basic
_NOT_FINITE = (sympy.oo, -sympy.oo, sympy.zoo, sympy.nan)
_NO_TIMEOUT_S = 86_400  # the worker's own timer is finer than the library's whole seconds


class UnreadableError(ValueError):
    """A text that is no mathematics to the grammar."""


class IncomparableError(ValueError):
    """Two values that sympy fails to compare; the message is the name of its error."""


class TooBigError(ValueError):
    """A value with more digits than are looked at."""


@functools.lru_cache(maxsize=4096)
def tree(latex: str, max_value_digits: int) -> sympy.Basic:
    """The expression that ``latex`` writes, unevaluated; raises ``UnreadableError`` or ``TooBigError``."""
    try:
        return _grown(latex, max_value_digits)
    except (MemoryError, TooBigError):
        raise
    except Exception as error:  # the grammar's actions, and sympy's on what they made, raise whatever they meet
        raise UnreadableError(latex) from error


def same_value(gold: sympy.Basic, answer: sympy.Basic) -> bool:
    """Whether two trees are one value, set, matrix or relation; raises ``IncomparableError`` where sympy fails."""
    if gold == answer:
        return True
    try:
        return _are_one(gold, answer)
    except MemoryError:
        raise
    except Exception as error:  # what a model wrote chooses the path through sympy, and so the error
        raise IncomparableError(type(error).__name__) from error


def _grown(latex: str, max_value_digits: int) -> sympy.Basic:
    parsed = latex2sympy(
        latex, is_real=True, convert_degrees=False, normalization_config=None, conversion_config=_CONVERSION
    )
    if isinstance(parsed, sympy.MatrixBase):
        parsed = parsed.as_immutable()
    if not isinstance(parsed, sympy.Basic):
        raise UnreadableError(latex)
    # Before anything is rebuilt, as sympy computes the numbers of what it builds.
    for node in sympy.preorder_traversal(parsed):
        if _digits(node) > max_value_digits:
            raise TooBigError(latex)
    return _exact(parsed)


def _are_one(gold: sympy.Basic, answer: sympy.Basic) -> bool:
    are_expressions = isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr)
    # To the library a sum with an infinity in it can equal anything.
    if are_expressions and (gold.has(*_NOT_FINITE) or answer.has(*_NOT_FINITE)):
        return any(gold.doit() == answer.doit() == infinity for infinity in (sympy.oo, -sympy.oo))
    if are_expressions and _are_apart(gold, answer):
        return False
    # The library compares solutions, and finds those of 1 = 2 in those of any equation that has none.
    are_equations = isinstance(gold, sympy.Eq) and isinstance(answer, sympy.Eq)
    if are_equations and not (gold.free_symbols and gold.free_symbols == answer.free_symbols):
        return False
    if isinstance(gold, sympy.Set) != isinstance(answer, sympy.Set):
        gold, answer = _as_set(gold), _as_set(answer)
    return bool(verify(gold, answer, strict=True, timeout_seconds=_NO_TIMEOUT_S, **_PRECISION))


def _exact(parsed: sympy.Basic) -> sympy.Basic:
    """The tree with rationals for decimals and the imaginary unit for i."""
    changes = {number: sympy.Rational(str(number)) for number in parsed.atoms(sympy.Float)}
    changes |= {symbol: sympy.I for symbol in parsed.free_symbols if symbol.name == "i"}
    return parsed.xreplace(changes) if changes else parsed


def _as_set(side: sympy.Basic) -> sympy.Basic:
    """The solutions of a relation in one variable; anything else as it is."""
    # The grammar has an "and" of its own, which keeps the order of what it joins.
    relation = sympy.And(*side.args) if type(side).__name__ == "And" else side
    if not isinstance(relation, sympy.core.relational.Relational | sympy.logic.boolalg.BooleanFunction):
        return side
    try:
        return relation.as_set()
    except (NotImplementedError, TypeError, AttributeError, ValueError):
        return side  # several variables, or not solvable


def _are_apart(gold: sympy.Basic, answer: sympy.Basic) -> bool:
    """Whether two expressions differ in number, at positive values of their variables: cheap, and never a maybe."""
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    point = {symbol: sympy.Rational(7 + 4 * k, 5 + k) for k, symbol in enumerate(symbols)}
    try:
        # Both evaluated first: the difference of what the parser left unevaluated can be slow to look at.
        left, right = (side.subs(point).doit().evalf(_DIGITS) for side in (gold, answer))
        difference = sympy.Abs(left - right)
        if difference.is_Float and difference > _SEPARATE * (1 + sympy.Abs(left)):
            return True
        # No digits of an irrational number are the number.
        return not symbols and {gold.is_rational, answer.is_rational} == {True, False}
    except (TypeError, ValueError, ArithmeticError, AttributeError, NotImplementedError):
        return False  # not a number at this point: the library decides


def _digits(node: sympy.Basic) -> float:
    """About how many decimal digits the value of a node has at most; a variable counts as one."""
    if isinstance(node, sympy.Integer | sympy.Rational):
        return max(int(node.p).bit_length(), int(node.q).bit_length()) * _LOG10_2
    if isinstance(node, sympy.Pow):
        return (1 + _digits(node.base)) * _magnitude(node.exp)
    if isinstance(node, sympy.exp):
        return _magnitude(node.args[0])
    if isinstance(node, sympy.factorial | sympy.functions.factorial2 | sympy.gamma):
        return _magnitude(node.args[0]) * (1 + _digits(node.args[0]))
    if isinstance(node, sympy.Mul):
        return sum(_digits(argument) for argument in node.args)
    return max((_digits(argument) for argument in node.args), default=1.0)


def _magnitude(node: sympy.Basic) -> float:
    """About how big the value of a node is at most."""
    if isinstance(node, sympy.Rational):
        return abs(node.p / node.q) if max(abs(node.p), node.q) < 10**300 else math.inf
    if not node.free_symbols and isinstance(node, sympy.Pow | sympy.Mul | sympy.factorial):
        digits = _digits(node)
        return 10.0**digits if digits < 300 else math.inf
    return max((_magnitude(argument) for argument in node.args), default=1.0)
