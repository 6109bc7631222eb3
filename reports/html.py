"""Markdown as one HTML file that loads nothing: figures inside, tables that sort, light and dark."""

import base64
import hashlib
import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from reports.markdown import DASH, numeric, plain

_HERE = Path(__file__).resolve().parent
_KINDS = {".svg": "image/svg+xml", ".png": "image/png"}
_SAFE_LINK = re.compile(r"https?://|#|[\w.][\w./-]*(#[\w.-]*)?$")
_ON_ONE_LINE = 40  # letters: a number with its interval and verdict
_IN_CONTENTS = ("h2", "h3")
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<nav aria-label="Contents">
<details open><summary>Contents</summary>
<ul>
{contents}</ul>
</details>
</nav>
<main>
{body}</main>
<script>
{script}</script>
</body>
</html>
"""


def render_page(markdown_text: str, *, title: str, figures: Mapping[str, Path]) -> str:
    """A whole page from CommonMark with pipe tables; ``figures`` is the file of each image name in the text.

    Tags in the text are shown as text, images without a file as their caption. Links lead to the web or to files on
    the same disk, from another document's markdown to its page. The page's own policy lets it load nothing and run its
    one script alone.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = list(_with_captions(parser.parse(markdown_text)))
    headings = _name_headings(tokens)
    _align_numbers(tokens)
    parser.add_render_rule("image", _image(figures))
    parser.add_render_rule("link_open", _link)
    parser.add_render_rule("table_open", lambda *_: '<div class="wide" tabindex="0">\n<table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table>\n</div>\n")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    # The hash is over all that stands between the tags.
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; " + (
        "base-uri 'none'; form-action 'none'"
    )
    listed = [f'<li class="{tag}"><a href="#{name}">{html.escape(text)}</a></li>\n' for tag, name, text in headings]
    return _PAGE.format(
        policy=policy,
        title=html.escape(plain(title)),
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        contents="".join(listed),
        body=parser.renderer.render(tokens, parser.options, {}),
        script=script,
    )


def _with_captions(tokens: Sequence[Token]) -> Iterator[Token]:
    """The tokens, with an image that stands alone and the same words below it made a figure and its caption."""
    k = 0
    while k < len(tokens):
        inline = tokens[k + 1] if tokens[k].type == "paragraph_open" else None
        image = inline.children[0] if inline and inline.children and len(inline.children) == 1 else None
        if image is None or image.type != "image":
            yield tokens[k]
            k += 1
            continue
        opened, held, closed = tokens[k : k + 3]
        opened.tag = closed.tag = "figure"
        yield from (opened, held)
        k += 3
        if k + 2 < len(tokens) and tokens[k].type == "paragraph_open" and tokens[k + 1].content == image.content:
            tokens[k].tag = tokens[k + 2].tag = "figcaption"
            yield from tokens[k : k + 3]
            k += 3
        yield closed


def _name_headings(tokens: Sequence[Token]) -> list[tuple[str, str, str]]:
    """Give every heading an anchor made of its words; (tag, anchor, text) of those that the contents list."""
    used: dict[str, int] = {}
    listed = []
    for opened, inline in pairwise(tokens):
        if opened.type != "heading_open":
            continue
        text = _text(inline)
        name = re.sub(r"[^\w-]", "", re.sub(r"\s+", "-", text.lower())) or "section"
        used[name] = used.get(name, 0) + 1
        name = name if used[name] == 1 else f"{name}-{used[name] - 1}"
        opened.attrSet("id", name)
        if opened.tag in _IN_CONTENTS:
            listed.append((opened.tag, name, text))
    return listed


def _align_numbers(tokens: Sequence[Token]) -> None:
    """Mark the cells of columns of numbers, in place of the inline styles that markdown's alignment would set."""
    cells: list[list[tuple[Token, str]]] = []
    for k, token in enumerate(tokens):
        if token.type == "table_open":
            cells = []
        elif token.type == "tr_open":
            cells.append([])
        elif token.type in ("th_open", "td_open"):
            token.attrs.pop("style", None)
            if token.type == "th_open":
                token.attrSet("scope", "col")
            cells[-1].append((token, _text(tokens[k + 1])))
        elif token.type == "table_close":
            for column in zip(*cells, strict=True):
                if numeric([text for _, text in column[1:]]):
                    for cell, text in column:
                        told = len(text) > _ON_ONE_LINE or (text.startswith(DASH) and text != DASH)
                        cell.attrSet("class", "number words" if told else "number")


def _text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))


_Rule = Callable[[Any, Sequence[Token], int, Any, Any], str]


def _image(figures: Mapping[str, Path]) -> _Rule:
    def rule(renderer: Any, tokens: Sequence[Token], k: int, options: Any, env: Any) -> str:
        token = tokens[k]
        caption, path = html.escape(token.content), figures.get(str(token.attrs["src"]))
        if path is None:
            return f"[{caption}]"
        coded = base64.b64encode(path.read_bytes()).decode()
        image = f'<img alt="{caption}" src="data:{_KINDS[path.suffix]};base64,{coded}">'
        return f'<span class="wide" tabindex="0">{image}</span>'

    return rule


def _link(renderer: Any, tokens: Sequence[Token], k: int, options: Any, env: Any) -> str:
    target = str(tokens[k].attrs["href"])
    if not _SAFE_LINK.match(target):
        return "<a>"
    if "://" not in target:
        target = re.sub(r"\.md(?=#|$)", ".html", target)
    return f'<a href="{html.escape(target)}" rel="noreferrer">'
