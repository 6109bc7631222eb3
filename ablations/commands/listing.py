"""How `ablations list` shows what there is."""

from collections import Counter
from pathlib import Path
from typing import Any

from ablations.commands.terminal import say, say_table


def say_short(found: dict[str, list[dict[str, Any]]], runs: Path) -> None:
    """A line or two on everything; ``found`` holds the rows of all four lists."""
    for row in found["sweeps"]:
        say(f"sweep      +sweep={row['name']}  {row['title']}")
    say(f"objective  objective={','.join(row['name'] for row in found['objectives'])}")
    groups: dict[str, list[str]] = {}
    for row in found["presets"]:
        groups.setdefault(row["group"], []).append(row["name"])
    for group, names in groups.items():
        say(f"preset     {group}={','.join(names)}")
    states: dict[str, Counter[str]] = {}
    for row in found["runs"]:
        states.setdefault(row["sweep"], Counter())[row["state"]] += 1
    for sweep, counts in states.items():
        say(f"runs       {runs / sweep}: {', '.join(f'{count} {state}' for state, count in counts.items())}")
    if not states:
        say(f"runs       none in {runs}")


def say_listing(what: str, rows: list[dict[str, Any]]) -> None:
    """One list as a table."""
    if what == "sweeps":
        say_table(("sweep", "compares", "title"), [(row["name"], row["compare"], row["title"]) for row in rows])
    elif what == "objectives":
        shown = [(row["name"], row["surrogate"], _params(row["params"]), row["note"]) for row in rows]
        say_table(("objective", "surrogate", "params", "note"), shown)
    elif what == "presets":
        say_table(("group", "name", "about"), [(row["group"], row["name"], row["about"]) for row in rows])
    else:
        header = ("sweep", "arm", "seed", "state", "class", "attempt", "steps", "reason")
        say_table(header, [_run_cells(row) for row in rows], right=("seed", "attempt", "steps"))


def _params(params: dict[str, Any]) -> str:
    return ", ".join(f"{name} {'off' if value is None else value}" for name, value in params.items())


def _run_cells(row: dict[str, Any]) -> tuple[object, ...]:
    steps, planned = ("?" if row[key] is None else row[key] for key in ("steps", "planned_steps"))
    seed = "" if row["seed"] is None else row["seed"]
    return (
        *(row["sweep"], row["arm"], seed, row["state"], row["exit_class"], row["attempt"]),
        *(f"{steps}/{planned}", row["reason"]),
    )
