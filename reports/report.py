"""Assembling report.md from tables, figures and the sentences that say what they show."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from klear_core.errors import RunStoreError
from klear_core.runs.folders import make_folder
from klear_core.runs.store import write_text
from reports import sentences
from reports.analysis import Analysis, analyse
from reports.comparisons import spec_for
from reports.figures import write_figures
from reports.health import warnings
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
from reports.provenance import fixed_table, provenance_table
from reports.published_tables import beside_table, claim_sentence
from reports.reward_tables import contrast_table, filter_table, noise_sentence, noise_table, reward_table
from reports.tables import decoding_table, result_table, verdict_table
from reports.training_tables import corner_table, cost_table, speed_table, training_table

_MANY_POINTS = 3
_CAPTIONS = {
    "results.png": "Every dot is a seed, grey lines join the arms of a seed; beside them mean and 95 % t interval.",
    "curves.png": "Mean over seeds, shaded their range; from the step at which a run stopped, over those that went on.",
    "signal.png": "Share of problems with an advantage that is not 0, tests passed, and the variance of the gradient.",
    "cost_curves.png": "Validation accuracy and training reward against what they cost.",
    "corners.png": "Where tokens with an advantage left the reference band, and the share of the gradient from there.",
    "grid.png": "Difference to the baseline with its 95 % t interval, before Holm.",
    "loss.png": "Training loss, mean of 10 updates; mean over seeds, shaded their range.",
    "weights.png": "The gradient weight of each objective; shaded the reference band. Curves are shifted a hair apart.",
}


def write_report(data: SweepData, folder: Path, analysis: Analysis | None = None) -> Path:
    """Write report.md, its figures and CSV tables into ``folder``; returns the path of report.md.

    Everything is made beside the folder first: a disk that fills up costs the new report, and no older one.
    RunStoreError when it does.
    """
    analysis = analyse(data) if analysis is None else analysis
    make_folder(folder)
    try:
        with TemporaryDirectory(dir=folder, prefix=".new") as beside:
            _write_into(Path(beside), data, analysis)
            for path in sorted(Path(beside).iterdir()):
                path.replace(folder / path.name)
    except OSError as error:
        raise RunStoreError(f"the report in {folder} cannot be written: {error.strerror or error}") from error
    return folder / "report.md"


def _write_into(folder: Path, data: SweepData, analysis: Analysis) -> None:
    figures = write_figures(data, analysis, folder)
    writer = _Writer(data, analysis, folder, figures)
    text = "\n".join(
        part
        for part in (
            writer.opening(),
            writer.overview(),
            *[writer.point(point) for point in data.plan.points],
            *(writer.of_supervised() if data.plan.stage == "sft" else writer.of_rl()),
            writer.failures(),
            writer.provenance(),
        )
        if part
    )
    write_text(folder / "report.md", text)


class _Writer:
    """One method a section; every table that is shown is also written as CSV."""

    def __init__(self, data: SweepData, analysis: Analysis, folder: Path, figures: list[str]) -> None:
        self._data = data
        self._analysis = analysis
        self._folder = folder
        self._figures = figures
        self._spec = spec_for(data.plan.sweep)
        self._files: list[str] = []

    def of_rl(self) -> list[str]:
        """The sections of a sweep of RL runs."""
        parts = [self.decodings(), self.rewards(), self.filtered(), self.contrasts(), self.mechanism(), self.training()]
        return [part for part in parts if part]

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
        return [part for part in (self.published(), self.contrasts(), self.decodings(), *told) if part]

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

    def contrasts(self) -> str:
        """The declared questions between two arms."""
        parts = self._per_point(lambda _, point: contrast_table(self._analysis.contrasts, point))
        return "\n".join(["## Questions between two arms", "", *parts]) + "\n" if parts else ""

    def opening(self) -> str:
        """The question, the answer in words, and what the answer is not."""
        plan = self._data.plan
        lines = [f"# {escape(plan.title)}", "", self._spec.question, ""]
        if told := warnings(self._data):
            lines += ["## What to know first", "", *[f"- {escape(line)}" for line in told], ""]
        lines += ["## In short", ""]
        lines += [f"- {sentence}" for sentence in sentences.answers(self._data, self._analysis)]
        if self._spec.about_reward:
            told = [noise_sentence(self._data, point) for point in plan.points]
            lines += [f"- {sentence}" for sentence in told if sentence]
        lines += ["", *[f"- {sentence}" for sentence in self._spec.scope], ""]
        primary = plan.primary
        lines.append(
            f"Declared before the start: {primary.metric} on the {primary.split} questions under {primary.decoding}, "
            f"at step {primary.step}; baseline {plan.baseline or 'none'}. "
            + " ".join(dict.fromkeys(f"Floor: {number(f.accuracy)}, {escape(f.note)}." for f in plan.floors.values()))
        )
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
                "these, too narrow below 10 seeds to decide; the exact sign-flip p cannot fall below its floor.",
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
            lines += [
                "",
                f"{escape(self._data.told(point))}, arm minus {self._data.plan.baseline}, with Holm's verdict:",
                "",
            ]
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
        lines += [
            "## How fast it learned",
            "",
            *speed,
            "## What it cost",
            "",
            *self._per_point(cost_table),
            self._figure("cost_curves.png"),
        ]
        return "\n".join(lines) + "\n"

    def failures(self) -> str:
        """Every run that is not done, and why."""
        lines = ["## What failed, and why", ""]
        broken = [run for run in [*self._data.sft.values(), *self._data.runs] if run.problem]
        if not broken and not self._analysis.unscored:
            lines.append(f"Nothing: all {len(self._data.runs)} runs are done.")
        for run in broken:
            supervised = any(run is other for other in self._data.sft.values())
            name = "supervised start" if supervised else run.planned.arm
            lines.append(f"- {name}, seed {run.planned.seed}: {escape(run.problem)}")
        lines += [
            f"- {run.planned.arm}, seed {run.planned.seed}: done, but without a score: {escape(why)}"
            for run, why in self._analysis.unscored
        ]
        return "\n".join(lines) + "\n"

    def provenance(self) -> str:
        """Where the numbers come from, what was held fixed, and how to compute them again."""
        plan = self._data.plan
        lines = ["## Provenance", "", self._table(provenance_table(self._data))]
        lines += ["### Held fixed", "", self._table(fixed_table(self._data)), "### Computing it again", ""]
        lines.append(f"`python -m reports {plan.sweep}` rebuilds this page from the stored rows.")
        lines.append("Every table is beside it as CSV: " + ", ".join(f"`{name}.csv`" for name in self._files) + ".")
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
        table.write_csv(self._folder)
        self._files.append(table.name)
        return table.markdown()

    def _figure(self, name: str) -> str:
        return f"![{_CAPTIONS[name]}]({name})\n\n{_CAPTIONS[name]}\n" if name in self._figures else ""
