"""What every objective does, as plain data for tables and figures: F(r, A) as measured, and the formula as stated.

F comes from autograd of the surrogate, the formula from its docstring::

    F = <value>   if <condition>
        <value>   otherwise

    Loss: <text>
    Source: <text>

Values and conditions are Python expressions of r, A and the parameters; a condition on a parameter that is null never
holds.  What the docstring states is evaluated beside what is measured, so that a test can compare them.
"""

import ast
import inspect
import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

from klear_core.objectives.diagnostics import REFERENCE_BAND, gradient_weight
from klear_core.objectives.surrogates import check_params, get_surrogate

_LOWEST, _DOUBLINGS, _POINTS = 0.25, 6, 16  # ratios from 1/4 to 16, 16 to a doubling
_BESIDE = 1e-6  # relative distance of the two points that show a jump as one
_ARITHMETIC: dict[type[ast.operator], Any] = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}

Case = tuple[str, str]  # value, condition; the condition is "" in the last one


def gallery(presets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Data of ``klear_core.runs.gallery.Gallery`` for presets with name, surrogate, params and note.

    Objectives of one surrogate stand together, the one that is called like it first.  ConfigError for a preset whose
    parameters are not those of its surrogate.
    """
    checked = [dict(preset) | {"params": check_params(preset["surrogate"], preset["params"])} for preset in presets]
    grid = ratios([value for preset in checked for value in preset["params"].values() if value is not None])
    return {
        "ratios": grid,
        "band": list(REFERENCE_BAND),
        "objectives": [_objective(preset, grid) for preset in sorted(checked, key=_place)],
    }


def ratios(parameters: Sequence[float]) -> list[float]:
    """A logarithmic grid, with points on both sides of every place where one of the parameters may set a bound."""
    grid = {_LOWEST * 2 ** (k / _POINTS) for k in range(_DOUBLINGS * _POINTS + 1)}
    for value in parameters:
        for bound in (value, 1 + value, 1 - value):
            if _LOWEST < bound < _LOWEST * 2**_DOUBLINGS:
                grid |= {bound * (1 - _BESIDE), bound, bound * (1 + _BESIDE)}
    return sorted(grid)


def stated_cases(surrogate: str) -> list[Case]:
    """The cases of F as the docstring states them; [] where it states none."""
    lines = _docstring(surrogate)
    start = next((k for k, line in enumerate(lines) if line.startswith("F = ")), None)
    if start is None:
        return []
    cases = []
    for line in [lines[start].removeprefix("F = "), *lines[start + 1 :]]:
        if not line.strip():
            break
        value, _, condition = (part.strip() for part in line.strip().partition("  "))
        cases.append((value, condition.removeprefix("if ").replace("otherwise", "")))
    return cases


def with_numbers(cases: Sequence[Case], params: Mapping[str, float | None]) -> list[Case]:
    """The cases that can hold with these parameters, numbers in the place of names."""
    told = []
    for value, condition in cases:
        known = [_fold(text, params) for text in (value, condition or "True")]
        if None not in known:
            told.append((str(known[0]), str(known[1]) if condition else ""))
    return told


def stated_weight(cases: Sequence[Case], r: float, a: float) -> float:
    """F(r, A) by the cases of ``with_numbers``."""
    names = {"__builtins__": {}, "r": r, "A": a}
    return float(next(eval(value, names) for value, condition in cases if not condition or eval(condition, names)))


def _objective(preset: Mapping[str, Any], grid: Sequence[float]) -> dict[str, Any]:
    name, params = preset["surrogate"], preset["params"]
    curves = {
        side: gradient_weight(get_surrogate(name), params, grid, sign).tolist()
        for side, sign in (("positive", 1.0), ("negative", -1.0))
    }
    cases = stated_cases(name)
    return {
        "name": preset["name"],
        "surrogate": name,
        "note": preset["note"],
        "params": params,
        "formula": [list(case) for case in cases],
        "with_numbers": [list(case) for case in _reached(with_numbers(cases, params), grid)],
        "loss": _labelled(name, "Loss: "),
        "source": _labelled(name, "Source: "),
        **curves,
    }


def _place(preset: Mapping[str, Any]) -> tuple[Any, ...]:
    """By the year of the first paper, as arXiv numbers tell it; within a surrogate, null before numbers and large
    numbers before small ones.
    """
    name = preset["surrogate"]
    first = re.search(r"\d{4}\.\d{5}", _labelled(name, "Source: "))
    values = [(value is not None, -(value or 0.0)) for value in preset["params"].values()]
    return (first[0] if first else "", name, preset["name"] != name, values)


def _reached(cases: Sequence[Case], grid: Sequence[float]) -> list[Case]:
    """Without conditions that no ratio of the grid meets, such as r < 0."""
    names = [{"__builtins__": {}, "r": r, "A": a} for r in grid for a in (1.0, -1.0)]
    return [case for case in cases if not case[1] or any(eval(case[1], each) for each in names)]


class _Numbers(ast.NodeTransformer):
    """Puts numbers in the place of parameters and works out what has no unknown left."""

    def __init__(self, params: Mapping[str, float | None]) -> None:
        self._params = params
        self.has_null = False

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A parameter becomes its value."""
        if node.id not in self._params:
            return node
        value = self._params[node.id]
        self.has_null |= value is None
        return ast.Constant(_short(value or 0.0))

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Arithmetic of two numbers becomes a number."""
        self.generic_visit(node)
        if isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant):
            return ast.Constant(_short(_ARITHMETIC[type(node.op)](node.left.value, node.right.value)))
        return node


def _fold(expression: str, params: Mapping[str, float | None]) -> str | None:
    """The expression with numbers, None when it needs a parameter that is null."""
    numbers = _Numbers(params)
    folded = numbers.visit(ast.parse(expression, mode="eval"))
    return None if numbers.has_null else ast.unparse(folded)


def _short(value: float) -> float | int:
    """Without the digits that binary arithmetic adds."""
    rounded = float(f"{value:.12g}")
    return int(rounded) if rounded.is_integer() else rounded


def _docstring(surrogate: str) -> list[str]:
    return inspect.cleandoc(get_surrogate(surrogate).__doc__ or "").splitlines()


def _labelled(surrogate: str, label: str) -> str:
    return next((line.removeprefix(label) for line in _docstring(surrogate) if line.startswith(label)), "")
