"""Files and functions stay small enough to read at once, and the sweeps folder holds values only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("klear_core", "ablations", "reports", "sweeps", "tests")
MAX_FILE_LINES = 299
MAX_FUNCTION_LINES = 60


def too_long(path: str, source: str) -> list[str]:
    """The file and the functions of it that pass a limit, one line each; decorators count as part of a function."""
    found = []
    if (lines := len(source.splitlines())) > MAX_FILE_LINES:
        found.append(f"{path} has {lines} lines; allowed: {MAX_FILE_LINES}")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if (lines := (node.end_lineno or first) - first + 1) > MAX_FUNCTION_LINES:
                found.append(f"{path}:{first} {node.name} has {lines} lines; allowed: {MAX_FUNCTION_LINES}")
    return found


def test_no_file_and_no_function_is_too_long():
    found = []
    for file in sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")):
        found += too_long(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))
    assert found == []


def test_sweeps_holds_values_only():
    files = [file for file in (ROOT / "sweeps").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert files
    assert [str(file) for file in files if file.suffix != ".yaml" and file.name != "__init__.py"] == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("x = 1\n" * 299, 0),
        ("x = 1\n" * 300, 1),
        ("def f():\n" + "    x = 1\n" * 59, 0),
        ("def f():\n" + "    x = 1\n" * 60, 1),
        ("@wrap\ndef f():\n" + "    x = 1\n" * 59, 1),
        ("class C:\n    async def f(self):\n" + "        x = 1\n" * 60, 1),
    ],
)
def test_what_is_too_long_is_found(source, count):
    assert len(too_long("example.py", source)) == count
