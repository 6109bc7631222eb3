"""``python -m reports table1``: stored evaluations of checkpoints beside Table 1 of the paper."""

from collections.abc import Sequence
from pathlib import Path

from klear_core.errors import ConfigError, RunStoreError
from klear_core.runs.benchmarks import EVAL_DIR, read_results
from reports.commands.parser import Parser
from reports.eval_results import FORM, parse_targets, write_entries
from reports.table1 import write_table1


def main(arguments: Sequence[str]) -> int:
    """Write the document; RunStoreError when there are no evaluations."""
    parser = Parser(prog="python -m reports table1", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the sweeps (default: runs)")
    parser.add_argument("--out", type=Path, help=f"folder of the document (default: RUNS/{EVAL_DIR}/table1)")
    parser.add_argument("--hub", action="append", default=[], metavar=FORM, help="write .eval_results files too")
    given = parser.parse_args(arguments)
    targets = parse_targets(given.hub)
    if not given.runs.is_dir():
        raise ConfigError(f"--runs is {given.runs}; allowed: a folder with evaluations, and there is none of that name")
    results, unreadable = read_results(given.runs)
    if not results:
        why = f": {unreadable[0]}" if unreadable else "; `ablations evaluate` makes some"
        raise RunStoreError(f"{given.runs / EVAL_DIR} holds no evaluation{why}")
    folder = given.out or given.runs / EVAL_DIR / "table1"
    print(f"document: {write_table1(results, unreadable, folder)}")
    for path in write_entries(results, targets, folder) if targets else []:
        print(f"for the hub: {path} (nothing was sent)")
    return 0
