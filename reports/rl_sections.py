"""The sections of a report on RL runs."""

from reports import sentences
from reports.controls import control_checks, control_table
from reports.factors import factor_table
from reports.operating_points import chosen_sentence, chosen_table
from reports.reward_tables import filter_table, noise_table, reward_table
from reports.scaling_tables import scaling_table
from reports.sections import Sections
from reports.training_tables import corner_table, cost_table, speed_table, threshold_table, training_table


def rl_sections(sections: Sections) -> list[str]:
    """Every section that has something to say, in the order of the report."""
    parts = [controls(sections), chosen(sections), factors(sections), sections.across_tasks(), sections.decodings()]
    parts += [rewards(sections), filtered(sections), sections.published(), sections.contrasts()]
    parts += [mechanism(sections), training(sections)]
    return [part for part in parts if part]


def controls(sections: Sections) -> str:
    """What each control came to."""
    if not sections.spec.about_controls:
        return ""
    table = control_table(control_checks(sections.data, sections.analysis))
    return "\n".join(["## Controls", "", sections.table(table)]) + "\n"


def chosen(sections: Sections) -> str:
    """Every arm at its own best operating point."""
    if not sections.spec.choose_point:
        return ""
    lines = ["## Each arm at its own best settings", "", chosen_sentence(sections.data, sections.analysis), ""]
    table = sections.table(chosen_table(sections.data, sections.analysis))
    return "\n".join([*lines, sections.figure("heatmap.png"), table]) + "\n"


def factors(sections: Sections) -> str:
    """What each of the settings does that the arms combine."""
    if not sections.spec.factors:
        return ""
    parts = sections.per_point(lambda data, point: factor_table(data, sections.analysis, point))
    return "\n".join(["## What each setting does", "", sections.figure("factors.png"), *parts]) + "\n"


def rewards(sections: Sections) -> str:
    """What the reward gave, where its spread or the gradient's noise is what the sweep is about."""
    if not sections.spec.about_reward:
        return ""
    lines = ["## What the reward gave", "", *sections.per_point(reward_table), sections.figure("signal.png")]
    noise = sections.per_point(noise_table)
    lines += ["## How noisy the gradient was", "", *noise] if noise else []
    return "\n".join(lines) + "\n"


def filtered(sections: Sections) -> str:
    """What filters dropped; nothing where no arm has one."""
    dropped = any(row["dropped"] for run in sections.data.runs for row in run.filter)
    if not dropped:
        return ""
    return "\n".join(["## What the filter dropped", "", sections.table(filter_table(sections.data))]) + "\n"


def mechanism(sections: Sections) -> str:
    """What clipping did."""
    lines = ["## What clipping did", "", sections.spec.mechanism, ""]
    lines.append("The reference band is [0.8, 1.28] for every arm; updates after the first of each step are counted.")
    lines += ["", *sections.per_point(corner_table), sentences.entropy_of_clipped(sections.data), ""]
    lines += [sections.figure("corners.png"), sections.figure("weights.png")]
    return "\n".join(lines) + "\n"


def training(sections: Sections) -> str:
    """Curves, the state at the end of training, and cost."""
    lines = ["## How training went", "", *sections.per_point(training_table), sections.figure("curves.png")]
    speed = sections.per_point(lambda data, point: speed_table(data, sections.analysis, point))
    speed += sections.per_point(lambda data, point: threshold_table(data, sections.analysis, point))
    ends = sections.per_point(lambda data, point: scaling_table(data, sections.analysis, point))
    lines += [
        "## How fast it learned",
        "",
        *speed,
        "## Where the curves would end",
        "",
        *ends,
        "## What it cost",
        "",
        *sections.per_point(cost_table),
        sections.figure("cost_curves.png"),
    ]
    return "\n".join(lines) + "\n"
