"""The sections that every report of a sweep has, and what all sections are made with."""

from collections.abc import Callable

from reports import sentences
from reports.analysis import Analysis
from reports.comparisons import spec_for
from reports.controls import control_checks, control_sentence, linked_controls
from reports.figures import CAPTIONS
from reports.health import warnings
from reports.load import SweepData
from reports.markdown import Table, escape, number
from reports.mix_tables import MANY_POINTS, overview_sentence, overview_table
from reports.operating_points import chosen_sentence
from reports.provenance import fixed_table, provenance_table
from reports.published_tables import beside_table, claim_sentence
from reports.reward_tables import contrast_table, noise_sentence
from reports.scaling_tables import across_tasks_table
from reports.tables import decoding_table, result_table, verdict_table


class Sections:
    """One method a section; ``tables`` holds every table that the text shows, in its order."""

    def __init__(self, data: SweepData, analysis: Analysis, figures: list[str], controls_link: str) -> None:
        """``figures`` are the names of those that are drawn; ``controls_link`` leads to the report on controls."""
        self.data = data
        self.analysis = analysis
        self.figures = figures
        self.controls_link = controls_link
        self.spec = spec_for(data.plan.sweep)
        self.tables: list[Table] = []

    def opening(self) -> str:
        """The question, the answer in words, and what the answer is not."""
        plan = self.data.plan
        lines = [f"# {escape(plan.title)}", "", self.spec.question, ""]
        if known := warnings(self.data):
            lines += ["## What to know first", "", *[f"- {escape(line)}" for line in known], ""]
        lines += ["## In short", ""]
        if self.spec.about_controls:
            lines.append(f"- {control_sentence(control_checks(self.data, self.analysis))}")
        lines += [f"- {sentence}" for sentence in sentences.answers(self.data, self.analysis)]
        if self.spec.about_reward:
            told = [noise_sentence(self.data, point) for point in plan.points]
            lines += [f"- {sentence}" for sentence in told if sentence]
        if self.spec.choose_point:
            lines.append(f"- {chosen_sentence(self.data, self.analysis)}")
        lines += ["", *[f"- {sentence}" for sentence in self.spec.scope]]
        if linked := linked_controls(self.data, self.controls_link):
            lines.append(f"- {linked}")
        lines.append("")
        primary = plan.primary
        floors = dict.fromkeys(f"Floor: {number(f.accuracy)}, {f.note}." for f in plan.floors.values())
        declared = (
            f"Declared before the start: {primary.metric} on the {primary.split} questions under {primary.decoding}, "
            f"at step {primary.step}; baseline {plan.baseline or 'none'}. {' '.join(floors)}"
        )
        lines.append(escape(declared))
        lines += ["", self.figure("results.png"), "| arm | what it is |", "| --- | --- |"]
        lines += [f"| {escape(name)} | {escape(text)} |" for name, text in plan.treatments.items()]
        return "\n".join(lines) + "\n"

    def overview(self) -> str:
        """Every operating point at one look, where they are many."""
        if len(self.data.plan.points) < MANY_POINTS or not self.analysis.versus:
            return ""
        told = escape(overview_sentence(self.data, self.analysis))
        lines = ["## Every operating point", "", told, "", self.figure("grid.png")]
        return "\n".join([*lines, self.table(overview_table(self.data, self.analysis))]) + "\n"

    def point(self, point: str) -> str:
        """Verdicts and scores of one operating point; points are never pooled."""
        plan, analysis = self.data.plan, self.analysis
        lines = [f"## Results at {escape(self.data.told(point))}", ""]
        if plan.baseline is None:
            lines.append("No baseline is declared among these arms, so nothing is compared.")
        else:
            lines += [
                sentences.detectable(analysis, point),
                "",
                self.table(verdict_table(analysis, point)),
                "Deciding: paired t over seeds, scope these questions; verdicts after Holm over all arms and operating "
                "points of the sweep. Beside it: a two-way bootstrap over seeds and questions, scope questions like "
                "these, on which no verdict rests; the exact sign-flip p cannot fall below its floor.",
            ]
        lines += ["", self.table(result_table(self.data, analysis, point))]
        if (floor := plan.floors.get(point)) is not None:
            lines.append(f"Floor of a constant answer: {number(floor.accuracy)}.")
        return "\n".join(lines) + "\n"

    def published(self) -> str:
        """What a paper prints about the same question, beside what was measured."""
        if not self.spec.beside:
            return ""
        lines = ["## Published beside measured", ""]
        for beside in self.spec.beside:
            told = claim_sentence(self.data, self.analysis, beside)
            lines += [escape(told), "", self.table(beside_table(self.data, self.analysis, beside))]
        return "\n".join(lines) + "\n"

    def across_tasks(self) -> str:
        """All tasks together, where the operating points are tasks."""
        table = self.table(across_tasks_table(self.data, self.analysis))
        return f"## Across tasks\n\n{table}" if table else ""

    def contrasts(self) -> str:
        """The declared questions between two arms."""
        parts = self.per_point(lambda _, point: contrast_table(self.analysis.contrasts, point))
        return "\n".join(["## Questions between two arms", "", *parts]) + "\n" if parts else ""

    def decodings(self) -> str:
        """Whether the conclusion depends on the temperature of the evaluation."""
        if not self.analysis.versus:
            return ""
        lines = ["## Does the conclusion depend on the evaluation temperature?", ""]
        lines.append(sentences.temperature(self.data, self.analysis))
        if self.data.plan.stage == "rl":
            lines.append("Sampling at temperature 1 rewards low entropy, which is what clipping changes.")
        for point in self.data.plan.points:
            told = f"{self.data.told(point)}, arm minus {self.data.plan.baseline}, with Holm's verdict:"
            lines += ["", escape(told), ""]
            lines.append(self.table(decoding_table(self.analysis, point)))
        return "\n".join(lines) + "\n"

    def failures(self) -> str:
        """Every run that is not done, and why."""
        told = [f"- {each}" for each in sentences.failures(self.data, self.analysis)]
        return "\n".join(["## What failed, and why", "", *told]) + "\n"

    def provenance(self) -> str:
        """Where the numbers come from, what was held fixed, and how to compute them again."""
        plan = self.data.plan
        lines = ["## Provenance", "", self.table(provenance_table(self.data))]
        lines += ["### Held fixed", "", self.table(fixed_table(self.data)), "### Computing it again", ""]
        lines.append(f"`python -m reports {plan.sweep}` rebuilds this page from the stored rows.")
        named = ", ".join(f"`{table.name}.csv`" for table in self.tables)
        lines.append(
            f"Every table is beside it as CSV, and as LaTeX (`.tex`): {named}. Every number is in `report.json`."
        )
        return "\n".join(lines) + "\n"

    def per_point(self, make: Callable[[SweepData, str], Table]) -> list[str]:
        """A table of every operating point that has one, under its name."""
        parts = []
        for point in self.data.plan.points:
            table = make(self.data, point)
            if table.rows:
                parts += [f"{escape(self.data.told(point))}:", "", self.table(table)]
        return parts

    def table(self, table: Table) -> str:
        """A table as markdown; an empty one is nothing."""
        if not table.rows:
            return ""
        self.tables.append(table)
        return table.markdown()

    def figure(self, name: str) -> str:
        """An image with its caption, where it is drawn."""
        return f"![{CAPTIONS[name]}]({name})\n\n{CAPTIONS[name]}\n" if name in self.figures else ""
