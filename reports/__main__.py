"""``python -m reports <sweep>``: rebuild the report of a sweep from its stored rows."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from klear_core.errors import HarnessError
from reports.analysis import analyse
from reports.load import SweepData, load_sweep
from reports.report import write_report
from reports.tables import result_table


def main() -> None:
    """Write the report and show the results; exit code 2, one line, when there is nothing to report."""
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    parser.add_argument("sweep", help="name of a sweep, for example clipping")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the sweeps (default: runs)")
    parser.add_argument("--out", type=Path, help="folder of the report (default: RUNS/SWEEP/report)")
    arguments = parser.parse_args()
    try:
        data = load_sweep(arguments.runs, arguments.sweep)
        path = write_report(data, arguments.out or data.folder / "report")
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    _show(data)
    print(f"report: {path}")


def _show(data: SweepData) -> None:
    """The result tables on the terminal."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    analysis = analyse(data)
    for point, told in data.plan.points.items():
        table = result_table(data, analysis, point)
        shown = RichTable(title=told, title_justify="left")
        for name in table.header:
            shown.add_column(name)
        for row in table.rows:
            shown.add_row(*[cell.replace("**", "") for cell in row])
        console.print(shown)


if __name__ == "__main__":
    main()
