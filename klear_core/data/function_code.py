"""Functions written in Python, and the closed set of tokens that their prompts and programs are made of.

A response has its program in a fence behind a short reasoning::

    <think>pieces=2</think>
    ```python
    def f(x):
        if x < 3:
            x = x * 2
            x = x + 4
        else:
            x = x * x
        return x
    ```

Tokens are whole fragments of code and no letters, so neither a loop nor an import can be written with them.
"""

from klear_core.data.functions import COUNTED_WORDS, HEAD, PLAIN_WORDS, Function, Operation

ENTRY = "f"
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
_RESTATED, _FENCE_OPEN, _FENCE_CLOSE, _DEFINE, _RETURN = (
    "pieces=",
    "\n```python",
    "\n```",
    "\ndef f(x):",
    "\n    return x",
)
_IF, _ELIF, _ELSE, _LESS, _LESS_EQUAL = "\n    if x", "\n    elif x", "\n    else:", " < ", " <= "
_SHALLOW, _DEEP = "\n    ", "\n        "
# Word -> code before and after its number; a word without one is all in the first part.
_CODE = {
    "double": ("x = x * 2", ""),
    "negate": ("x = -x", ""),
    "square": ("x = x * x", ""),
    "add": ("x = x + ", ""),
    "sub": ("x = x - ", ""),
    "flip": ("x = -x + ", ""),
    "cap": ("x = min(x, ", ")"),
    "lift": ("x = max(x, ", ")"),
    "mod": ("x = x % ", ""),
    "div": ("x = x // ", ""),
}
_DIGITS = tuple("0123456789")
_IDLE = "x = x + 0"


def write_response(function: Function, *, restated: int | None = None, idle: bool = False) -> str:
    """The response that writes a function as a program.

    Its reasoning restates the number of pieces, or says ``restated`` in its place.  With ``idle`` a line that does
    nothing stands before every operation.
    """
    pieces = len(function) if restated is None else restated
    return _reasoned(f"{_RESTATED}{pieces}", function, idle)


def write_without_reasoning(function: Function) -> str:
    """The response with nothing between its tags."""
    return _reasoned("", function, False)


def _reasoned(reasoning: str, function: Function, idle: bool) -> str:
    return f"{THINK_OPEN}{reasoning}{THINK_CLOSE}{_FENCE_OPEN}{_program(function, idle)}{_FENCE_CLOSE}"


def _program(function: Function, idle: bool) -> str:
    if len(function) == 1:
        return _DEFINE + _lines(function[0].operations, _SHALLOW, idle) + _RETURN
    text = _DEFINE
    for k, piece in enumerate(function):
        compared = _LESS_EQUAL if piece.inclusive else _LESS
        text += _ELSE if piece.below is None else f"{_ELIF if k else _IF}{compared}{piece.below}:"
        text += _lines(piece.operations, _DEEP, idle)
    return text + _RETURN


def _lines(operations: tuple[Operation, ...], indent: str, idle: bool) -> str:
    text = ""
    for operation in operations:
        before, after = _CODE[operation.word]
        text += f"{indent}{_IDLE}" if idle else ""
        text += f"{indent}{before}{'' if operation.constant is None else operation.constant}{after}"
    return text


def tokens() -> tuple[str, ...]:
    """Every token of prompts and responses but the two tags, each once."""
    conditions = [head + compared for head in (_IF, _ELIF) for compared in (_LESS, _LESS_EQUAL)]
    code = [indent + before for indent in (_SHALLOW, _DEEP) for before, _ in _CODE.values()]
    prompt = [HEAD, " x<", " else:", ",", ";"]
    words = [*(f" {word}" for word in PLAIN_WORDS), *(f" {word} " for word in COUNTED_WORDS)]
    frame = [_RESTATED, _FENCE_OPEN, _DEFINE, _ELSE, ")", _RETURN, _FENCE_CLOSE]
    thresholds = [f"{digit}:" for digit in _DIGITS]
    return (*_DIGITS, *thresholds, *prompt, *words, *frame, *conditions, *code)


def longest_prompt(max_pieces: int, max_operations: int) -> int:
    """Tokens of the longest prompt of functions of that many pieces, with that many operations a piece."""
    operations = 3 * max_operations - 1  # word and number, with commas between
    condition = 2  # x<, and the threshold with its colon
    return 1 + (max_pieces - 1) * (condition + operations + 1) + (max_pieces > 1) + operations
