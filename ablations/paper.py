"""Every sweep that there is, one after another, then the document over all of them; what it takes is told first."""

import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ablations.commands.catalog import sweeps
from ablations.commands.terminal import say, say_table
from ablations.decide import Action, Start
from ablations.devices import num_slots
from ablations.estimate import estimate
from ablations.launch import Prepared, prepare, run_sweep
from ablations.probe import Measured, measure
from ablations.processes import die_with_parent
from ablations.run import compose
from ablations.told import clock
from klear_core.config import RunConfig
from klear_core.errors import ConfigError

_FIRST = "controls"  # the reports of the others say what these came to
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A sweep that is to be run, or that is done already."""

    name: str
    configs: list[RunConfig]
    prepared: Prepared

    @property
    def open_runs(self) -> int:
        """Runs that are not done yet."""
        return sum(decision.action in (Action.NEW, Action.CONTINUE) for decision in self.prepared.decisions)


def run_paper(overrides: Sequence[str]) -> int:
    """Run what is not done yet of every sweep, then write the document. Exit code as of one sweep: 0, 1 or 130.

    A sweep that fails does not stop the others; an interrupted one does.  With dry_run=true only the estimate is shown.
    """
    for override in overrides:
        if override.lstrip("+~").split("=")[0].split(".")[0] in ("sweep", "seed", "objective", "stage"):
            raise ConfigError(f"{override.split('=')[0]} belongs to one sweep; allowed: settings of all, such as scale")
    names = sorted((found["name"] for found in sweeps()), key=lambda name: (name != _FIRST, name))
    planned = [_plan(name, overrides) for name in names]
    _tell(planned)
    if planned[0].configs[0].dry_run:
        say("dry run: nothing was started or written")
        return 0
    codes = []
    for sweep in planned:
        _as_command(sweep.name, overrides)
        codes.append(run_sweep(sweep.configs))
        if codes[-1] == _INTERRUPTED:
            return _INTERRUPTED
    return max(max(codes), _write_document(planned[0]))


def _as_command(name: str, overrides: Sequence[str]) -> None:
    """What is recorded as the command of a sweep is the one that runs it alone."""
    sys.argv = ["ablations run", f"+sweep={name}", *overrides]


def _plan(name: str, overrides: Sequence[str]) -> Planned:
    _as_command(name, overrides)
    configs = compose(sys.argv[1:])
    return Planned(name=name, configs=configs, prepared=prepare(configs))


def _tell(planned: Sequence[Planned]) -> None:
    """The estimate of each sweep and of all, from one measurement for the sweeps of one model and task."""
    measured = _measure(planned)
    rows, total, counted = [], 0.0, set[str]()
    for sweep in planned:
        seconds = 0.0
        if sweep.name in measured:
            found, slots = measured[sweep.name], num_slots(sweep.prepared.config)
            seconds = estimate(sweep.prepared.decisions, _not_counted(sweep, counted), found, slots=slots).seconds
        total += seconds
        done = len(sweep.prepared.decisions) - sweep.open_runs
        rows.append([sweep.name, sweep.open_runs, done, clock(seconds) if sweep.open_runs else ""])
    say_table(["sweep", "runs to do", "done", "about"], rows, right=["runs to do", "done", "about"])
    runs = sum(sweep.open_runs for sweep in planned)
    say(f"{len(planned)} sweeps, {runs} runs to do, about {clock(total)} without imports and reports")


def _not_counted(sweep: Planned, counted: set[str]) -> list[Start]:
    """The supervised starts with those as done that an earlier sweep makes."""
    starts = [
        dataclasses.replace(start, action=Action.REUSE) if start.key in counted else start
        for start in sweep.prepared.starts
    ]
    counted.update(start.key for start in starts)
    return starts


def _measure(planned: Sequence[Planned]) -> dict[str, Measured]:
    """Sweep -> what was measured for its operating points; sweeps with nothing left to do are left out."""
    groups: dict[str, list[Planned]] = {}
    for sweep in planned:
        if sweep.open_runs:
            config = sweep.prepared.config
            alike = (config.stage, config.model, config.task, config.sft_mix.name, config.sft.checkpoint)
            groups.setdefault(repr(alike), []).append(sweep)
    found = {}
    for group in groups.values():
        points = {f"{sweep.name}/{point}": config for sweep in group for point, config in _probed(sweep).items()}
        processes = min(num_slots(group[0].prepared.config), max(sweep.open_runs for sweep in group))
        whole = measure(points, processes=processes)
        for sweep in group:
            probed = [whole.train_s[f"{sweep.name}/{point}"] for point in _probed(sweep)]
            own = dict.fromkeys((config.point for config in sweep.configs), probed[0])
            own |= dict(zip(_probed(sweep), probed, strict=True))
            found[sweep.name] = dataclasses.replace(whole, train_s=own)
    return found


def _probed(sweep: Planned) -> dict[str, RunConfig]:
    """Operating point -> config that is measured: one of supervised runs, which all cost alike and build their data
    first; of RL every one, as the number of updates differs.
    """
    configs = sweep.configs[:1] if sweep.prepared.config.stage == "sft" else sweep.configs
    return {config.point: config for config in configs}


def _write_document(first: Planned) -> int:
    """The document is made by a process of its own, as a sweep's report is."""
    command = [sys.executable, "-m", "reports", "paper", "--runs", str(first.prepared.checked.runs_dir)]
    return int(subprocess.run(command, check=False, preexec_fn=die_with_parent).returncode != 0)
