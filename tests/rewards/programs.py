"""The corpus: programs that are honest, and programs that try everything, each with the verdict that it must get.

A file begins with comment lines ``# key: value``: ``class``, ``expect`` (verdicts that its tests may get), ``tries``
(for readers), and what it is asked: ``task`` S (read n, print 2n) or F (define add(a, b)), or ``inputs``, ``outputs``
and ``entry``.  ``tests`` bounds the number of tests, ``escaped`` says that the source has escapes, ``repeat`` how often
its last line is to be repeated.  Words like ``__TMP__`` are replaced by what a run has planted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from klear_core.records import CodeTests, TestKind
from klear_core.rewards.code import TestVerdict

FOLDER = Path(__file__).parent / "corpus"
CLASSES = ("controls", "early_exit", "comparison", "stealing", "resources", "host", "encoding")
_KEYS = {"class", "task", "tests", "expect", "tries", "inputs", "outputs", "entry", "escaped", "repeat"}
_TASKS = {
    "S": CodeTests(kind=TestKind.STDIN, entry="", inputs=("21\n", "-4\n"), outputs=("42\n", "-8\n")),
    "F": CodeTests(kind=TestKind.FUNCTION, entry="add", inputs=("[1, 2]", "[-5, 5]"), outputs=("3", "0")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One program of the corpus."""

    name: str  # class/file
    source: str
    tests: CodeTests
    expected: frozenset[TestVerdict]

    @property
    def is_control(self) -> bool:
        """Whether it is honest and must pass."""
        return self.expected == {TestVerdict.PASS}


def load(planted: Mapping[str, str]) -> list[Case]:
    """Every program, with the words of ``planted`` in place."""
    files = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".py", ".txt"))
    return [_case(path, planted) for path in files]


def header(text: str) -> dict[str, str]:
    """The keys of a file, up to its first line that is none."""
    found = {}
    for line in text.split("\n"):
        key, colon, value = line.removeprefix("# ").partition(": ")
        if not (line.startswith("# ") and colon and key in _KEYS):
            break
        found[key] = value
    return found


def _case(path: Path, planted: Mapping[str, str]) -> Case:
    text = path.read_text(encoding="utf-8")
    keys = header(text)
    source = text.split("\n", len(keys))[-1]
    if "escaped" in keys:
        source = source.rstrip("\n").encode().decode("unicode_escape")
    if "repeat" in keys:
        head, _, last = source.rstrip("\n").rpartition("\n")
        source = f"{head}\n{last * int(keys['repeat'])}"
    for word, value in planted.items():
        source = source.replace(word, value)
    count = int(keys.get("tests", 99))
    tests = _TASKS[keys["task"]] if "task" in keys else _own_tests(keys)
    return Case(
        name=f"{path.parent.name}/{path.stem}",
        source=source,
        tests=CodeTests(kind=tests.kind, entry=tests.entry, inputs=tests.inputs[:count], outputs=tests.outputs[:count]),
        expected=frozenset(TestVerdict[word] for word in keys["expect"].split("|")),
    )


def _own_tests(keys: Mapping[str, str]) -> CodeTests:
    entry = keys.get("entry", "")
    inputs = [each if isinstance(each, str) else json.dumps(each) for each in json.loads(keys["inputs"])]
    return CodeTests(
        kind=TestKind.FUNCTION if entry else TestKind.STDIN,
        entry=entry,
        inputs=tuple(inputs),
        outputs=tuple(json.loads(keys["outputs"])),
    )
