"""Assembling a sweep's report from tables, figures and the sentences that say what they show."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reports import sentences
from reports.analysis import Analysis, analyse
from reports.comparisons import spec_for
from reports.controls import control_checks, control_sentence, control_table, linked_controls
from reports.factors import factor_table
from reports.figures import CAPTIONS, write_figures
from reports.load import SweepData
from reports.markdown import Table, escape, number
from reports.mix_tables import (
    difficulty_table,
    mix_table,
    overview_sentence,
    overview_table,
    supervised_cost_table,
    supervised_table,
)
from reports.operating_points import chosen_sentence, chosen_table
from reports.provenance import fixed_table, provenance_table
from reports.published_tables import beside_table, claim_sentence
from reports.record import document_record, sweep_facts
from reports.reward_tables import contrast_table, filter_table, noise_sentence, noise_table, reward_table
from reports.scaling_tables import across_tasks_table, scaling_table
from reports.tables import decoding_table, result_table, verdict_table
from reports.training_tables import corner_table, cost_table, speed_table, threshold_table, training_table
from reports.write import made_beside, write_document

_MANY_POINTS = 3
CONTROLS_LINK = "../../controls/report/report.md"


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
        writer = _Writer(data, analysis, figures, controls_link)
        write_document(
            beside,
            "report",
            title=data.plan.title,
            markdown=writer.text(),
            tables=writer.tables,
            figures=figures,
            facts=sweep_facts(data, analysis),
        )
    return folder / "report.md"


def report_record(data: SweepData, analysis: Analysis) -> dict[str, Any]:
    """What report.json of a sweep holds; the same for the same rows."""
    writer = _Writer(data, analysis, [], CONTROLS_LINK)
    writer.text()
    return document_record(data.plan.title, writer.tables, sweep_facts(data, analysis))


class _Writer:
    """One method a section; ``tables`` holds every table that the text shows."""

    def __init__(self, data: SweepData, analysis: Analysis, figures: list[str], controls_link: str) -> None:
        self._controls_link = controls_link
        self._data = data
        self._analysis = analysis
        self._figures = figures
        self._spec = spec_for(data.plan.sweep)
        self.tables: list[Table] = []

    def text(self) -> str:
        """The whole report."""
        parts = [
            self.opening(),
            self.overview(),
            *[self.point(point) for point in self._data.plan.points],
            *(self.of_supervised() if self._data.plan.stage == "sft" else self.of_rl()),
            self.failures(),
            self.provenance(),
        ]
        return "\n".join(part for part in parts if part)

    def of_rl(self) -> list[str]:
        """The sections of a sweep of RL runs."""
        parts = [self.controls(), self.chosen(), self.factors(), self.across_tasks(), self.decodings(), self.rewards()]
        parts += [self.filtered(), self.published(), self.contrasts(), self.mechanism(), self.training()]
        return [part for part in parts if part]

    def controls(self) -> str:
        """What each control came to."""
        if not self._spec.about_controls:
            return ""
        table = control_table(control_checks(self._data, self._analysis))
        return "\n".join(["## Controls", "", self._table(table)]) + "\n"

    def chosen(self) -> str:
        """Every arm at its own best operating point."""
        if not self._spec.choose_point:
            return ""
        lines = ["## Each arm at its own best settings", "", chosen_sentence(self._data, self._analysis), ""]
        return (
            "\n".join([*lines, self._figure("heatmap.png"), self._table(chosen_table(self._data, self._analysis))])
            + "\n"
        )

    def factors(self) -> str:
        """What each of the settings does that the arms combine."""
        if not self._spec.factors:
            return ""
        parts = self._per_point(lambda data, point: factor_table(data, self._analysis, point))
        return "\n".join(["## What each setting does", "", self._figure("factors.png"), *parts]) + "\n"

    def of_supervised(self) -> list[str]:
        """The sections of a sweep without RL."""
        training = [*self._per_point(supervised_table), self._figure("loss.png")]
        sections = {
            "What was imitated": self._per_point(mix_table),
            "Easy and hard questions": self._per_point(lambda data, p: difficulty_table(data, self._analysis, p)),
            "How training went": training,
            "What it cost": self._per_point(supervised_cost_table),
        }
        told = ["\n".join([f"## {title}", "", *parts]) + "\n" for title, parts in sections.items() if any(parts)]
        return [
            part for part in (self.published(), self.across_tasks(), self.contrasts(), self.decodings(), *told) if part
        ]

    def overview(self) -> str:
        """Every operating point at one look, where they are many."""
        if len(self._data.plan.points) < _MANY_POINTS or not self._analysis.versus:
            return ""
        told = escape(overview_sentence(self._data, self._analysis))
        lines = ["## Every operating point", "", told, "", self._figure("grid.png")]
        return "\n".join([*lines, self._table(overview_table(self._data, self._analysis))]) + "\n"

    def published(self) -> str:
        """What a paper prints about the same question, beside what was measured."""
        if not self._spec.beside:
            return ""
        lines = ["## Published beside measured", ""]
        for beside in self._spec.beside:
            told = claim_sentence(self._data, self._analysis, beside)
            lines += [escape(told), "", self._table(beside_table(self._data, self._analysis, beside))]
        return "\n".join(lines) + "\n"

    def across_tasks(self) -> str:
        """All tasks together, where the operating points are tasks."""
        table = self._table(across_tasks_table(self._data, self._analysis))
        return f"## Across tasks\n\n{table}" if table else ""

    def contrasts(self) -> str:
        """The declared questions between two arms."""
        parts = self._per_point(lambda _, point: contrast_table(self._analysis.contrasts, point))
        return "\n".join(["## Questions between two arms", "", *parts]) + "\n" if parts else ""

    def opening(self) -> str:
        """The question, the answer in words, and what the answer is not."""
        plan = self._data.plan
        lines = [f"# {escape(plan.title)}", "", self._spec.question, "", "## In short", ""]
        lines += [f"- {sentence}" for sentence in sentences.answers(self._data, self._analysis)]
        if self._spec.about_reward:
            told = [noise_sentence(self._data, point) for point in plan.points]
            lines += [f"- {sentence}" for sentence in told if sentence]
        if self._spec.about_controls:
            lines.insert(6, f"- {control_sentence(control_checks(self._data, self._analysis))}")
        if self._spec.choose_point:
            lines.append(f"- {chosen_sentence(self._data, self._analysis)}")
        lines += ["", *[f"- {sentence}" for sentence in self._spec.scope]]
        if linked := linked_controls(self._data, self._controls_link):
            lines.append(f"- {linked}")
        lines.append("")
        primary = plan.primary
        floors = dict.fromkeys(f"Floor: {number(f.accuracy)}, {f.note}." for f in plan.floors.values())
        declared = (
            f"Declared before the start: {primary.metric} on the {primary.split} questions under {primary.decoding}, "
            f"at step {primary.step}; baseline {plan.baseline or 'none'}. {' '.join(floors)}"
        )
        lines.append(escape(declared))
        lines += ["", self._figure("results.png"), "| arm | what it is |", "| --- | --- |"]
        lines += [f"| {escape(name)} | {escape(text)} |" for name, text in plan.treatments.items()]
        return "\n".join(lines) + "\n"

    def point(self, point: str) -> str:
        """Verdicts and scores of one operating point; points are never pooled."""
        plan, analysis = self._data.plan, self._analysis
        lines = [f"## Results at {escape(self._data.told(point))}", ""]
        if plan.baseline is None:
            lines.append("No baseline is declared among these arms, so nothing is compared.")
        else:
            lines += [
                sentences.detectable(analysis, point),
                "",
                self._table(verdict_table(analysis, point)),
                "Deciding: paired t over seeds, scope these questions; verdicts after Holm over all arms and operating "
                "points of the sweep. Beside it: a two-way bootstrap over seeds and questions, scope questions like "
                "these, on which no verdict rests; the exact sign-flip p cannot fall below its floor.",
            ]
        lines += ["", self._table(result_table(self._data, analysis, point))]
        if (floor := plan.floors.get(point)) is not None:
            lines.append(f"Floor of a constant answer: {number(floor.accuracy)}.")
        return "\n".join(lines) + "\n"

    def decodings(self) -> str:
        """Whether the conclusion depends on the temperature of the evaluation."""
        if not self._analysis.versus:
            return ""
        lines = ["## Does the conclusion depend on the evaluation temperature?", ""]
        lines.append(sentences.temperature(self._data, self._analysis))
        if self._data.plan.stage == "rl":
            lines.append("Sampling at temperature 1 rewards low entropy, which is what clipping changes.")
        for point in self._data.plan.points:
            told = f"{self._data.told(point)}, arm minus {self._data.plan.baseline}, with Holm's verdict:"
            lines += ["", escape(told), ""]
            lines.append(self._table(decoding_table(self._analysis, point)))
        return "\n".join(lines) + "\n"

    def rewards(self) -> str:
        """What the reward gave, where its spread or the gradient's noise is what the sweep is about."""
        if not self._spec.about_reward:
            return ""
        lines = ["## What the reward gave", "", *self._per_point(reward_table), self._figure("signal.png")]
        noise = self._per_point(noise_table)
        lines += ["## How noisy the gradient was", "", *noise] if noise else []
        return "\n".join(lines) + "\n"

    def filtered(self) -> str:
        """What filters dropped; nothing where no arm has one."""
        dropped = any(row["dropped"] for run in self._data.runs for row in run.filter)
        if not dropped:
            return ""
        return "\n".join(["## What the filter dropped", "", self._table(filter_table(self._data))]) + "\n"

    def mechanism(self) -> str:
        """What clipping did."""
        lines = ["## What clipping did", "", self._spec.mechanism, ""]
        lines.append(
            "The reference band is [0.8, 1.28] for every arm; updates after the first of each step are counted."
        )
        lines += ["", *self._per_point(corner_table), sentences.entropy_of_clipped(self._data), ""]
        lines += [self._figure("corners.png"), self._figure("weights.png")]
        return "\n".join(lines) + "\n"

    def training(self) -> str:
        """Curves, the state at the end of training, and cost."""
        lines = ["## How training went", "", *self._per_point(training_table), self._figure("curves.png")]
        speed = self._per_point(lambda data, point: speed_table(data, self._analysis, point))
        speed += self._per_point(lambda data, point: threshold_table(data, self._analysis, point))
        ends = self._per_point(lambda data, point: scaling_table(data, self._analysis, point))
        lines += [
            "## How fast it learned",
            "",
            *speed,
            "## Where the curves would end",
            "",
            *ends,
            "## What it cost",
            "",
            *self._per_point(cost_table),
            self._figure("cost_curves.png"),
        ]
        return "\n".join(lines) + "\n"

    def failures(self) -> str:
        """Every run that is not done, and why."""
        told = [f"- {each}" for each in sentences.failures(self._data, self._analysis)]
        return "\n".join(["## What failed, and why", "", *told]) + "\n"

    def provenance(self) -> str:
        """Where the numbers come from, what was held fixed, and how to compute them again."""
        plan = self._data.plan
        lines = ["## Provenance", "", self._table(provenance_table(self._data))]
        lines += ["### Held fixed", "", self._table(fixed_table(self._data)), "### Computing it again", ""]
        lines.append(f"`python -m reports {plan.sweep}` rebuilds this page from the stored rows.")
        named = ", ".join(f"`{table.name}.csv`" for table in self.tables)
        lines.append(
            f"Every table is beside it as CSV, and as LaTeX (`.tex`): {named}. Every number is in `report.json`."
        )
        return "\n".join(lines) + "\n"

    def _per_point(self, make: Callable[[SweepData, str], Table]) -> list[str]:
        parts = []
        for point in self._data.plan.points:
            table = make(self._data, point)
            if table.rows:
                parts += [f"{escape(self._data.told(point))}:", "", self._table(table)]
        return parts

    def _table(self, table: Table) -> str:
        if not table.rows:
            return ""
        self.tables.append(table)
        return table.markdown()

    def _figure(self, name: str) -> str:
        return f"![{CAPTIONS[name]}]({name})\n\n{CAPTIONS[name]}\n" if name in self._figures else ""
