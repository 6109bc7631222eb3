"""Pages of reports, read back with the standard library's parser."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.html import render_page
from reports.markdown import Table, escape, plain

VOID = {"meta", "img", "br", "hr"}


class Page(HTMLParser):
    """Tags with their attributes in order, and the text of every cell, heading and paragraph."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        self.texts.append((tag, ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.texts:
            tag, text = self.texts[-1]
            self.texts[-1] = (tag, text + data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def told(self, tag):
        return [text.strip() for name, text in self.texts if name == tag]


def page(markdown, figures=None):
    return Page(render_page(markdown, title="T", figures=figures or {}))


FRAME = {name for name, _ in page("").tags}


def test_the_page_asks_for_nothing_and_its_policy_allows_its_own_script_alone():
    text = render_page("# T\n\nx", title="a <b>", figures={})
    found = Page(text)
    assert "<title>a &lt;b&gt;</title>" in text
    (policy,) = [meta["content"] for meta in found.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    (script,) = re.findall("<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert not [tag for tag, attrs in found.tags if {"src", "srcset", "onclick", "onload"} & attrs.keys()]
    assert not found.all("link")
    assert "url(" not in text
    assert "@import" not in text
    for name in ("localStorage", "sessionStorage", "cookie", "fetch(", "innerHTML", "eval("):
        assert name not in script


# Stars, low lines, brackets and grave accents may be the report's own emphasis and links.
QUIET = st.text(st.characters(exclude_characters="*_`[]!\\", exclude_categories=["Cs"]))


@given(QUIET)
def test_any_text_in_a_cell_is_shown_as_it_is_and_makes_no_tag(text):
    table = Table(name="t", header=[f"h{text}"], rows=[[f"c{text}"]], raw=pd.DataFrame(), notes=[f"n{text}"])
    found = page(table.markdown())
    assert {tag for tag, _ in found.tags} - FRAME == {"div", "table", "thead", "tbody", "tr", "th", "td", "p"}
    for tag, mark in (("th", "h"), ("td", "c"), ("p", "n")):
        assert "".join(found.told(tag)).split() == f"{mark}{plain(text)}".split()


@pytest.mark.parametrize(
    "text",
    [
        *("##", "# a", "- a", "-", "+ a", "* a", "1. a", "12) a", "---", "* * *", "===", "```", "~~~ a", "     a"),
        "[1]: a",
    ],
)
def test_signs_that_begin_a_block_are_shown_as_signs(text):
    found = page(f"- {escape(text)}\n\n{escape(text)}\n\n[1]\n")
    assert {tag for tag, _ in found.tags} - FRAME == {"li", "p"}
    for tag in ("li", "p"):
        assert text.strip() in "".join(found.told(tag))


@given(st.text())
def test_no_text_at_all_makes_a_tag_beyond_emphasis_or_an_attribute(text):
    found = page(f"# {escape(text)}\n\n- {escape(text)}\n\n| a |\n| - |\n| {escape(text)} |\n")
    allowed = FRAME | {"h1", "ul", "li", "div", "table", "thead", "tbody", "tr", "th", "td", "em", "strong", "code"}
    assert {tag for tag, _ in found.tags} <= allowed
    given_by_page = {"id", "class", "tabindex", "scope"}
    assert all(attrs.keys() <= given_by_page for tag, attrs in found.tags if tag not in FRAME)


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "x <img src=x onerror=alert(1)> y",
        "[a](javascript:alert(1))",
        "[a](data:text/html,x)",
        "[a](file:///etc/passwd)",
        "[a](//e.example/x)",
        "[a](&#106;avascript:alert(1))",
        "<javascript:alert(1)>",
        "![a](http://e.example/x.png)",
        "![a](data:image/svg+xml;base64,AAAA)",
        "[a]: javascript:alert(1)\n\n[a]",
    ],
)
def test_raw_markup_that_no_escape_caught_is_inert(markdown):
    found = page(markdown)
    assert all(attrs.keys() <= {"rel"} for attrs in found.all("a"))
    assert not found.all("img")
    assert len(found.all("script")) == 1


def test_figures_are_inside_with_their_captions(tmp_path):
    (tmp_path / "f.svg").write_bytes(b"<svg/>")
    (tmp_path / "g.png").write_bytes(b"\x89PNG")
    figures = {"f.png": tmp_path / "f.svg", "g.png": tmp_path / "g.png"}
    markdown = '![What it "is".](f.png)\n\nWhat it "is".\n\n![Other.](g.png)\n\nText.\n\n![Lost.](h.png)\n'
    found = page(markdown, figures)
    assert [image["src"] for image in found.all("img")] == [
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(),
        "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode(),
    ]
    assert [image["alt"] for image in found.all("img")] == ['What it "is".', "Other."]
    assert found.told("figcaption") == ['What it "is".']
    assert "".join(found.told("p")) == "Text."
    assert "[Lost.]" in "".join(found.told("figure"))


def test_contents_lead_to_every_heading_and_anchors_are_stable_and_unique():
    found = page("# Top\n\n## What it cost\n\n### A|B\n\n## What it cost\n\n## `x_1` and <y>\n\n## ?!\n")
    anchors = [attrs["id"] for tag, attrs in found.tags if re.fullmatch(r"h\d", tag)]
    assert anchors == ["top", "what-it-cost", "ab", "what-it-cost-1", "x_1-and-y", "section"]
    assert [link["href"] for link in found.all("a")] == [f"#{name}" for name in anchors[1:]]
    assert found.told("a") == ["What it cost", "A|B", "What it cost", "x_1 and <y>", "?!"]


def test_links_lead_to_the_web_to_files_beside_and_from_a_text_to_its_page():
    found = page("[a](https://arxiv.org/abs/2508.07629) [b](t.csv) [c](../../controls/report/report.md#x) [d](#e)")
    targets = ["https://arxiv.org/abs/2508.07629", "t.csv", "../../controls/report/report.html#x", "#e"]
    assert [link["href"] for link in found.all("a")] == targets


def test_columns_of_numbers_stand_at_the_right_and_no_cell_has_a_style():
    rows = [["a", "**0.5 [0.4, 0.6]**", "x 1"], ["b", "—", "2"], ["c", "— (not run)", "3"]]
    table = Table(name="t", header=["arm", "score", "note"], rows=rows, raw=pd.DataFrame())
    found = page(table.markdown())
    assert [cell.get("class") for cell in found.all("td")] == [
        *([None, "number", None] * 2),
        *(None, "number words", None),
    ]
    assert [cell.get("class") for cell in found.all("th")] == [None, "number", None]
    assert not [tag for tag, attrs in found.tags if "style" in attrs]
