"""The plan as a person reads it before anything starts: runs, folders, what becomes of each, and what it will cost."""

import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ablations import machine_limits
from ablations.decide import Action
from ablations.devices import num_slots
from ablations.estimate import Estimate, estimate
from ablations.launch import Prepared
from ablations.probe import measure
from ablations.told import clock

_MB = 1e6


def show_plan(prepared: Prepared) -> int:
    """Print the plan with an estimate from a measured probe; writes nothing under launch.runs_dir. Exit code 0.

    HarnessError when the probe fails: so would the runs.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    slots = num_slots(prepared.config)
    console.print(_table(prepared))
    for note in prepared.checked.notes:
        console.print(escape(note), soft_wrap=True)
    todo = sum(decision.action in (Action.NEW, Action.CONTINUE) for decision in prepared.decisions)
    if not todo:
        console.print("nothing is left to run; the command would write the report again")
        return 0
    points = {decision.config.point: decision.config for decision in prepared.decisions}
    measured = measure(points, processes=min(slots, todo))
    cost = estimate(prepared.decisions, prepared.starts, measured, slots=slots)
    for line in _told(prepared, cost, slots):
        console.print(escape(line), soft_wrap=True)
    console.print("dry run: nothing was started or written")
    return 0


def _table(prepared: Prepared) -> Table:
    table = Table(title=f"Plan of sweep {prepared.checked.plan.sweep}", title_justify="left")
    for name in ("run", "seed", "folder", "what", "note"):
        table.add_column(name, overflow="fold")
    for start in prepared.starts:
        table.add_row("supervised start", str(start.config.seed), escape(str(start.folder)), str(start.action), "")
    for decision in prepared.decisions:
        run = decision.run
        table.add_row(run.arm, str(run.seed), escape(str(decision.folder)), str(decision.action), escape(decision.note))
    return table


def _told(prepared: Prepared, cost: Estimate, slots: int) -> list[str]:
    open_runs = sum(decision.action in (Action.NEW, Action.CONTINUE) for decision in prepared.decisions)
    open_starts = sum(start.action is not Action.REUSE for start in prepared.starts)
    each = [f"{seconds:.0f} s a run{f' at {point}' if point else ''}" for point, seconds in cost.run_s.items()]
    if open_starts:
        each.insert(0, f"{cost.sft_s:.0f} s a supervised start")
    runs_dir = prepared.checked.runs_dir
    free = machine_limits.free_disk(runs_dir)
    processes = min(slots, open_runs)
    gpu = (
        f"; on the GPU {cost.gpu_mb:,.0f} MB a process, {processes * cost.gpu_mb:,.0f} MB in all" if cost.gpu_mb else ""
    )
    return [
        f"runs: {open_runs} to do and {open_starts} supervised starts, {slots} side by side",
        f"time: about {clock(cost.seconds)} ({', '.join(each)}), without imports and report",
        f"memory: {cost.peak_mb:,.0f} MB a process, {processes * cost.peak_mb:,.0f} MB in all; {_free_memory()}{gpu}",
        f"disk: at most {cost.disk_bytes / _MB:,.0f} MB; {free / _MB:,.0f} MB free in {runs_dir}",
    ]


def _free_memory() -> str:
    free = machine_limits.free_memory()
    return "this system does not tell what is free" if free is None else f"{free / _MB:,.0f} MB available"
