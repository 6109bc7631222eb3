"""The tests of a program in the format of Klear's code data: a JSON text, read into inputs and expected outputs."""

import ast
import json
from typing import Any

from klear_core.errors import DataError
from klear_core.records import CodeTests, TestKind


class UnsupportedTestsError(DataError):
    """Tests of a known form whose content is not understood, so that no program can be graded by them."""


def read_tests(ground_truth: str) -> CodeTests:
    """Tests in the format of Klear's code data: JSON with ``inputs`` and ``outputs``, ``functional`` or ``pytest``.

    ``inputs`` and ``outputs`` are lists of texts for a whole program; with ``fn_name`` they are lists of arguments and
    of values.  ``functional`` is Python: assertions that a function's calls equal literals.  They are taken apart into
    calls and values here, because assertions that run beside the program are its to replace.  DataError when a test
    has another form, so that nothing is graded by a test that was not understood: UnsupportedTestsError for ``pytest``,
    which is a program of its own, and for other tests that are well-formed but hold what cannot be taken apart.
    """
    try:
        raw = json.loads(ground_truth)
    except (ValueError, RecursionError) as error:
        raise DataError(f"tests are no JSON: {error}") from None
    if not isinstance(raw, dict):
        raise DataError("tests are no JSON object; allowed: one with inputs and outputs, or with functional")
    if "pytest" in raw:
        raise UnsupportedTestsError("tests are pytest; allowed: inputs and outputs, or functional")
    if "functional" in raw:
        return _from_assertions(raw["functional"])
    inputs, outputs = raw.get("inputs"), raw.get("outputs")
    if not (isinstance(inputs, list) and isinstance(outputs, list) and 0 < len(inputs) == len(outputs)):
        raise DataError("tests need inputs and outputs, lists of one length, or functional")
    if (entry := raw.get("fn_name")) is None:
        if not all(isinstance(text, str) for text in [*inputs, *outputs]):
            raise UnsupportedTestsError("inputs and outputs of a whole program are texts")
        return CodeTests(kind=TestKind.STDIN, entry="", inputs=tuple(inputs), outputs=tuple(outputs))
    if not isinstance(entry, str) or not entry.isidentifier():
        raise DataError(f"fn_name is {entry!r}; allowed: the name of a function")
    arguments = tuple(_arguments(each) for each in inputs)
    return CodeTests(kind=TestKind.FUNCTION, entry=entry, inputs=arguments, outputs=tuple(map(_value, outputs)))


def _arguments(given: Any) -> str:
    """A JSON list of arguments: given as one, or as a text with one JSON value a line."""
    if isinstance(given, list):
        return json.dumps(given)
    lines = given.split("\n") if isinstance(given, str) else []
    if not lines or not all(map(_is_json, lines)):
        found = f"{str(given)[:80]!r}"
        raise UnsupportedTestsError(f"arguments are {found}; allowed: a list, or a text with a JSON value a line")
    return f"[{', '.join(lines)}]"


def _value(given: Any) -> str:
    """The JSON text of an expected value: given as one, or as a value that is no text."""
    if isinstance(given, str) and _is_json(given):
        return given
    return json.dumps(given)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _from_assertions(source: Any) -> CodeTests:
    """Calls and values of assertions such as ``assert f(1, 2) == 3``, also inside ``def check(candidate)``."""
    if not isinstance(source, str):
        raise DataError("functional is no text and so no Python")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnsupportedTestsError(f"functional is no Python: {error}") from None
    aliases = _aliases(tree)
    calls = [_assertion(node, aliases) for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    entries = {entry for entry, _, _ in calls}
    if len(entries) != 1:
        told = sorted(entries) or "nothing"
        raise UnsupportedTestsError(f"functional asserts about {told}; allowed: one function")
    inputs, outputs = tuple(call[1] for call in calls), tuple(call[2] for call in calls)
    return CodeTests(kind=TestKind.FUNCTION, entry=entries.pop(), inputs=inputs, outputs=outputs)


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Parameter of ``check`` -> the function, or the method of Solution, that it is called with."""
    checks = {
        node.name: node.args.args[0].arg for node in tree.body if isinstance(node, ast.FunctionDef) and node.args.args
    }
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in checks and node.args:
            target = node.args[0]
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            found[checks[node.func.id]] = name
    return found


def _assertion(node: ast.Assert, aliases: dict[str, str]) -> tuple[str, str, str]:
    """Function, arguments and expected value of one assertion."""
    test: Any = node.test
    expected = True
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, expected = test.operand, False
    value: Any = ast.Constant(expected)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is) and expected:
        test, value = (test.left, test.comparators[0])
        if not isinstance(test, ast.Call):
            test, value = value, test
    name = _called(test)
    try:
        arguments = json.dumps([ast.literal_eval(argument) for argument in getattr(test, "args", ())])
        told = json.dumps(ast.literal_eval(value))
    except (ValueError, TypeError, RecursionError, MemoryError):
        name = ""
    if not name:
        raise UnsupportedTestsError(f"functional has {_source(node)!r}; allowed: assert f(literals) == literal")
    return aliases.get(name, name), arguments, told


def _called(test: ast.expr) -> str:
    """The function of ``f(...)``, the method of ``x.f(...)`` and ``Solution().f(...)``, "" for any other form."""
    if not isinstance(test, ast.Call) or test.keywords:
        return ""
    if isinstance(test.func, ast.Attribute):
        owner = test.func.value
        if isinstance(owner, ast.Call) and not owner.args and not owner.keywords:
            owner = owner.func
        return test.func.attr if isinstance(owner, ast.Name) else ""
    return test.func.id if isinstance(test.func, ast.Name) else ""


def _source(node: ast.AST) -> str:
    try:
        return ast.unparse(node)[:80]
    except RecursionError:
        return "an assertion that is nested too deeply"
