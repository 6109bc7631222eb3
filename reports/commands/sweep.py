"""``python -m reports <sweep>``: rebuild the report of a sweep from its stored rows."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from klear_core.runs.schema import REPORT_DIR
from reports import sentences
from reports.analysis import Analysis, analyse
from reports.commands.parser import Parser
from reports.health import warnings
from reports.load import SweepData, load_sweep
from reports.markdown import plain
from reports.report import CONTROLS_LINK, LINK_BESIDE, write_report
from reports.tables import result_table


def main(arguments: Sequence[str]) -> int:
    """Write the report and show the results; RunStoreError when there is nothing to report."""
    parser = Parser(prog="python -m reports", description=__doc__)
    parser.add_argument("sweep", help="name of a sweep, for example clipping")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the sweeps (default: runs)")
    parser.add_argument("--out", type=Path, help="folder of the report (default: RUNS/SWEEP/report)")
    given = parser.parse_args(arguments)
    data = load_sweep(given.runs, given.sweep)
    analysis = analyse(data)
    link = LINK_BESIDE if given.out else CONTROLS_LINK
    path = write_report(data, given.out or data.folder / REPORT_DIR, analysis, controls_link=link)
    _show(data, analysis)
    print(f"report: {path}")
    return 0


def _show(data: SweepData, analysis: Analysis) -> None:
    """The result tables on the terminal, each with the reasons for its dashes, and the answer in words."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    for point in data.plan.points:
        table = result_table(data, analysis, point)
        shown = RichTable(title=_cell(data.told(point)), title_justify="left")
        for name in table.header:
            shown.add_column(_cell(name))
        for row in table.rows:
            shown.add_row(*[_cell(cell) for cell in row])
        console.print(shown)
        for note in table.notes:
            console.print(_cell(note))
    for line in warnings(data):
        console.print(_cell(f"warning: {line}"))
    for sentence in sentences.answers(data, analysis):
        console.print(_cell(sentence))


def _cell(text: str) -> str:
    """Text without emphasis, control characters or console markup."""
    return escape(plain(text.replace("**", "")))
