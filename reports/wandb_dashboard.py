"""A sweep's W&B workspace and W&B report as code, on the groups, run ids and keys that its runs log."""

import hashlib
import json
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from klear_core.errors import ConfigError, HarnessError
from klear_core.runs.schema import PlannedRun
from klear_core.runs.wandb_sink import key_in_netrc
from reports.dashboard_panels import Panel, Section, accuracy_key, sections
from reports.load import SweepData
from reports.markdown import plain
from reports.panels import colour

_COLUMNS = 3
_WIDTH, _HEIGHT = 8, 6  # of a panel; the grid of a report is 24 wide
_LONGEST_TITLE = 128  # of a report
# Categories of characters that the library refuses in a workspace's name, as they may be emoji.
_REFUSED = ("So", "Sk", "Sm", "Sc", "Cs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """The workspace holds all runs of the plan together, the report one grid per section and operating point."""

    workspace: Any  # ws.Workspace
    report: Any  # wr.Report


def build(data: SweepData, *, entity: str, project: str) -> Dashboard:
    """The dashboard of a sweep, from its plan; asks no server for anything."""
    shown = sections(data)
    return Dashboard(workspace=_workspace(data, shown, entity, project), report=_report(data, shown, entity, project))


def specification(dashboard: Dashboard) -> dict[str, Any]:
    """What ``save`` would send, as plain data; equal for equal plans."""
    # The library has no public way to see a specification without saving it.
    workspace, report = dashboard.workspace._to_model(), dashboard.report._to_model()
    return {
        "entity": workspace.entity,
        "project": workspace.project,
        "workspace": {"name": workspace.display_name, "spec": _sent(workspace)},
        "report": {"title": report.display_name, "description": report.description, "spec": _sent(report)},
    }


def check_account(entity: str) -> None:
    """ConfigError unless there is a key and an entity to save under; never a login prompt."""
    if not (os.environ.get("WANDB_API_KEY") or key_in_netrc()):
        raise ConfigError("--save needs a W&B account: set WANDB_API_KEY, or leave --save out to write the JSON only")
    if not entity:
        raise ConfigError("--save needs the user or team of the W&B project: give --entity or set WANDB_ENTITY")


def save(dashboard: Dashboard) -> Iterator[str]:
    """Save workspace and report as new views; the address of each. HarnessError with the service's reason."""
    for kind, view in (("workspace", dashboard.workspace), ("report", dashboard.report)):
        try:
            view.save()
            address = view.url
        except Exception as error:  # whatever the service, or the way to it, comes up with
            raise HarnessError(f"W&B did not save the {kind}: {type(error).__name__}: {error}") from None
        yield f"{kind}: {address}"


def _workspace(data: SweepData, shown: Sequence[Section], entity: str, project: str) -> Any:
    plan = data.plan
    colours = {run.arm: colour(data, run.treatment) for run in plan.runs}
    workspace = ws.Workspace(
        entity=entity,
        project=project,
        name="".join("_" if unicodedata.category(sign) in _REFUSED else sign for sign in plain(plan.sweep)),
        sections=[
            ws.Section(
                name=section.name,
                panels=_plots(data, section, "workspace", len(colours)),
                is_open=True,
                layout_settings=ws.SectionLayoutSettings(columns=_COLUMNS, rows=-(-len(section.panels) // _COLUMNS)),
            )
            for section in shown
        ],
        settings=ws.WorkspaceSettings(max_runs=len(colours)),
        runset_settings=ws.RunsetSettings(
            filters=_only(data, plan.runs),
            groupby=[expr.Config("arm")],
            group_colors=colours,
            pinned_columns=[f"summary:{accuracy_key(plan.primary.split, plan.primary.decoding)}"],
        ),
    )
    workspace._internal_runset_id = _id(data, "workspace")
    return workspace


def _report(data: SweepData, shown: Sequence[Section], entity: str, project: str) -> Any:
    blocks = [*_introduction(data), wr.TableOfContents()]
    for section in shown:
        meanings = {panel.y: panel.meaning for panel in section.panels}
        blocks.append(wr.H1(section.name))
        blocks.append(wr.UnorderedList([[wr.InlineCode(key), f": {text}"] for key, text in meanings.items()]))
        for point in data.plan.points:
            headings = [wr.H2(plain(data.told(point)))] if len(data.plan.points) > 1 else []
            blocks += [*headings, _grid(data, section, point)]
    title = plain(f"{data.plan.sweep}: {data.plan.title}")[:_LONGEST_TITLE]
    return wr.Report(entity=entity, project=project, title=title, blocks=blocks, width="fluid")


def _introduction(data: SweepData) -> list[Any]:
    plan, primary = data.plan, data.plan.primary
    seeds = len({run.seed for run in plan.runs})
    declared = f"{primary.metric}, {primary.split} questions, decoding {primary.decoding}, step {primary.step}"
    return [
        wr.P(plain(f"{len(plan.runs)} runs, {seeds} seeds. Baseline: {plan.baseline or 'none'}.")),
        wr.P(plain(f"Primary metric, declared before the runs started: {declared}.")),
        wr.P("Lines are means over the seeds of an arm, bands the range that the seeds span; nothing is smoothed."),
        wr.P(["The runs were started with ", wr.InlineCode(plain(plan.command))]),
        wr.P(
            [
                "Intervals and verdicts are made from the run folders, which W&B only mirrors: ",
                wr.InlineCode(plain(f"python -m reports {plan.sweep}")),
            ]
        ),
        wr.UnorderedList([[wr.InlineCode(plain(name)), f": {plain(told)}"] for name, told in plan.treatments.items()]),
    ]


def _grid(data: SweepData, section: Section, point: str) -> Any:
    """The panels of a section over the runs of one operating point."""
    runs = [run for run in data.plan.runs if run.point == point]
    colours = {run.arm: colour(data, run.treatment) for run in runs}
    name = plain(data.told(point))
    # Without an entity of its own a run set is of the report's project; with one the library looks the project up.
    runset = wr.Runset(name=name, filters=_only(data, runs), groupby=["config.arm"])
    runset._id = _id(data, section.name, point)
    groups = {arm: wr.RunsetGroup(name, (wr.RunsetGroupKey(wr.Config("arm"), arm),)) for arm in colours}
    return wr.PanelGrid(
        runsets=[runset],
        panels=_plots(data, section, point, len(colours)),
        custom_run_colors={groups[arm]: shade for arm, shade in colours.items()},
    )


def _plots(data: SweepData, section: Section, place: str, arms: int) -> list[Any]:
    plots = []
    for k, panel in enumerate(section.panels):
        plot = _plot(panel, arms)
        plot.layout = wr.Layout(x=k % _COLUMNS * _WIDTH, y=k // _COLUMNS * _HEIGHT, w=_WIDTH, h=_HEIGHT)
        plot._id = _id(data, section.name, place, panel.title)
        plots.append(plot)
    return plots


def _plot(panel: Panel, arms: int) -> Any:
    """A plot whose lines are what ``reports.panels.band`` draws: mean and range over the seeds."""
    return wr.LinePlot(
        title=panel.title,
        x=panel.x,
        y=[panel.y],
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        smoothing_type="none",
        max_runs_to_show=arms,
    )


def _only(data: SweepData, runs: Iterable[PlannedRun]) -> str:
    """A filter for exactly these runs: others of the same group come from an earlier plan of the same name."""
    names = ", ".join(_quoted(run.run_id) for run in runs)
    return f"Metric('Group') == {_quoted(data.plan.sweep)} and Metric('ID') in [{names}]"


def _quoted(text: str) -> str:
    """A string of the filter language, which rewrites every ``=``, ``<`` and ``>``, those inside strings included."""
    return "'" + "".join(sign if sign.isascii() and sign.isalnum() else f"\\U{ord(sign):08x}" for sign in text) + "'"


def _id(data: SweepData, *place: str) -> str:
    """A fixed identifier in place of the library's random one, so that equal plans give equal specifications."""
    return hashlib.sha256(json.dumps([data.plan.sweep, *place]).encode()).hexdigest()[:12]


def _sent(model: Any) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(model.spec.model_dump_json(by_alias=True, exclude_none=True))
    return sent
