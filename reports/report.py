"""Assembling a sweep's report from tables, figures and the sentences that say what they show."""

from pathlib import Path
from typing import Any

from reports.analysis import Analysis, analyse
from reports.drawing import write_figures
from reports.load import SweepData
from reports.mix_tables import difficulty_table, mix_table, supervised_cost_table, supervised_table
from reports.record import document_record, sweep_facts
from reports.rl_sections import rl_sections
from reports.sections import Sections
from reports.write import made_beside, write_document

CONTROLS_LINK = "../../controls/report/report.md"  # from RUNS/SWEEP/report
LINK_BESIDE = "../controls/report.md"  # from a folder of reports that are called as their sweeps


def write_report(
    data: SweepData,
    folder: Path,
    analysis: Analysis | None = None,
    *,
    controls_link: str = CONTROLS_LINK,
) -> Path:
    """Write the report of a sweep in every format into ``folder``; returns the path of report.md.

    An older report there stays whole until all of the new one is made; RunStoreError when the disk refuses.
    ``controls_link`` is where the report on the controls of the harness lies from there.
    """
    analysis = analyse(data) if analysis is None else analysis
    with made_beside(folder) as beside:
        figures = write_figures(data, analysis, beside)
        writer = Sections(data, analysis, figures, controls_link)
        write_document(
            beside,
            "report",
            title=data.plan.title,
            markdown=_text(writer),
            tables=writer.tables,
            figures=figures,
            facts=sweep_facts(data, analysis),
        )
    return folder / "report.md"


def report_record(data: SweepData, analysis: Analysis) -> dict[str, Any]:
    """What report.json of a sweep holds; the same for the same rows."""
    writer = Sections(data, analysis, [], CONTROLS_LINK)
    _text(writer)
    return document_record(data.plan.title, writer.tables, sweep_facts(data, analysis))


def _text(sections: Sections) -> str:
    """The whole report."""
    plan = sections.data.plan
    parts = [
        sections.opening(),
        sections.overview(),
        *[sections.point(point) for point in plan.points],
        *(_supervised_sections(sections) if plan.stage == "sft" else rl_sections(sections)),
        sections.failures(),
        sections.provenance(),
    ]
    return "\n".join(part for part in parts if part)


def _supervised_sections(sections: Sections) -> list[str]:
    """The sections of a sweep without RL."""
    analysis, per_point = sections.analysis, sections.per_point
    titled = {
        "What was imitated": per_point(mix_table),
        "Easy and hard questions": per_point(lambda data, point: difficulty_table(data, analysis, point)),
        "How training went": [*per_point(supervised_table), sections.figure("loss.png")],
        "What it cost": per_point(supervised_cost_table),
    }
    told = ["\n".join([f"## {title}", "", *parts]) + "\n" for title, parts in titled.items() if any(parts)]
    parts = [sections.published(), sections.across_tasks(), sections.contrasts(), sections.decodings(), *told]
    return [part for part in parts if part]
