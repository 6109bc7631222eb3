"""A document as JSON: every table as it is shown and as raw values, strictly valid and the same for the same rows."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from reports.analysis import Analysis
from reports.comparisons import spec_for
from reports.load import SweepData
from reports.markdown import Table
from reports.provenance import provenance_table

VERSION = 1  # of the layout below


def document_record(title: str, tables: Sequence[Table], facts: Mapping[str, Any]) -> dict[str, Any]:
    """A document as plain JSON data: ``facts`` with its tables; NaN and infinities are null."""
    whole = {"version": VERSION, "title": title, **facts, "tables": [_table(table) for table in tables]}
    return {key: _plain(value) for key, value in whole.items()}


def json_text(record: Mapping[str, Any]) -> str:
    """Strict JSON in ASCII, so that no control character in a stored text reaches the terminal that shows it."""
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def sweep_facts(data: SweepData, analysis: Analysis) -> dict[str, Any]:
    """What a sweep's report says beside its tables: the plan, every comparison and score in full, what failed."""
    plan, spec = data.plan, spec_for(data.plan.sweep)
    return {
        "sweep": plan.sweep,
        "question": spec.question,
        "scope": list(spec.scope),
        "stage": plan.stage,
        "primary": asdict(plan.primary),
        "baseline": plan.baseline,
        "treatments": plan.treatments,
        "points": {point: data.told(point) for point in plan.points},
        "floors": {point: asdict(floor) for point, floor in plan.floors.items()},
        "verdicts": [asdict(versus) for versus in analysis.versus],
        "verdicts_by_decoding": {
            name: {"metric": analysis.metrics[name], "verdicts": [asdict(versus) for versus in found]}
            for name, found in analysis.by_decoding.items()
        },
        "contrasts": [asdict(contrast) for contrast in analysis.contrasts],
        "scores": [asdict(cell) for cell in analysis.cells.values() if cell.planned],
        "starts": {point: asdict(start) for point, start in analysis.starts.items()},
        "unranked": analysis.unranked,
        "runs": [asdict(run) for run in plan.runs],
        "failures": [
            {"stage": stage, "arm": run.planned.arm, "seed": run.planned.seed, "reason": run.problem}
            for stage, runs in (("sft start", data.sft.values()), (plan.stage, data.runs))
            for run in runs
            if run.problem
        ],
        "provenance": {row[0]: row[1] for row in provenance_table(data).rows},
    }


def _table(table: Table) -> dict[str, Any]:
    raw = [dict(zip(table.raw.columns, row, strict=True)) for row in table.raw.itertuples(index=False, name=None)]
    return {"name": table.name, "header": table.header, "rows": table.rows, "raw": raw, "notes": table.notes}


def _plain(value: Any) -> Any:
    """``value`` out of JSON's own types: numpy's numbers become Python's, what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
