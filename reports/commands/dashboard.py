"""``python -m reports dashboard <sweep>``: the W&B workspace and report of a sweep, as JSON or saved to W&B."""

import os
from collections.abc import Sequence
from pathlib import Path

from klear_core.errors import ConfigError
from klear_core.runs import store
from klear_core.runs.schema import CONFIG_FILE, REPORT_DIR
from reports.commands.parser import Parser
from reports.load import SweepData, load_sweep
from reports.settings import stored_setting

_FILE = "dashboard.json"


def main(arguments: Sequence[str]) -> int:
    """Write what would be saved, or save it; ConfigError when the library, the key or the project is missing."""
    parser = Parser(prog="python -m reports dashboard", description=__doc__)
    parser.add_argument("sweep", help="name of a sweep, for example clipping")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the sweeps (default: runs)")
    parser.add_argument("--entity", default=os.environ.get("WANDB_ENTITY", ""), help="user or team (or WANDB_ENTITY)")
    parser.add_argument("--project", help="W&B project (default: the one that the runs were logged to)")
    parser.add_argument("--out", type=Path, help=f"JSON file (default: RUNS/SWEEP/{REPORT_DIR}/{_FILE})")
    parser.add_argument("--save", action="store_true", help="save to W&B, as a new workspace view and a new report")
    given = parser.parse_args(arguments)
    data = load_sweep(given.runs, given.sweep)
    try:
        from reports import wandb_dashboard
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "wandb_workspaces":
            raise
        raise ConfigError("dashboards need wandb-workspaces: pip install -e '.[dashboards]'") from None
    if given.save:
        wandb_dashboard.check_account(given.entity)
    dashboard = wandb_dashboard.build(data, entity=given.entity, project=given.project or _project(data))
    if given.save:
        for line in wandb_dashboard.save(dashboard):
            print(line)
    if given.out or not given.save:
        path = given.out or data.folder / REPORT_DIR / _FILE
        store.write_json(path, wandb_dashboard.specification(dashboard))
        print(f"dashboard: {path} (nothing was sent)" if not given.save else f"dashboard: {path}")
    return 0


def _project(data: SweepData) -> str:
    """The project that the runs were logged to, as the first stored configuration says."""
    for run in data.plan.runs:
        folder = data.folder / run.folder
        if (folder / CONFIG_FILE).is_file():
            return str(stored_setting(folder, "wandb.project"))
    raise ConfigError(f"no run of {data.plan.sweep} has a {CONFIG_FILE} that names its W&B project: give --project")
