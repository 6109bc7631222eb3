"""Code reward: what each test of a program says, and the share of tests that it passes."""

import ast
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from klear_core.errors import DataError
from klear_core.records import CodeTests, TestKind
from klear_core.rewards.outputs import is_value, same_text, same_value
from klear_core.rewards.sandbox.limits import INFRASTRUCTURE, Ended, Program, TestRun
from klear_core.rewards.sandbox.pool import Sandbox

_BATCH = 256  # programs whose outputs are in memory at once
_CACHED = 200_000  # programs; a set of verdicts takes some 300 bytes
_BLOCK = re.compile(
    r"^[ \t]*```[ \t]*(?:python|py|python3)?[ \t]*\r?\n(.*?)^[ \t]*```[ \t]*\r?$",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)


class TestVerdict(StrEnum):
    """What one test says about a program; the value is its letter in records."""

    PASS = "P"
    WRONG = "W"
    RUNTIME_ERROR = "R"  # an exception, an exit code, a signal, too many threads, a value that is no plain data
    TIMEOUT = "T"  # CPU limit, or asleep at the wall limit; also the tests after too many timeouts
    MEMORY = "M"
    OUTPUT_LIMIT = "O"
    INFRASTRUCTURE = "I"  # the grading failed twice; says nothing about the program


_OF_ENDED = {
    Ended.FAILED: TestVerdict.RUNTIME_ERROR,
    Ended.THREADS: TestVerdict.RUNTIME_ERROR,
    Ended.CPU: TestVerdict.TIMEOUT,
    Ended.ASLEEP: TestVerdict.TIMEOUT,
    Ended.NOT_RUN: TestVerdict.TIMEOUT,
    Ended.MEMORY: TestVerdict.MEMORY,
    Ended.OUTPUT: TestVerdict.OUTPUT_LIMIT,
    **dict.fromkeys(INFRASTRUCTURE, TestVerdict.INFRASTRUCTURE),
}

Verdicts = tuple[TestVerdict, ...]


def judge(run: TestRun, expected: str, kind: TestKind) -> TestVerdict:
    """The verdict of one test; only here does an output meet what was expected."""
    if run.ended is not Ended.ANSWERED:
        return _OF_ENDED[run.ended]
    same = same_text if kind is TestKind.STDIN else same_value
    return TestVerdict.PASS if same(run.output, expected) else TestVerdict.WRONG


def pass_rate(verdicts: Verdicts) -> float:
    """Share of tests passed: the p of the soft reward."""
    return sum(verdict is TestVerdict.PASS for verdict in verdicts) / len(verdicts)


def extract_program(text: str) -> str:
    """The last fenced block of ``text``, "" when there is none."""
    blocks = _BLOCK.findall(text)
    return str(blocks[-1]) if blocks else ""


class CodeJudge:
    """Runs programs against their tests in a sandbox; the same program at the same tests is run once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.runs = 0  # programs that were run, for the records
        self._cache: OrderedDict[bytes, Verdicts] = OrderedDict()

    def judge_all(self, submissions: Sequence[tuple[str, CodeTests]]) -> list[Verdicts]:
        """Verdicts of every program's tests, in order. What the machine has failed is not remembered."""
        keys = [_key(source, tests) for source, tests in submissions]
        unknown = {key: k for k, key in enumerate(keys) if key not in self._cache}
        fresh: dict[bytes, Verdicts] = {}
        items = [*unknown.items()]
        # A batch at a time, as outputs are held until they are judged, and programs may print up to their limit.
        for at in range(0, len(items), _BATCH):
            batch = {key: submissions[k] for key, k in items[at : at + _BATCH]}
            fresh |= self._judge_batch(batch)
        found = [fresh[key] if key in fresh else self._cache[key] for key in keys]
        for key, verdicts in fresh.items():
            if TestVerdict.INFRASTRUCTURE not in verdicts:
                self._cache[key] = verdicts
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return found

    def _judge_batch(self, batch: dict[bytes, tuple[str, CodeTests]]) -> dict[bytes, Verdicts]:
        answers = self.sandbox.run_all([_program(source, tests) for source, tests in batch.values()])
        self.runs += len(batch)
        return {
            key: tuple(judge(run, expected, tests.kind) for run, expected in zip(runs, tests.outputs, strict=True))
            for (key, (_, tests)), runs in zip(batch.items(), answers, strict=True)
        }


def read_tests(ground_truth: str) -> CodeTests:
    """Tests in the format of Klear's code data: a JSON object with ``inputs`` and ``outputs``, or with ``functional``.

    ``inputs`` and ``outputs`` are lists of texts for a whole program; with ``fn_name`` they are lists of arguments and
    of values.  ``functional`` is Python: assertions that a function's calls equal literals.  They are taken apart into
    calls and values here, because assertions that run beside the program are its to replace.  DataError when a test
    has another form, so that nothing is graded by a test that was not understood.
    """
    try:
        raw = json.loads(ground_truth)
    except (ValueError, RecursionError) as error:
        raise DataError(f"tests are no JSON: {error}") from None
    if not isinstance(raw, dict):
        raise DataError("tests are no JSON object; allowed: one with inputs and outputs, or with functional")
    if "functional" in raw:
        return _from_assertions(raw["functional"])
    inputs, outputs = raw.get("inputs"), raw.get("outputs")
    if not (isinstance(inputs, list) and isinstance(outputs, list) and 0 < len(inputs) == len(outputs)):
        raise DataError("tests need inputs and outputs, lists of one length, or functional")
    if (entry := raw.get("fn_name")) is None:
        if not all(isinstance(text, str) for text in [*inputs, *outputs]):
            raise DataError("inputs and outputs of a whole program are texts")
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
    if not lines or not all(map(is_value, lines)):
        raise DataError(f"arguments are {str(given)[:80]!r}; allowed: a list, or a text with a JSON value a line")
    return f"[{', '.join(lines)}]"


def _value(given: Any) -> str:
    """The JSON text of an expected value: given as one, or as a value that is no text."""
    if isinstance(given, str) and is_value(given):
        return given
    return json.dumps(given)


def _from_assertions(source: Any) -> CodeTests:
    """Calls and values of assertions such as ``assert f(1, 2) == 3``, also inside ``def check(candidate)``."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise DataError(f"functional is no Python: {error}") from None
    aliases = _aliases(tree)
    calls = [_assertion(node, aliases) for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    entries = {entry for entry, _, _ in calls}
    if len(entries) != 1:
        raise DataError(f"functional asserts about {sorted(entries) or 'nothing'}; allowed: one function")
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
        raise DataError(f"functional has {_source(node)!r}; allowed: assert f(literals) == literal")
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


def _program(source: str, tests: CodeTests) -> Program:
    return Program(source=source, entry=tests.entry, inputs=tests.inputs)


def _key(source: str, tests: CodeTests) -> bytes:
    parts = [source, tests.kind, tests.entry, *tests.inputs, *tests.outputs]
    return hashlib.sha256(json.dumps(parts).encode()).digest()
