"""``python -m reports check RUNS``: compute every number of stored reports again, from the stored rows."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from klear_core.errors import ConfigError, RunStoreError
from klear_core.runs.schema import PLAN_FILE, REPORT_DIR
from reports.commands.parser import Parser
from reports.compared import compare_folders
from reports.load import load_sweep
from reports.markdown import plain
from reports.recount import Difference, recount
from reports.report import CONTROLS_LINK, LINK_BESIDE, write_report

_ORDER = (".csv", ".md", ".tex", ".json")
_MOST = 50  # differences that are printed of one sweep


def main(arguments: Sequence[str]) -> int:
    """0 when every number is what the rows give, 1 when one is not; ConfigError when there is no report to check."""
    parser = Parser(prog="python -m reports check", description=__doc__)
    parser.add_argument("runs", type=Path, help="folder of the sweeps")
    parser.add_argument("sweeps", nargs="*", help="sweeps to check (default: all that have a report)")
    parser.add_argument("--report", type=Path, help="folder of the report, when it is not RUNS/SWEEP/report")
    given = parser.parse_args(arguments)
    reported = sorted(
        path.parent.name for path in given.runs.glob(f"*/{PLAN_FILE}") if (path.parent / REPORT_DIR).is_dir()
    )
    names = given.sweeps or reported
    if given.report is not None and len(names) != 1:
        raise ConfigError(f"--report is {given.report}, and goes with one sweep; named: {', '.join(names) or 'none'}")
    if not names:
        raise ConfigError(f"RUNS is {given.runs}; allowed: a folder with sweeps that have a report, and this has none")
    reports = {name: given.report or given.runs / name / REPORT_DIR for name in names}
    for name, folder in reports.items():
        if not folder.is_dir():
            raise ConfigError(f"{name} has no report in {folder}; with one: {', '.join(reported) or 'none'}")
    link = CONTROLS_LINK if given.report is None else LINK_BESIDE
    return max([_check(given.runs, name, folder, link) for name, folder in reports.items()])


def _check(runs: Path, name: str, report: Path, link: str) -> int:
    """Print what differs in the report of a sweep, or one line that says how much does not."""
    try:
        with TemporaryDirectory() as made:
            write_report(load_sweep(runs, name), Path(made), controls_link=link)
            numbers, files, found = compare_folders(report, Path(made))
    except RunStoreError as error:
        print(plain(f"{name}: cannot be computed again: {error}"))
        return 1
    by_hand, wrong = recount(runs / name, report)
    # What many files repeat comes last, as only so many are shown.
    found = sorted([*found, *wrong], key=lambda difference: _ORDER.index(Path(difference.file).suffix))
    for difference in found[:_MOST]:
        print(plain(f"{name}: {_told(difference)}"))
    if len(found) > _MOST:
        print(f"{name}: {len(found) - _MOST} more differences")
    if found:
        return 1
    print(
        f"{name}: {numbers:,} numbers in {files} files computed again, all the same; {by_hand:,} of them also by hand"
    )
    return 0


def _told(found: Difference) -> str:
    return (
        f"{found.file}, {found.place}: stored {found.stored or 'nothing'}, recomputed {found.recomputed or 'nothing'}"
    )
