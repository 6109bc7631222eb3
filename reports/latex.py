r"""Tables as LaTeX that pdflatex takes with booktabs and the font encoding T1, whatever a cell holds."""

import re
import unicodedata
from collections.abc import Sequence

from reports.markdown import Table, numeric, plain

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{sign: f"\\{sign}" for sign in "{}$&#%_"},
    # Characters that are set up nowhere in a plain document, or only in some fonts.
    **{"—": "---", "–": "--", "\u00a0": "~", "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "−": "$-$"},
    **{"≥": r"$\geq$", "≤": r"$\leq$", "≠": r"$\neq$", "≈": r"$\approx$", "→": r"$\rightarrow$", "∞": r"$\infty$"},
    **{"α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "ε": r"$\epsilon$", "σ": r"$\sigma$", "π": r"$\pi$"},
}
_LETTERS = "ßæøåÆØÅŁłœŒðÐþÞ"
# Emphasis that a report sets in a table, the sign of a number, and the one hyphen of two that would make a dash.
_PARTS = re.compile(r"\*\*(?P<bold>.+?)\*\*|`(?P<code>[^`]+)`|(?P<minus>(?<![\w.)\]-])-(?=\d))|(?P<hyphen>-(?=-))")


def latex_table(table: Table) -> str:
    """A ``tabular`` with its notes below: numbers to the right, bold where the report sets it."""
    columns = ["r" if numeric([row[k] for row in table.rows]) else "l" for k in range(len(table.header))]
    lines = [
        "% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}",
        f"\\begin{{tabular}}{{{''.join(columns)}}}",
        "\\toprule",
    ]
    lines += [_row(table.header), "\\midrule", *map(_row, table.rows), "\\bottomrule", "\\end{tabular}"]
    lines += [f"\n\\par{{\\footnotesize {latex(note)}\\par}}" for note in table.notes]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    text = " & ".join(latex(cell) for cell in cells)
    # At the start of a row, the line break before it would take a bracket or a star as its own.
    return f"{'{}' if text[:1] in ('[', '*') else ''}{text} \\\\"


def latex(text: str) -> str:
    """Text as LaTeX prints it; ``**bold**`` and `` `code` `` become commands, letters of other scripts numbers."""
    told, end, flat = [], 0, plain(text)
    for found in _PARTS.finditer(flat):
        told.append(_literal(flat[end : found.start()]))
        end = found.end()
        if found["bold"]:
            told.append(f"\\textbf{{{latex(found['bold'])}}}")
        elif found["code"]:
            told.append(f"\\texttt{{{_literal(found['code'])}}}")
        else:
            told.append("$-$" if found["minus"] else "-{}")
    return "".join([*told, _literal(flat[end:])])


def _literal(text: str) -> str:
    return "".join(map(_character, text))


def _character(sign: str) -> str:
    # What the encoding T1 has: letters of ASCII, bare or with one accent, and a few more.
    known = sign.isascii() or sign in _LETTERS
    known = known or (sign <= "\u017f" and unicodedata.normalize("NFD", sign)[0].isascii())
    return _SPECIAL.get(sign) or (sign if known else f"[U+{ord(sign):04X}]")
