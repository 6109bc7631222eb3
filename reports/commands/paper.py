"""``python -m reports paper``: one document over all sweeps, the paper's tables measured beside published."""

from collections.abc import Sequence
from pathlib import Path

from klear_core.errors import RunStoreError
from reports.commands.parser import Parser
from reports.paper import PAPER_DIR, write_paper

_RUNS = Path("runs")


def main(arguments: Sequence[str]) -> int:
    """Write the document, also where nothing was run yet; RunStoreError when another folder is named and is none."""
    parser = Parser(prog="python -m reports paper", description=__doc__)
    parser.add_argument("--runs", type=Path, default=_RUNS, help="folder of the sweeps (default: runs)")
    parser.add_argument("--out", type=Path, help=f"folder of the document (default: RUNS/{PAPER_DIR})")
    given = parser.parse_args(arguments)
    if not given.runs.is_dir() and (given.runs != _RUNS or _RUNS.exists()):
        raise RunStoreError(f"--runs is {given.runs}; allowed: a folder of sweeps")
    link = {"report_link": "../{sweep}/report.md"} if given.out else {}
    print(f"document: {write_paper(given.runs, given.out or given.runs / PAPER_DIR, **link)}")
    return 0
