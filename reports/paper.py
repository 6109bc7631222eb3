"""One document over all sweeps: every table and figure of the paper, measured beside published, and what follows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from klear_core.runs import schema
from klear_core.runs.benchmarks import BenchmarkResult, read_results
from reports import sentences
from reports.analysis import Analysis, analyse
from reports.claims import Held, claim_table, held_claims, not_run
from reports.comparisons import spec_for
from reports.controls import CONTROLS, Check, control_checks, control_sentence, control_table, source_hashes
from reports.drawing import draw
from reports.factors import factor_table
from reports.figures import CAPTIONS
from reports.load import SweepData, load_sweep
from reports.markdown import DASH, Table, escape
from reports.mix_tables import MANY_POINTS, overview_sentence, overview_table
from reports.operating_points import chosen_sentence, chosen_table
from reports.paper_items import ITEMS, Item
from reports.published import PublishedTable, published_table
from reports.published.shown import heading, paper_table, settings_told
from reports.published_tables import beside_table
from reports.table1 import beside_table as evaluated_table
from reports.tables import verdict_table
from reports.write import made_beside, write_document

PAPER_DIR = "_paper"
_FIGURES = ("results.png", "heatmap.png", "factors.png", "grid.png")  # of each sweep
_TITLE = "Klear-Reasoner's comparisons, measured beside published"
_WIDTH = "model.hidden_size"
_MEASURED = (_WIDTH, "task.name", "rl.max_response_tokens", "rl.steps", "sft.steps", "rl.learning_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A sweep that was run."""

    data: SweepData
    analysis: Analysis


def write_paper(runs_dir: Path, folder: Path, *, report_link: str = "../{sweep}/report/report.md") -> Path:
    """Write the document in every format into ``folder``; returns the path of paper.md.

    Sweeps and evaluations that are not in ``runs_dir`` have an em dash and the command that runs them.  ``report_link``
    says where the report of a sweep lies from the document.
    """
    evaluations, unreadable = read_results(runs_dir)
    swept = {name: _measured(runs_dir, name) for name in _names() if (runs_dir / name / schema.PLAN_FILE).is_file()}
    with made_beside(folder) as beside:
        writer = _Writer(swept, evaluations, unreadable, beside, report_link)
        write_document(
            beside,
            "paper",
            title=_TITLE,
            markdown=writer.text(),
            tables=writer.tables,
            figures=writer.figures,
            facts={
                "sweeps": {name: sorted(source_hashes(one.data)) for name, one in swept.items()},
                "unreadable": list(unreadable),
            },
        )
    return folder / "paper.md"


def _names() -> list[str]:
    return list(dict.fromkeys(name for item in ITEMS for name in (item.sweep, *item.more) if name))


def _measured(runs_dir: Path, name: str) -> Measured:
    data = load_sweep(runs_dir, name)
    return Measured(data=data, analysis=analyse(data))


class _Writer:
    """One method a section; ``tables`` and ``figures`` are those that the text shows."""

    def __init__(
        self,
        swept: Mapping[str, Measured],
        evaluations: Sequence[BenchmarkResult],
        unreadable: Sequence[str],
        folder: Path,
        report_link: str,
    ) -> None:
        self._swept = swept
        self._evaluations = evaluations
        self._unreadable = unreadable
        self._folder = folder
        self._report_link = report_link
        self.tables: list[Table] = []
        self.figures: list[str] = []

    def text(self) -> str:
        """The whole document."""
        parts = [self.opening(), self.claims(), *[self.item(item) for item in ITEMS], self.provenance()]
        return "\n".join(parts)

    def opening(self) -> str:
        """What this is, and what it is not."""
        run = ", ".join(self._swept) or "none"
        missing = ", ".join(name for name in _names() if name not in self._swept)
        lines = [
            f"# {_TITLE}",
            "",
            "Every table and figure of Klear-Reasoner (arXiv 2508.07629): what the paper prints, and what the same "
            "question gives on a testbed small enough to be asked with several seeds.",
            "",
            "- **Mechanism checks, not a reproduction.** The paper trains an 8B model on competition mathematics and "
            f"code, one run a cell. Here {self._size()}. Effects are compared, never levels.",
            "- **Arms are paired**: those of a seed share first weights, problems in one order, questions and sampling "
            "seeds. Every interval is a 95 % t interval over seeds unless it says otherwise.",
            "- **Published cells** have the interval that their number of questions allows; no seeds are reported.",
            f"- Sweeps in this document: {run}." + (f" Not run: {missing}." if missing else ""),
        ]
        if CONTROLS in self._swept:
            told = control_sentence(self._checks())
            lines.append(f"- **The harness was tested first**: {told} See [Controls](#controls-of-the-harness).")
        return "\n".join([*lines, ""])

    def _size(self) -> str:
        """Models, tasks and seeds of the sweeps that were run."""
        swept = [one.data for one in self._swept.values()]
        widths = sorted({str(data.plan.fixed[_WIDTH]) for data in swept if _WIDTH in data.plan.fixed}, key=int)
        seeds = sorted({len({run.planned.seed for run in data.runs}) for data in swept})
        models = f"models of hidden size {' and '.join(widths)}" if widths else "small models"
        told = f", {' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds a cell" if seeds else ""
        return f"{models} do generated arithmetic and short programs{told}"

    def _checks(self) -> list[Check]:
        controls = self._swept[CONTROLS]
        return control_checks(controls.data, controls.analysis)

    def claims(self) -> str:
        """Every claim of the paper that a sweep asks, and what came out."""
        held: list[Held] = []
        for item in filter(lambda item: item.claims, ITEMS):
            if item.sweep not in self._swept:
                held += not_run(item)
            for name in (item.sweep, *item.more):
                if name in self._swept:
                    held += held_claims(item, name, self._swept[name].data, self._swept[name].analysis)
        return "\n".join(["## The paper's claims, and what follows here", "", self._table(claim_table(held))])

    def item(self, item: Item) -> str:
        """One table or figure of the paper, with every sweep that belongs to it."""
        if not item.name:
            return self._beyond(item)
        paper = published_table(item.name)
        lines = [f"## {paper.title.capitalize()}: {escape(paper.caption)}", "", escape(heading(paper)), ""]
        if item.evaluated:
            return "\n".join([*lines, *self._evaluated(paper)])
        lines.append(self._table(paper_table(paper)))
        if item.why_not:
            lines += [f"Measured here: {DASH}, as {item.why_not}.", ""]
        for name in filter(None, (item.sweep, *item.more)):
            lines.append(self._sweep(name, item) if name in self._swept else _not_run(name))
        return "\n".join(lines)

    def _evaluated(self, paper: PublishedTable) -> list[str]:
        """Checkpoints that were evaluated here above the printed rows, or how to evaluate one."""
        lost = ["", *(f"- Not readable: {escape(why)}" for why in self._unreadable)]
        if any(result.manifest.task in paper.columns for result in self._evaluations):
            told = "Brackets hold the 95 % t interval over questions; `python -m reports table1` writes every score."
            return [self._table(evaluated_table(self._evaluations, paper)), told, *lost, ""]
        command = "ablations evaluate model=CHECKPOINT task=aime24,aime25,hmmt25 data=BENCHMARKS"
        return [self._table(paper_table(paper)), f"Measured here: {DASH}, not run. `{command}` runs it.", *lost, ""]

    def _beyond(self, item: Item) -> str:
        lines = ["## Controls of the harness", ""]
        if item.sweep not in self._swept:
            return "\n".join([*lines, _not_run(item.sweep)])
        lines += [spec_for(item.sweep).question, "", self._table(control_table(self._checks()))]
        return "\n".join([*lines, self._figure(item.sweep, "results.png"), self._link(item.sweep), ""])

    def _sweep(self, name: str, item: Item) -> str:
        """What a sweep asked, on what, its answer, tables and main picture."""
        data, analysis = self._swept[name].data, self._swept[name].analysis
        spec, plan = spec_for(name), self._swept[name].data.plan
        shown = _points_of(item, plan)
        lines = [f"### Measured: {escape(plan.title)}", "", spec.question, "", _on_what(data, analysis), ""]
        if spec.choose_point:
            lines.append(f"- {chosen_sentence(data, analysis)}")
        elif len(shown) >= MANY_POINTS and analysis.versus:
            lines.append(f"- {escape(overview_sentence(data, analysis))}")
        else:
            lines += [
                f"- {told}"
                for point, told in zip(plan.points, sentences.answers(data, analysis), strict=True)
                if point in shown
            ]
        lines.append("")
        lines += [self._figure(name, figure) for figure in _FIGURES]
        if spec.choose_point:
            lines.append(self._table(chosen_table(data, analysis), name))
        elif len(shown) >= MANY_POINTS:
            lines.append(self._table(overview_table(data, analysis), name))
        else:
            for point in shown:
                lines += [f"{escape(data.told(point))}, against {plan.baseline}:", ""] if len(plan.points) > 1 else []
                lines.append(self._table(verdict_table(analysis, point), name))
        lines += [self._table(factor_table(data, analysis, point), name) for point in shown if spec.factors]
        for beside in spec.beside:
            if beside.table == item.name and published_table(item.name).cells:
                lines.append(self._table(beside_table(data, analysis, beside), name))
        lines += [_differs(item, data), "", self._link(name), ""]
        return "\n".join(lines)

    def provenance(self) -> str:
        """Which code made what, when, and how to make it again."""
        rows = []
        for name, one in self._swept.items():
            runs = one.data.runs
            done = sum(not run.problem for run in runs)
            seconds = sum(run.wall_s for run in runs if not math.isnan(run.wall_s))
            hashes = ", ".join(sorted(source[:12] for source in source_hashes(one.data)))
            rows.append([name, f"{done} of {len(runs)}", _commits(one.data), hashes or DASH, f"{seconds:,.0f}"])
        header = ["sweep", "runs done", "commit", "source hash", "seconds, summed over runs"]
        table = Table(name="sweeps", header=header, rows=rows, raw=pd.DataFrame(rows, columns=header))
        lines = ["## Provenance", "", self._table(table) if rows else "No sweep was run.", ""]
        lines.append(
            "`make paper` runs every sweep that is not done yet and writes this document; `python -m reports paper` "
            "writes it again from the stored rows. Each sweep's own report has its settings, machine and versions."
        )
        return "\n".join(lines) + "\n"

    def _table(self, table: Table, sweep: str = "") -> str:
        named = replace(table, name=f"{sweep}-{table.name}") if sweep else table
        if not named.rows:
            return ""
        self.tables.append(named)
        return named.markdown()

    def _figure(self, sweep: str, name: str) -> str:
        """An image with its caption, drawn once however often it is shown; "" where the data do not allow it."""
        one, path = self._swept[sweep], f"{sweep}-{name}"
        if path not in self.figures:
            if not draw(name, one.data, one.analysis, self._folder / path):
                return ""
            self.figures.append(path)
        return f"![{CAPTIONS[name]}]({path})\n\n{CAPTIONS[name]}\n"

    def _link(self, sweep: str) -> str:
        return f"All of it: [the report of `{sweep}`]({self._report_link.format(sweep=sweep)})."


def _not_run(sweep: str) -> str:
    return f"Measured here: {DASH}, not run. `python -m ablations.run +sweep={sweep}` runs it.\n"


def _points_of(item: Item, plan: schema.Plan) -> list[str]:
    """The operating points that a table of the paper is about, where its claims name some."""
    named = {point for claim in item.claims for point in claim.points}
    # Table 2 has a column for all problems too, which no claim is about.
    kept = [point for point in plan.points if point in named]
    return kept if kept and item.name in ("table_4", "table_5") else list(plan.points)


def _commits(data: SweepData) -> str:
    found = [run.manifest.provenance for run in data.runs if run.manifest is not None]
    told = {f"{where.commit[:12] or 'no checkout'}{', changed' if where.dirty else ''}" for where in found}
    return "; ".join(sorted(told)) or DASH


def _on_what(data: SweepData, analysis: Analysis) -> str:
    plan = data.plan
    seeds = len({run.planned.seed for run in data.runs})
    done = sum(not run.problem for run in data.runs)
    points = f" x {len(plan.points)} operating points" if len(plan.points) > 1 else ""
    return (
        f"On what: {len(plan.treatments)} arms{points} x {seeds} seeds, {done} of {len(data.runs)} runs done; "
        f"{analysis.ask.metric} on {len(analysis.ask.questions)} {analysis.ask.split} questions under "
        f"{analysis.ask.decoding} at step {analysis.ask.step}; baseline {plan.baseline or 'none'}."
    )


def _differs(item: Item, data: SweepData) -> str:
    """The settings of both sides, as a footnote: nothing here is to be read as the paper's experiment done again."""
    there = settings_told(published_table(item.name)) or "not stated"
    fixed = data.plan.fixed
    here = ", ".join(f"{key} {fixed[key]}" for key in _MEASURED if key in fixed)
    return escape(f"Settings differ. There: {there}. Here: {here}.")
