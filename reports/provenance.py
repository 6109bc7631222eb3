"""Provenance tables: where a report's numbers come from, and what was the same in every run."""

import math
from collections.abc import Callable

import pandas as pd

from klear_core.runs.schema import Manifest
from reports.comparisons import spec_for
from reports.markdown import DASH, Table
from reports.runs import SweepData


def provenance_table(data: SweepData) -> Table:
    """One row a fact; a fact on which runs disagree lists every value and says so."""
    stored = [*data.runs, *data.sft.values()]
    manifests = [run.manifest for run in stored if run.manifest is not None]
    statuses = [run.status for run in stored if run.status is not None]
    started = sorted(status.started for status in statuses)
    ended = sorted(status.ended for status in statuses if status.ended)
    walls = [run.wall_s for run in stored if not math.isnan(run.wall_s)]
    resumed = [status for status in statuses if status.attempt > 1]
    mixed = [status for status in statuses if len(status.sources) > 1]
    others = [run for run in data.plan.runs if run.other_code]
    facts = [
        ("command", data.plan.command),
        ("commit", _agree(manifests, _commit)),
        ("source hash", _agree(manifests, lambda m: m.provenance.source_hash[:16])),
        ("data hash", _agree(manifests, lambda m: m.data_hash[:16])),
        ("versions", _agree(manifests, lambda m: ", ".join(f"{k} {v}" for k, v in m.provenance.versions.items()))),
        ("machine", _agree(manifests, lambda m: ", ".join(m.provenance.machine.values()))),
        ("grading", _agree(manifests, lambda m: m.grading or DASH)),
        *([("verifiers disagree on", _disagreement(data))] if data.plan.stage == "rl" else []),
        *([("problem order", _pairing(data))] if data.plan.stage == "rl" else []),
        ("threads a run", _agree(manifests, lambda m: str(m.provenance.threads))),
        ("runs", f"{sum(not run.problem for run in data.runs)} done of {len(data.runs)} planned"),
        *([("supervised checkpoints", str(len(data.sft)))] if data.plan.stage == "rl" else []),
        ("runs of more than one attempt", str(len(resumed))),
        ("runs reused from other code", str(len(others))),
        ("runs begun by one code and ended by another", str(len(mixed))),
        ("W&B mirrors not complete", str(sum(bool(status.mirror) for status in statuses))),
        ("from", started[0] if started else DASH),
        ("to", ended[-1] if ended else DASH),
        ("seconds, summed over runs", f"{sum(walls):,.0f}" if walls else DASH),
    ]
    raw = pd.DataFrame(facts, columns=["what", "value"])
    return Table(name="provenance", header=["what", "value"], rows=[list(fact) for fact in facts], raw=raw)


def fixed_table(data: SweepData) -> Table:
    """Every setting that is the same in all runs."""
    rows = [[key, value] for key, value in sorted(data.plan.fixed.items())]
    return Table(
        name="fixed", header=["setting", "value"], rows=rows, raw=pd.DataFrame(rows, columns=["setting", "value"])
    )


def _commit(manifest: Manifest) -> str:
    where = manifest.provenance
    if not where.commit:
        return "not in a git checkout"
    return f"{where.commit}{' with uncommitted changes' if where.dirty else ', clean tree'}"


def _pairing(data: SweepData) -> str:
    """Whether the arms of a seed met the same problems in the same order, which is what lets them pair."""
    parted = []
    for point in data.plan.points:
        seen: dict[tuple[int, int], tuple[str, str]] = {}
        for run in data.runs:
            if run.planned.point != point or "problems_hash" not in run.steps:
                continue
            for step, found in zip(run.steps["step"].tolist(), run.steps["problems_hash"].tolist(), strict=True):
                arm, first = seen.setdefault((run.planned.seed, int(step)), (run.planned.arm, found))
                if found != first:
                    parted.append(f"{run.planned.arm} and {arm}, seed {run.planned.seed}, from step {step}")
                    break
    if all(run.steps.empty for run in data.runs):
        return DASH
    if not parted:
        return "the same for all arms of a seed, at every step"
    if not spec_for(data.plan.sweep).same_problems:
        return "arms leave out different problems, which is what is compared; those that they share come in one order"
    return f"RUNS DISAGREE: {'; '.join(parted)}"


def _disagreement(data: SweepData) -> str:
    """Share of training answers on which the two verifiers differ, by run; a dash where one verifier judges alone."""
    frames = {run.planned.folder: run.steps for run in data.runs if len(run.steps)}
    rates = {name: float(steps["verifier_disagreement"].mean()) for name, steps in frames.items()}
    known = {name: rate for name, rate in rates.items() if not math.isnan(rate)}
    if not known:
        return DASH
    worst = max(known, key=lambda name: known[name])
    return f"{sum(known.values()) / len(known):.3%} of answers, at most {known[worst]:.3%} in a run ({worst})"


def _agree(manifests: list[Manifest], read: Callable[[Manifest], str]) -> str:
    values = list(dict.fromkeys(read(manifest) for manifest in manifests))
    if not values:
        return DASH
    return values[0] if len(values) == 1 else f"RUNS DISAGREE: {'; '.join(values)}"
