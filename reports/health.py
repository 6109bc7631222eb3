"""What a reader must know before any number of a report: runs that are missing, damaged or not made alike."""

from collections.abc import Callable, Iterable, Sequence

from klear_core.runs.provenance import SCORERS
from klear_core.runs.schema import Manifest
from reports.runs import RunData, SweepData

_SHOWN = 5


def warnings(data: SweepData) -> list[str]:
    """One sentence a finding, plain text; [] for a sweep whose runs are whole and alike."""
    return [*_unlike(data), *_nothing_to_compare(data), *_damaged(data), *_unfinished(data)]


def _unlike(data: SweepData) -> list[str]:
    """Runs that other code made, or another grader judged."""
    told = []
    of_code = "Runs of different code are compared"
    if found := _disagreement(_all(data), lambda manifest: manifest.provenance.source_hash[:16]):
        told.append(f"{of_code}: source hash {found}.")
    others = [run for run in data.runs if run.planned.other_code]
    if others:
        told.append(f"{of_code}: reused from other code than that of the plan were {_named(others)}.")
    mixed = [run for run in _all(data) if run.status is not None and len(run.status.sources) > 1]
    if mixed:
        told.append(f"{of_code}: begun by one code and ended by another were {_named(mixed)}.")
    for name in SCORERS:
        if found := _disagreement(_all(data), lambda manifest: manifest.provenance.versions.get(name, "")):  # noqa: B023
            told.append(f"Answers were judged by different scorers: {name} {found}.")
    # Operating points may be tasks, of which one has programs to run; only runs of one point are compared.
    for point in data.plan.points:
        runs = [run for run in _all(data) if run.planned.point == point]
        if found := _disagreement(runs, lambda manifest: manifest.grading):
            told.append(f"Answers were judged by different scorers: {found}.")
    return told


def _nothing_to_compare(data: SweepData) -> list[str]:
    baseline, runs = data.plan.baseline, data.runs
    if all(run.problem for run in runs):
        return [f"Not one of {len(runs)} runs is done, so there is no score."]
    if baseline is None:
        return ["No baseline is declared, so nothing is compared."]
    points = [point for point in data.plan.points if any(not run.problem for run in runs if run.planned.point == point)]
    empty = [point for point in points if all(run.problem or run.flaw for run in data.at(point, baseline))]
    return [
        f"The baseline {baseline} has no run with a score at {data.told(point)}: nothing is compared there."
        for point in empty
    ]


def _damaged(data: SweepData) -> list[str]:
    """Runs with a file that cannot be read, rows that cannot be counted, or half a row at the end of a file."""
    told = []
    for run in _all(data):
        if run.broken:
            told.append(f"{_name(data, run)}, cannot be read and counts as failed: {run.broken}.")
        elif not run.is_its_own:
            told.append(f"{_name(data, run)}, is not in its place and counts as failed: {run.problem}.")
        elif run.flaw:
            told.append(f"{_name(data, run)}, has no score, its rows are not counted: {run.flaw}.")
        if run.torn:
            told.append(f"{_name(data, run)}: the last row of {', '.join(run.torn)} is torn and left out.")
    return told


def _unfinished(data: SweepData) -> list[str]:
    short = [run for run in data.runs if run.problem and not run.broken and run.is_its_own]
    if not short or len(short) == len(data.runs):
        return []
    return [f"{len(short)} of {len(data.runs)} runs are not done, and are in no score: {_named(short)}."]


def _disagreement(runs: Sequence[RunData], read: Callable[[Manifest], str]) -> str:
    """Every value with the runs that have it, "" where all agree."""
    found: dict[str, list[RunData]] = {}
    for run in runs:
        if run.manifest is not None:
            found.setdefault(read(run.manifest), []).append(run)
    if len(found) < 2:
        return ""
    return "; ".join(f"{value or 'unknown'} in {_named(having)}" for value, having in found.items())


def _all(data: SweepData) -> list[RunData]:
    return [*data.runs, *data.sft.values()]


def _name(data: SweepData, run: RunData) -> str:
    start = any(run is other for other in data.sft.values())
    return f"{'The supervised start' if start else run.planned.arm}, seed {run.planned.seed}"


def _named(runs: Iterable[RunData]) -> str:
    """How many runs, with the first few of them."""
    names = [run.planned.folder for run in runs]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} run{'s' if len(names) > 1 else ''} ({', '.join(names[:_SHOWN])}{more})"
