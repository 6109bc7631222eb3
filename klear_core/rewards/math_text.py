r"""From a response to its answer, and from LaTeX as models write it to one spelling. Text in, text out, linear time.

Nothing here decides what is equal; that is ``math_forms``.  What the spelling drops is what typesetting ignores
(spaces, \left, \dfrac against \frac) and the surroundings of an answer (dollar signs, a closing full stop).
"""

import re

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_INVISIBLE = dict.fromkeys([*range(9), *range(14, 32), 127, 0xAD, *range(0x200B, 0x2010), 0x2060, 0xFEFF, 0xE000], None)
_NEW_ROW = "\ue000"  # stands for \\ where a backslash begins a command; it is invisible, so no answer holds it
_SYMBOLS = {
    **dict.fromkeys("\u2212\u2013\u2014\u2010\u2011", "-"),
    **dict.fromkeys("\u00a0\u2009\u202f\u2002\u2003\u3000", " "),
    **{"×": r"\times ", "·": r"\cdot ", "÷": r"\div ", "π": r"\pi ", "∞": r"\infty ", "±": r"\pm ", "°": r"^\circ "},
    **{"≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "∅": r"\emptyset ", "∈": r"\in "},
    **{"<=": r"\le ", ">=": r"\ge "},
    **{"²": "^{2}", "³": "^{3}", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "√": r"\sqrt"},
    **{"∫": r"\int ", "∑": r"\sum ", "∏": r"\prod ", "∖": r"\setminus ", "％": r"\%", "ℝ": r"\mathbb{R}"},
}


def _command(names: str) -> str:
    return rf"\\(?:{names})(?![a-zA-Z])"


_TYPE_FACES = r"text(?:bf|it|rm|sf|tt|normal)?|mbox|math(?:rm|bf|it|sf)|operatorname\*?|bm|boldsymbol"
_FUNCTIONS = "sin|cos|tan|cot|sec|csc|ln|log|exp|arcsin|arccos|arctan|sinh|cosh|tanh|gcd|max|min"
# In this order: what comes later reads what came before.
_SPELLINGS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (_command("[dtc]frac"), r"\\frac"),
        (_command("[dt]binom"), r"\\binom"),
        (_command("left|right|middle") + r"\s*\.?", ""),
        (_command("[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits|nobreak"), ""),
        (_command("lbrace"), r"\\{"),
        (_command("rbrace"), r"\\}"),
        (_command("leq|leqslant"), r"\\le "),
        (_command("geq|geqslant"), r"\\ge "),
        (_command("neq"), r"\\ne "),
        (_command("varnothing|O") + r"|\\\{\s*\\\}", r"\\emptyset "),
        (_command("langle|lparen"), "("),
        (_command("rangle|rparen"), ")"),
        (_command("lbrack"), "["),
        (_command("rbrack"), "]"),
        (_command("backslash|smallsetminus"), r"\\setminus "),
        (_command("lg"), r"\\log_{10}"),
        (rf"\^\s*(?:\{{\s*\\(?:circ|degree)\s*\}}|{_command('circ')})|{_command('degree')}", r"^\\circ "),
        (rf"\\(?:{_TYPE_FACES})\s*(?=\{{)", r"\\text"),
        (r"\\(?:mathrm|rm|mathbf|bf)\s+([a-zA-Z])(?![a-zA-Z])", r"\1"),
        # Upright e, i and d are constants, and letters that follow nothing are symbols; after a value they are units.
        (r"\\text\{([eid])\}", r"\1"),
        (r"(^|[-+=(,{\[&])\s*\\text\{\s*\(?([a-zA-Z])\)?\s*\}", r"\1\2"),
        (rf"\\text\{{({_FUNCTIONS})\}}", r"\\\1 "),
        # Numbers are numbers in any type; what follows one is its unit, or the ending of an ordinal.
        (r"^\s*\\text\{\s*([-+]?\d[\d.,]*)\s*\}", r"\1"),
        (r"^\s*\\text\{\s*([-+]?\d[\d.,]*)\s*([a-zA-Z][a-zA-Z ]*)\}$", r"\1\\text{\2}"),
        (r"(?<=\d)\^\{?\\text\{(?:st|nd|rd|th)\}\}?", ""),
    )
]
_GROUP_SPACES = re.compile(r"(?<=\d)(?:\\[,!;: ]|\{,\}|,\\[!,]|~|\s)+(?=\d{3}(?!\d))")
_SPACES = re.compile(r"\\(?:[,!;:>\s]|quad(?![a-zA-Z])|qquad(?![a-zA-Z])|thinspace(?![a-zA-Z])|hspace\{[^{}]*\})|~|\s+")
_FRACTION = re.compile(r"\\(frac|binom|sqrt)(?![a-zA-Z])")
_TOKEN = re.compile(r"\s*(\\[a-zA-Z]+|\\.|.)", re.DOTALL)
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\{(\d+)\}")
_MIXED = re.compile(r"(^|[-+(,=\[] ?|\{)(\d+) ?\\frac\{(\d+)\}\{(\d+)\}")
_PLAIN_MIXED = re.compile(r"^(-?)(\d+) (\d+)/(\d+)$")
_EXPONENT_NUMBER = re.compile(r"(?:\^|\d[eE])[\s{(+-]*(\d+)")
_EXPONENT = re.compile(r"(?<![a-zA-Z\d.])(\d+(?:\.\d*)?|\.\d+)[eE]([-+]?\d+)(?![a-zA-Z\d.])")


def last_box(text: str) -> str | None:
    r"""Content of the last \boxed{...} after the last </think>; None without one, and for one that is not closed."""
    text = text.rpartition("</think>")[2]
    start = -1
    for match in _BOX.finditer(text):
        start = match.end()
    if start < 0:
        return None
    depth, at = 1, start
    while at < len(text):
        if text[at] == "\\":
            at += 1  # the next character is escaped: \{ opens nothing
        elif text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return text[start:at].strip()
        at += 1
    return None


def nesting(text: str) -> int:
    """The greatest depth of brackets of any kind."""
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest


def power_tower(text: str) -> int:
    """How many powers stand upon each other at most: 1 for x^2, 2 for 9^{9^9}, 3 for e^{e^{x^2}}."""
    text = "".join(text.split())
    groups: list[int] = []  # of each open group: how many powers it adds to what stands in it
    below = above = tallest = at = 0
    while at < len(text):
        if text[at] == "^":
            above += 1
            tallest = max(tallest, below + above)
            if text[at + 1 : at + 2] in ("{", "("):
                groups.append(above)
                below, above = below + above, 0
            at += 1  # past the exponent's first character
        elif text[at] in "{(":
            groups.append(0)
            above = 0
        elif text[at] in "})":
            above = groups.pop() if groups else 0
            below -= above
        elif not text[at].isdigit():
            above = 0
        at += 1
    return tallest


def exponent_digits(text: str) -> int:
    """Digits of the longest number that stands in or right behind an exponent."""
    return max((len(match[1]) for match in _EXPONENT_NUMBER.finditer(text)), default=0)


def spelled(answer: str) -> str:
    """``answer`` in the one spelling that everything after this reads."""
    text = answer.translate(_INVISIBLE).replace("\\\\", _NEW_ROW)
    for symbol, latex in _SYMBOLS.items():
        text = text.replace(symbol, latex)
    text = _SPACES.sub(" ", _GROUP_SPACES.sub("", text))
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    text = _SPACES.sub(" ", text).strip()
    text = _unwrapped(text)
    text = _with_braces(text)
    text = _REPEATING.sub(_repeating, text)
    text = _PLAIN_MIXED.sub(r"\1(\2+\\frac{\3}{\4})", text)
    text = _MIXED.sub(r"\1(\2+\\frac{\3}{\4})", text)
    text = _EXPONENT.sub(r"\1\\times 10^{\2}", text)
    return text.replace(_NEW_ROW, r"\\")


def _unwrapped(text: str) -> str:
    """Without what surrounds an answer: signs of maths mode, a leading "=", full stops, an outer pair of braces."""
    before = None
    while text != before:
        before = text
        text = re.sub(r"^(?:=|\\(?:approx|therefore|implies|Rightarrow)(?![a-zA-Z]))", "", text).strip()
        text = re.sub(r"(?:(?<!\\)[.,;:]|\ue000)\s*$", "", text).strip()
        for left, right in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
            if len(text) > len(left + right) and text.startswith(left) and text.endswith(right):
                text = text[len(left) : -len(right)].strip()
        if text.startswith("{") and group_end(text, 0) == len(text):
            text = text[1:-1].strip()
    return text


def group_end(text: str, start: int) -> int:
    """Where the brace group that opens at ``start`` ends, past its brace; -1 when it is not closed."""
    depth, at = 0, start
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return -1


def _with_braces(text: str) -> str:
    r"""Braces around the arguments of \frac, \binom and \sqrt that have none, as in \frac12 and \sqrt2."""
    at = 0
    while (match := _FRACTION.search(text, at)) is not None:
        head, rest = text[: match.end()], text[match.end() :]
        if match[1] == "sqrt" and (degree := re.match(r"\s*\[[^\[\]]*\]", rest)):
            head, rest = head + degree[0].strip(), rest[degree.end() :]
        for _ in range(1 if match[1] == "sqrt" else 2):
            rest = rest.lstrip()
            if rest.startswith("{"):
                end = group_end(rest, 0)
                if end < 0:
                    return text
                head, rest = head + rest[:end], rest[end:]
            elif token := _TOKEN.match(rest):
                head, rest = head + "{" + token[1] + "}", rest[token.end() :]
        at = match.end()  # arguments are looked at in their turn
        if text[: match.start()].endswith("^"):  # x^\\frac12 takes the whole fraction up
            head, at = f"{head[: match.start()]}{{{head[match.start() :]}}}", at + 1
        text = head + rest
    return text


def _repeating(match: re.Match[str]) -> str:
    whole, fixed, period = match[1] or "0", match[2], match[3]
    below = 10 ** len(fixed) * (10 ** len(period) - 1)
    above = int(whole + fixed + period) - int(whole + fixed)
    return rf"\frac{{{above}}}{{{below}}}"
