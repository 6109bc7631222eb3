"""The synthetic sweep of ``write_sweep`` under another name, as reports treat sweeps by what they declare."""

import dataclasses
import random
from collections.abc import Mapping
from pathlib import Path

from klear_core.runs import schema, store


def renamed(root: Path, name: str, **changes: object) -> Path:
    """Move the sweep to another name, with changes of its plan; returns the runs folder."""
    plan = store.read_plan(root / "clipping")
    (root / "clipping").rename(root / name)
    store.write_json(root / name / schema.PLAN_FILE, dataclasses.replace(plan, sweep=name, **changes))
    return root


def add_validation(root: Path, name: str, accuracy: Mapping[tuple[str, str], float], *, step: int = 12) -> None:
    """Give every finished run validation rows of the last step, with a known accuracy an arm and point."""
    for run in store.read_plan(root / name).runs:
        folder = root / name / run.folder
        if not (folder / schema.EVAL_FILE).is_file():
            continue
        rows = store.read_table(folder / schema.EVAL_FILE).to_pylist()
        rng = random.Random(f"validation{run.run_id}")
        for question in range(40):
            correct = rng.random() < accuracy[run.treatment, run.point]
            rows.append(
                dict.fromkeys(schema.EVAL_COLUMNS, "")
                | {"step": step, "split": "validation", "decoding": "t1.0", "question": question, "sample": 0}
                | {"correct": correct, "response_tokens": 20, "verdict": "CORRECT" if correct else "WRONG"}
            )
        store.write_table(folder / schema.EVAL_FILE, rows, schema.EVAL_COLUMNS)


def add_configs(root: Path, name: str, params: Mapping[str, Mapping[str, object]]) -> None:
    """Give every run of a treatment a config.yaml whose objective has these parameters."""
    import yaml

    for run in store.read_plan(root / name).runs:
        config = {"objective": {"name": run.treatment, "params": dict(params[run.treatment])}}
        store.write_text(root / name / run.folder / schema.CONFIG_FILE, yaml.safe_dump(config))
