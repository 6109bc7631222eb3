"""LaTeX of tables: read back here by the few rules that LaTeX has for text."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.latex import latex, latex_table
from reports.markdown import Table, plain

COMMANDS = {
    **{"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textasciigrave": "`"},
    **{"textless": "<", "textgreater": ">", "textbar": "|"},
}
TOKEN = re.compile(r"\\(?P<name>[a-z]+)\{\}|\\(?P<sign>[{}$&#%_])|\$-\$|-\{\}|(?P<plain>[^\\{}$&#%_^~])")


def read(text):
    """The text that LaTeX prints; fails on anything that is a command, an alignment or a formula of its own."""
    told, end = "", 0
    while end < len(text):
        found = TOKEN.match(text, end)
        assert found, text[end:]
        end = found.end()
        told += COMMANDS[found["name"]] if found["name"] else found["sign"] or found["plain"] or "-"
    return told


# No emphasis: a star and a grave accent may be the report's own.
TEXTS = st.text(st.characters(max_codepoint=126, exclude_characters="*`\n"))


@given(TEXTS)
def test_any_text_reads_back_as_it_was(text):
    assert read(latex(text)) == plain(text)


@given(st.text())
def test_braces_are_balanced_and_only_letters_that_latex_has_are_left(text):
    told = latex(text)
    assert re.sub(r"\\[{}]", "", told).count("{") == re.sub(r"\\[{}]", "", told).count("}")
    assert max(map(ord, told), default=0) <= 0x17F


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("**0.5 [0.4, 0.6]**", r"\textbf{0.5 [0.4, 0.6]}"),
        ("**-0.5**", r"\textbf{$-$0.5}"),
        ("-0.004 [-0.006, +0.014]", r"$-$0.004 [$-$0.006, +0.014]"),
        ("GPPO-2 at 1e-05, 2026-01-02", "GPPO-2 at 1e-05, 2026-01-02"),
        ("— ± 2 ≥ 1 × 3", r"--- $\pm$ 2 $\geq$ 1 $\times$ 3"),
        ("`mix.json` has 5 % of x_1", r"\texttt{mix.json} has 5 \% of x\_1"),
        ("--seed", "-{}-seed"),
        ("é ß 漢 \u202e", "é ß [U+6F22] "),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
    ],
)
def test_what_a_report_shows_is_set_as_it_is_meant(text, told):
    assert latex(text) == told


def test_a_table_is_one_tabular_with_its_notes_below():
    rows = [["[x]", "0.5"], ["a & b", "—"]]
    table = Table(name="t", header=["arm", "p"], rows=rows, raw=pd.DataFrame(), notes=["50 % of x"])
    assert latex_table(table).splitlines() == [
        r"% needs \usepackage{booktabs} and \usepackage[T1]{fontenc}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"arm & p \\",
        r"\midrule",
        r"{}[x] & 0.5 \\",
        r"a \& b & --- \\",
        r"\bottomrule",
        r"\end{tabular}",
        "",
        r"\par{\footnotesize 50 \% of x\par}",
    ]


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), min_size=1, max_size=4))
def test_every_row_has_the_cells_of_the_header(rows):
    lines = latex_table(Table(name="t", header=["a", "b"], rows=rows, raw=pd.DataFrame())).splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert len(body) == len(rows)
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == 1
        assert line.endswith(r" \\")
        assert line[0] not in "[*"
