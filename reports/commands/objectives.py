"""``python -m reports objectives``: one picture and one table of all policy objectives."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from klear_core.errors import RunStoreError
from klear_core.runs.folders import make_folder
from klear_core.runs.gallery import GALLERY_FILE, read_gallery
from reports.commands.parser import Parser
from reports.objective_gallery import write_gallery


def main(arguments: Sequence[str]) -> int:
    """Write objectives.png, .svg, .md and .json; RunStoreError for a file that is not a gallery."""
    parser = Parser(prog="python -m reports objectives", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("objectives"), help="folder (default: objectives)")
    parser.add_argument("--data", type=Path, help="a file of `ablations objectives --out FILE` (default: made now)")
    given = parser.parse_args(arguments)
    make_folder(given.out)
    data = given.data or _measure(given.out / GALLERY_FILE)
    for path in write_gallery(read_gallery(data), given.out):
        print(path)
    return 0


def _measure(path: Path) -> Path:
    """In a process of its own: it needs torch and the objectives, and nothing here does."""
    command = [sys.executable, "-m", "ablations.cli", "objectives", "--out", str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        told = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RunStoreError(f"the objectives could not be measured: {told[0].removeprefix('error: ')}")
    return path
