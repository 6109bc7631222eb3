"""Who may import whom: the table of the design, checked on the syntax tree, so imports inside functions count too."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("klear_core", "ablations", "reports", "sweeps")

# Room -> what it may import of this project, beside itself. "klear_core" alone is its __init__, which must stay cheap.
INTERNAL = {
    "klear_core": set(),
    "klear_core.records": set(),
    "klear_core.errors": set(),
    "klear_core.batch": set(),
    "klear_core.code_tests": {"errors", "records"},
    "klear_core.runs.fields": set(),
    "klear_core.runs.schema": {"runs.fields"},
    "klear_core.reward_config": set(),
    "klear_core.control_config": set(),
    "klear_core.engine_config": set(),
    "klear_core.model_config": set(),
    "klear_core.params": {"errors"},
    "klear_core.settings": {"errors"},
    "klear_core.limits": {"errors", "settings"},
    "klear_core.config": {
        *("control_config", "engine_config", "errors", "limits", "model_config", "reward_config", "settings"),
    },
    "klear_core.objectives": {"batch", "errors", "params"},
    "klear_core.advantages": {"batch", "errors", "params"},
    "klear_core.rewards": {"records", "errors"},
    "klear_core.data": {"records", "errors", "code_tests", "config", "params", "settings"},
    "klear_core.rollout": {"batch", "records", "errors", "engine_config"},
    "klear_core.eval": {"rollout", "rewards", "data", "code_tests", "records", "errors"},
    "klear_core.runs": {"errors"},
    "klear_core.trainer": {
        *("rollout", "objectives", "advantages", "rewards", "eval", "data", "runs"),
        *("batch", "records", "errors", "config", "control_config", "model_config"),
    },
    "ablations": {"", "reports.stats"},
    "reports": {"runs", "errors"},
    "sweeps": set(),
}
STDLIB_ONLY = (
    *("records", "errors", "code_tests", "runs.fields", "runs.schema", "params", "settings", "limits", "reward_config"),
    *("config", "control_config", "engine_config", "model_config"),
)
TORCH_ONLY = ("objectives", "advantages", "batch")
# Room -> all that it may import from outside the standard library; rooms that are not named are free but for BANNED.
EXTERNAL: dict[str, set[str]] = {
    "klear_core": set(),
    "sweeps": set(),
    **{f"klear_core.{room}": set() for room in STDLIB_ONLY},
    **{f"klear_core.{room}": {"torch"} for room in TORCH_ONLY},
    "klear_core.runs": {"pyarrow", "wandb"},
    # What math-verify builds on: the policy looks at the trees that it compares.
    "klear_core.rewards": {"math_verify", "latex2sympy2_extended", "sympy"},
}
BANNED = {"klear_core": {"pandas"}, "reports": {"torch"}}
# Vendor -> its one owner: a file, or the folder that holds the one file.
OWNERS = {
    "wandb": "klear_core/runs/wandb_sink.py",
    "wandb_workspaces": "reports/wandb_dashboard.py",
    "hydra": "ablations/run.py",
    "vllm": "klear_core/rollout/",
    "lighteval": "klear_core/eval/",
    "liger_kernel": "tests/",
    "datasets": "klear_core/data/formats/hub.py",
    **dict.fromkeys(("math_verify", "latex2sympy2_extended", "sympy"), "klear_core/rewards/math_trees.py"),
}


def imported(source: str) -> list[str]:
    """Dotted names that a module imports, down to the imported name."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names


def room_of(name: str) -> str:
    """The longest entry of the table that holds ``name``; an empty text for a room that the table does not know."""
    parts = name.split(".")
    heads = [".".join(parts[:size]) for size in range(len(parts), 0, -1)]
    room = next((head for head in heads if head in INTERNAL), "")
    return "" if room == "klear_core" and name != room else room


def violations(path: str, source: str) -> list[str]:
    """What the file at ``path`` imports against the tables, one line each."""
    package = path.split("/")[0]
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    room = room_of(module)
    if not room:
        return [f"{path} lies in no room of the table"]
    # Short names are rooms of klear_core; "" is all of it.
    allowed = [name if name.startswith("reports") else f"klear_core.{name}".rstrip(".") for name in INTERNAL[room]]
    found = []
    for name in imported(source):
        top = name.split(".")[0]
        if top in PACKAGES or not top:
            fine = any(f"{name}.".startswith(f"{home}.") for home in (room, *allowed)) and room != "klear_core"
        else:
            foreign = top not in sys.stdlib_module_names
            fine = not (foreign and room in EXTERNAL and top not in EXTERNAL[room])
            fine = fine and top not in BANNED.get(package, set()) and path.startswith(OWNERS.get(top, ""))
        if not fine:
            found.append(f"{path} ({room}) imports {name}")
    return found


def sources() -> dict[str, str]:
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def test_every_import_is_in_the_table():
    assert [line for path, source in sources().items() for line in violations(path, source)] == []


@pytest.mark.parametrize("vendor", OWNERS)
def test_a_vendor_has_one_owner_file_at_most(vendor):
    owners = [path for path, text in sources().items() if any(name.split(".")[0] == vendor for name in imported(text))]
    assert len(owners) <= 1, owners


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("reports/tables.py", "def f():\n    import torch"),
        ("reports/tables.py", "from klear_core import objectives"),
        ("reports/tables.py", "from klear_core.trainer.rl import RLTrainer"),
        ("ablations/plan.py", "from reports.tables import table"),
        ("ablations/launch.py", "import hydra.utils"),
        ("klear_core/objectives/new.py", "from klear_core.config import RunConfig"),
        ("klear_core/objectives/new.py", "from klear_core import config"),
        ("klear_core/objectives/new.py", "import numpy as np"),
        ("klear_core/objectives/new.py", "from ..runs import schema"),
        ("klear_core/rewards/new.py", "if True:\n    from torch import Tensor"),
        ("klear_core/runs/store.py", "import wandb"),
        ("reports/report.py", "import wandb_workspaces.workspaces"),
        ("klear_core/runs/store.py", "import torch"),
        ("klear_core/runs/schema.py", "import pyarrow"),
        ("klear_core/runs/schema.py", "from klear_core.errors import RunStoreError"),
        ("klear_core/trainer/rl.py", "import pandas.core"),
        ("klear_core/rollout/new.py", "from klear_core.trainer import rl"),
        ("klear_core/eval/new.py", "import vllm"),
        ("klear_core/data/formats/load.py", "def f():\n    import datasets"),
        ("klear_core/__init__.py", "from klear_core import errors"),
        ("klear_core/unknown_room.py", ""),
    ],
)
def test_a_forbidden_import_is_found(path, source):
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("reports/tables.py", "import pandas\nfrom klear_core.runs import schema\nfrom reports.load import load"),
        ("ablations/run.py", "import hydra\nfrom klear_core import advantages\nfrom reports import stats"),
        ("klear_core/runs/wandb_sink.py", "import wandb\nimport json"),
        ("klear_core/trainer/rl.py", "import torch\nfrom klear_core.runs import store"),
        ("klear_core/rollout/new.py", "def f():\n    import vllm"),
    ],
)
def test_an_allowed_import_passes(path, source):
    assert violations(path, source) == []
