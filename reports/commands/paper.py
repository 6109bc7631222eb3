"""``python -m reports paper``: one document over all sweeps, the paper's tables measured beside published."""

from collections.abc import Sequence
from pathlib import Path

from klear_core.errors import RunStoreError
from reports.commands.parser import Parser
from reports.paper import PAPER_DIR, write_paper


def main(arguments: Sequence[str]) -> int:
    """Write the document; RunStoreError when there is no folder of runs."""
    parser = Parser(prog="python -m reports paper", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the sweeps (default: runs)")
    parser.add_argument("--out", type=Path, help=f"folder of the document (default: RUNS/{PAPER_DIR})")
    given = parser.parse_args(arguments)
    if given.runs.exists() and not given.runs.is_dir():
        raise RunStoreError(f"--runs is {given.runs}, a file; name the folder of the sweeps")
    link = {"report_link": "../{sweep}/report.md"} if given.out else {}
    print(f"document: {write_paper(given.runs, given.out or given.runs / PAPER_DIR, **link)}")
    return 0
