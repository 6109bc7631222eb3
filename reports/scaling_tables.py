"""Tables that put more than one number together by a model: asymptotes of training curves, scores across tasks."""

import re

import numpy as np
import pandas as pd

from reports.aggregate import improvement_probability, interquartile_mean
from reports.analysis import Analysis
from reports.curves import ASYMPTOTE_TIE, SaturatingFit, fit_saturating, main_refusal
from reports.load import SweepData
from reports.markdown import Table, interval, number
from reports.stats import Estimate, mean_interval
from reports.tables import file_name
from reports.training_tables import learning_curve

_TASK_POINT = re.compile(r"task\.name = [^,]+")
_BOOTSTRAP_SEED = 21081326


def scaling_table(data: SweepData, analysis: Analysis, point: str) -> Table:
    """Where each arm's training accuracy would end with ever more tokens, as far as its curves tell."""
    fits = {treatment: _fits(data, point, treatment) for treatment in data.plan.treatments}
    theirs = fits.get(data.plan.baseline or "", {})
    rows, raw = [], []
    for treatment, by_seed in fits.items():
        if not by_seed:
            continue
        known = [fit for fit in by_seed.values() if not fit.refusal]
        refused = len(by_seed) - len(known)
        # The curves that bend early by chance are those that are fitted: of a minority, A would be too low.
        told = known if 2 * len(known) > len(by_seed) else []
        asymptote = mean_interval([fit.asymptote for fit in told])
        middle, exponent = mean_interval([f.midpoint for f in told]), mean_interval([f.exponent for f in told])
        shared = [s for s in by_seed if s in theirs and told and treatment != data.plan.baseline]
        gap = mean_interval([by_seed[seed].asymptote - theirs[seed].asymptote for seed in shared])
        reason = main_refusal(list(by_seed.values()))
        rows.append(
            [
                treatment,
                interval(asymptote),
                _gap(gap),
                number(middle.value, ",.0f"),
                number(exponent.value, ".2f"),
                f"{refused} of {len(by_seed)}" + (f": {reason}" if reason else ""),
            ]
        )
        raw.append(
            {"point": point, "treatment": treatment, "asymptote": asymptote.value, "low": asymptote.low}
            | {"high": asymptote.high, "difference": gap.value, "difference_low": gap.low, "difference_high": gap.high}
            | {"midpoint_tokens": middle.value, "exponent": exponent.value, "refused": refused, "reason": reason}
            | {f"seed{seed}": fit.asymptote for seed, fit in by_seed.items()}
        )
    notes = [
        "A, C_mid and B of R(C) = R0 + (A - R0) / (1 + (C_mid / C)^B) (arXiv 2510.13786), fitted to the training "
        "accuracy of every seed against tokens sampled; means over seeds with 95 % t intervals. A curve that does not "
        "identify A is refused, and A is shown where more than half of the seeds have one. Asymptotes within "
        f"{ASYMPTOTE_TIE:g} are a tie, the spread that the source found over three runs. Training accuracy is on "
        "training problems at the sampling temperature, so A is no forecast of a test score.",
    ]
    header = ["arm", "A", "minus baseline", "C_mid (tokens)", "B", "refused"]
    return Table(name=file_name("scaling", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def _fits(data: SweepData, point: str, treatment: str) -> dict[int, SaturatingFit]:
    found = {}
    for run in data.at(point, treatment):
        if "correct_fraction" in run.steps:
            curve = learning_curve(run)
            found[run.planned.seed] = fit_saturating(curve["tokens"], curve["correct_fraction"])
    return found


def _gap(gap: Estimate) -> str:
    tie = abs(gap.value) <= ASYMPTOTE_TIE
    return interval(gap, "+.3f") + (" (tie)" if tie else "")


def across_tasks_table(data: SweepData, analysis: Analysis) -> Table:
    """Every arm over all tasks together; without rows where the operating points are not tasks."""
    points, baseline = list(data.plan.points), data.plan.baseline
    rows, raw = [], []
    treatments = list(data.plan.treatments) if are_tasks(data) else []
    scores = {t: [list(analysis.cells[point, t].per_seed.values()) for point in points] for t in treatments}
    for treatment, by_task in scores.items():
        if not any(by_task):
            continue
        rng = np.random.default_rng(_BOOTSTRAP_SEED)
        middle = interquartile_mean(by_task, rng=rng)
        above = mean_interval([])
        if baseline is not None and treatment != baseline:
            above = improvement_probability(by_task, scores[baseline], rng=rng)
        runs = ", ".join(str(len(values)) for values in by_task)
        rows.append([treatment, interval(middle), interval(above, ".2f"), runs])
        raw.append(
            {"treatment": treatment, "iqm": middle.value, "iqm_low": middle.low, "iqm_high": middle.high}
            | {"improvement": above.value, "improvement_low": above.low, "improvement_high": above.high}
            | {"tasks": len(points), "runs": middle.n}
        )
    notes = [
        f"Over {len(points)} tasks, each a stratum ({'; '.join(data.told(point) for point in points)}): interquartile "
        f"mean of {analysis.ask.metric} over runs and tasks, and the probability that a run of the arm scores higher "
        f"than one of {baseline or 'a baseline'} on the same task (arXiv 2108.13264; 0.5: no difference). 95 % "
        "percentile intervals of a stratified bootstrap over runs: with fewer than 10 runs a task they are too narrow "
        "to decide anything, and no verdict rests on them.",
    ]
    header = ["arm", f"IQM of {analysis.ask.metric}", f"probability of improvement over {baseline}", "runs a task"]
    return Table(name="across_tasks", header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def are_tasks(data: SweepData) -> bool:
    """Whether the operating points are different tasks and nothing else; settings of one task are never pooled."""
    told = list(data.plan.points.values())
    return len(told) > 1 and all(_TASK_POINT.fullmatch(text) for text in told) and "task.name" not in data.plan.fixed
