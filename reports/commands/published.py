"""``python -m reports published``: what papers print, with what is known about each number."""

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table as RichTable

from reports.commands.parser import Parser
from reports.markdown import plain
from reports.published import Paper, PublishedTable, paper_names, published_paper, published_table
from reports.published.shown import NOT_PRINTED, cell_records, footnotes, heading, paper_table
from reports.published.validate import power, validate

_ANY_WIDTH = 10_000


def main(arguments: Sequence[str]) -> int:
    """Show the tables and what the validator finds in them: exit code 1 when it finds something.

    ConfigError on a paper or table that is not held.
    """
    parser = Parser(prog="python -m reports published", description=__doc__)
    parser.add_argument("what", nargs="?", metavar="PAPER[/TABLE]", help=f"papers: {', '.join(paper_names())}")
    parser.add_argument("--json", action="store_true", help="every number with its interval, for programs")
    given = parser.parse_args(arguments)
    key, _, name = (given.what or "").partition("/")
    papers = [published_paper(found) for found in ([key] if given.what else paper_names())]
    shown = [published_table(name, key)] if name else [table for paper in papers for table in paper.tables.values()]
    problems = [problem for paper in papers for problem in validate(paper)]
    if given.json:
        print(json.dumps(_as_json(papers, shown, problems), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _show(papers, shown, problems)
    return 1 if problems else 0


def _show(papers: Sequence[Paper], shown: Sequence[PublishedTable], problems: Sequence[str]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    for paper in papers:
        console.print(f"[bold]{_safe(paper.title)}, arXiv {_safe(paper.arxiv)}[/bold]\n")
        for table in shown:
            if table.key == paper.key:
                _show_table(console, table)
    for problem in problems:
        console.print(_safe(f"problem: {problem}"))
    console.print(f"{_validated(papers)}: {_counted(len(problems), 'problem')}")


def _validated(papers: Sequence[Paper]) -> str:
    """How much the validator could check."""
    tables = [table for paper in papers for table in paper.tables.values()]
    printed = [(table, *key) for table in tables for key, cell in table.cells.items() if cell.printed is not None]
    checked = sum(table.share_on_grid(row, column) < 1 for table, row, column in printed)
    off = sum(table.cells[row, column].off_grid is not None for table, row, column in printed)
    return (
        f"Validated {', '.join(paper.key for paper in papers)}: {_counted(len(printed), 'printed value')}; "
        f"{checked} on a grid that a wrong value could miss, {off} of them declared off it"
    )


def _counted(count: int, name: str) -> str:
    return f"{count or 'no'} {name}{'' if count == 1 else 's'}"


def _show_table(console: Console, table: PublishedTable) -> None:
    console.print(_safe(heading(table)))
    if table.cells:
        whole, short = (_rich(table, intervals=intervals) for intervals in (True, False))
        unbound = console.options.update(max_width=_ANY_WIDTH)
        fits = console.measure(whole, options=unbound).maximum <= console.width
        console.print(whole if fits else short)
        if not fits and table.counts:
            console.print(_indented("A wider terminal shows the interval of each cell, and so does --json."))
    else:
        console.print(_indented(f"{NOT_PRINTED}: {', '.join(table.drawn)}."))
    for note in footnotes(table):
        if not note.startswith(NOT_PRINTED):
            console.print(_indented(note))
    console.print()


def _indented(text: str) -> Padding:
    return Padding(_safe(text), (0, 0, 0, 2))


def _rich(table: PublishedTable, *, intervals: bool) -> RichTable:
    written, shown = paper_table(table, intervals=intervals), RichTable()
    shown.add_column("", overflow="fold")  # what the names are is plain to see, and a word would cost width
    for name in written.header[1:]:
        # Arms are words, between which a header may break.
        header = name.replace("_", " ") if table.benchmarks_in == "rows" else name
        shown.add_column(_safe(header), justify="right", overflow="fold")
    for row in written.rows:
        shown.add_row(*[_safe(cell) for cell in row])
    return shown


def _as_json(papers: Sequence[Paper], shown: Sequence[PublishedTable], problems: Sequence[str]) -> dict[str, object]:
    return {
        "papers": [
            {
                "name": paper.key,
                "title": paper.title,
                "arxiv": paper.arxiv,
                "seeds": paper.seeds,
                "tables": [_table_as_json(table) for table in shown if table.key == paper.key],
            }
            for paper in papers
        ],
        "problems": list(problems),
    }


def _table_as_json(table: PublishedTable) -> dict[str, object]:
    return {
        "name": table.name,
        "caption": table.caption,
        "claim": table.claim,
        "grade": table.grade,
        "unit": table.unit,
        "arms": table.arms,
        "benchmarks": table.benchmarks,
        "n": {name: {"questions": c.questions, "samples": c.samples} for name, c in table.counts.items()},
        "n_source": table.counts_source,
        "grid_check": table.grid_check,
        "share_on_grid": power(table),
        "interval": "95 %, Wilson over questions, an upper bound of their chance; training runs are not in it",
        "settings": dict(table.settings),
        "windows": dict(table.windows),
        "drawn": table.drawn,
        "text": table.text,
        "conflicts": [{"what": conflict.what, "says": dict(conflict.says)} for conflict in table.conflicts],
        "cells": cell_records(table),
        "footnotes": footnotes(table),
    }


def _safe(text: str) -> str:
    """Text without control characters or console markup."""
    return escape(plain(text))
