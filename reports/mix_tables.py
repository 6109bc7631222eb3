"""Tables of supervised runs: what each mix holds, training, cost, and the comparison by difficulty of the question."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis import Analysis
from reports.load import RunData, SweepData
from reports.markdown import DASH, Table, interval, number
from reports.scores import Ask, score
from reports.stats import compare, mean_interval
from reports.tables import arm_name, file_name
from reports.training_tables import mean, percent

_LEVELS = ("easy", "hard")

MANY_POINTS = 3  # operating points from which on a report begins with all of them at one look


def mix_table(data: SweepData, point: str) -> Table:
    """What each arm imitated: size, sources, teachers, share of right demonstrations, difficulty."""
    rows, raw = [], []
    for treatment in data.plan.treatments:
        mixes = [run.mix for run in data.at(point, treatment) if "examples" in run.mix]
        if not mixes:
            continue
        facts = pd.DataFrame([_facts(mix) for mix in mixes])
        first = mixes[0]
        rows.append(
            [
                treatment,
                _whole(facts["examples"]),
                _whole(facts["prompts"]),
                _shares(first["source"]),
                _shares(first["teacher"]),
                percent(float(facts["right"].mean())),
                number(float(facts["difficulty"].mean()), ".2f"),
                " / ".join(str(int(facts[name].max())) for name in ("contaminated", "duplicates", "too_long")),
            ]
        )
        raw.append(
            {"point": point, "treatment": treatment, "seeds": len(mixes)} | facts.mean(numeric_only=True).to_dict()
        )
    header = [
        *("arm", "demonstrations", "prompts", "sources", "teachers", "right", "difficulty"),
        "contaminated / duplicate / too long",
    ]
    notes = [
        "Each seed draws its own demonstrations: shares of sources are those of the first seed, numbers are means over "
        "seeds, the last column counts what was left out (the most of any seed). Right: share of demonstrations with a "
        "right final answer. `mix.json` in each run folder has every step with its counts, and a hash of the contents.",
    ]
    return Table(name=file_name("mixes", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def _facts(mix: Mapping[str, Any]) -> dict[str, float]:
    judged = {row["value"]: row["count"] for row in mix["is_correct"] if row["value"] is not None}
    known = [row for row in mix["difficulty"] if row["value"] is not None]
    weight = sum(row["count"] for row in known)
    dropped: Counter[str] = Counter()
    for step in mix["steps"]:
        dropped[step["name"]] += step["details"].get("dropped", 0)
    return {
        "examples": mix["examples"],
        "prompts": mix["prompts"],
        "right": judged.get(True, 0) / sum(judged.values()) if judged else math.nan,
        "difficulty": sum(row["value"] * row["count"] for row in known) / weight if weight else math.nan,
        "contaminated": dropped["decontaminate"],
        "duplicates": dropped["dedup"],
        "too_long": mix["too_long"],
    }


def _whole(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _shares(counts: Sequence[Mapping[str, Any]]) -> str:
    total = sum(row["count"] for row in counts)
    return ", ".join(f"{row['value'] or 'not said'} {row['count'] / total:.0%}" for row in counts)


def difficulty_table(data: SweepData, analysis: Analysis, point: str) -> Table:
    """Every arm against the baseline on easy and on hard questions apart, paired by seed."""
    split_at = _median_difficulty(data, analysis.ask, point)
    baseline = data.plan.baseline
    rows: list[list[str]] = []
    raw: list[dict[str, object]] = []
    header = ["arm", *(f"{level}: {what}" for level in _LEVELS for what in (analysis.ask.metric, f"minus {baseline}"))]
    if math.isnan(split_at):
        return Table(name=file_name("difficulty", point), header=header, rows=rows, raw=pd.DataFrame(raw))
    asked = {level: _by_level(data, analysis.ask, point, split_at, level) for level in _LEVELS}
    for treatment in data.plan.treatments:
        cells = [treatment]
        for level in _LEVELS:
            ours, theirs = asked[level].get(treatment, {}), asked[level].get(baseline or "", {})
            paired = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
            gap = compare(paired).difference if treatment != baseline else mean_interval([])
            level_score = mean_interval(list(ours.values()))
            cells += [interval(level_score), interval(gap, "+.3f")]
            raw.append(
                {"point": point, "treatment": treatment, "level": level, "score": level_score.value}
                | {"difference": gap.value, "low": gap.low, "high": gap.high, "seeds": len(ours)}
            )
        if cells[1] != DASH:
            rows.append(cells)
    notes = [
        f"Easy: questions of difficulty at most {split_at:g}, the median of the {analysis.ask.split} questions; hard: "
        "the others. 95 % t intervals over seeds, not corrected: a secondary look.",
    ]
    return Table(name=file_name("difficulty", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def _questions(run: RunData, ask: Ask) -> pd.Series:
    """Difficulty by question."""
    rows = run.evaluations
    rows = rows[(rows["split"] == ask.split) & (rows["step"] == ask.step)]
    found: pd.Series = rows.groupby("question")["difficulty"].first()
    return found


def _median_difficulty(data: SweepData, ask: Ask, point: str) -> float:
    for run in data.runs:
        if run.planned.point == point and len(found := _questions(run, ask).dropna()):
            return float(np.median(found))
    return math.nan


def _by_level(data: SweepData, ask: Ask, point: str, split_at: float, level: str) -> dict[str, dict[int, float]]:
    """Score of each seed of each arm on the questions of a level."""
    found: dict[str, dict[int, float]] = {}
    for run in data.runs:
        told = score(run, ask)
        if run.planned.point != point or told.reason:
            continue
        known = _questions(run, ask).dropna()
        chosen = told.by_question[known.index[(known > split_at) if level == "hard" else (known <= split_at)]]
        if len(chosen):
            found.setdefault(run.planned.treatment, {})[run.planned.seed] = float(chosen.mean())
    return found


def supervised_table(data: SweepData, point: str) -> Table:
    """How supervised training went: the loss at its end, visits of each demonstration, what a packed row held."""
    rows, raw = [], []
    for treatment in data.plan.treatments:
        runs = [run for run in data.at(point, treatment) if not run.steps.empty and not run.problem]
        if not runs:
            continue
        frames = [run.steps for run in runs]
        last = mean([float(steps["loss"].tail(10).mean()) for steps in frames])
        tokens = mean([float(steps["response_tokens"].sum()) for steps in frames])
        share = mean([float(steps["response_tokens"].sum() / steps["positions"].sum()) for steps in frames])
        norm = mean([float(steps["grad_norm"].mean()) for steps in frames])
        facts = {"loss": last, "response_tokens": tokens, "learned_share": share, "grad_norm": norm}
        cells = [number(last), number(tokens, ",.0f"), percent(share), number(norm, ".2f"), str(len(runs))]
        rows.append([treatment, *cells])
        raw.append({"point": point, "treatment": treatment, "runs": len(runs)} | facts)
    header = ["arm", "loss (nats a token)", "response tokens learned", "share of positions", "gradient norm", "runs"]
    notes = [
        "Means over finished runs. Loss: of the last 10 updates; losses of different mixes are not comparable, as "
        "some texts are easier to "
        "foresee. Share of positions: response tokens among all that went through the model (prompts, padding).",
    ]
    return Table(name=file_name("training", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def supervised_cost_table(data: SweepData, point: str) -> Table:
    """Seconds and memory of a run."""
    rows, raw = [], []
    for treatment in data.plan.treatments:
        runs = [run for run in data.at(point, treatment) if len(run.timings) and len(run.steps)]
        if not runs:
            continue
        # Of a run that was interrupted, seconds since the last evaluation before are not known.
        whole = [run for run in runs if run.status is not None and run.status.attempt == 1]
        seconds = {name: mean([float(run.timings[name].sum()) for run in whole]) for name in ("update_s", "eval_s")}
        walls = mean([run.wall_s for run in whole if not math.isnan(run.wall_s)])
        rate = mean([float(run.timings["trained_tokens_per_s"].mean()) for run in runs])
        memory = max(float(run.timings["peak_rss_mb"].max()) for run in runs)
        spent = [number(value, ".1f") for value in (walls, *seconds.values())]
        rows.append([treatment, *spent, number(rate, ",.0f"), number(memory, ",.0f"), str(len(runs))])
        raw.append(
            {"point": point, "treatment": treatment, "wall_s": walls, **seconds}
            | {"tokens_per_s": rate, "memory_mb": memory, "runs": len(runs)}
        )
    header = ["arm", "run (s)", "updates (s)", "evaluation (s)", "tokens/s", "memory (MiB)", "runs"]
    notes = [
        "Means over runs, memory the largest of them; tokens/s counts response tokens over the seconds of updates."
    ]
    return Table(name=file_name("cost", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def overview_sentence(data: SweepData, analysis: Analysis) -> str:
    """At how many operating points each arm is better and worse, and where it is better."""
    told = []
    for treatment in data.plan.treatments:
        rows = [versus for versus in analysis.versus if versus.treatment == treatment]
        if not rows:
            continue
        counts = Counter(versus.verdict for versus in rows)
        better = "; ".join(data.told(versus.point) for versus in rows if versus.verdict == "better")
        others = ", ".join(f"{verdict} at {count}" for verdict, count in counts.items() if verdict != "better")
        where = f"better at {counts['better']} ({better})" if better else "better at none"
        told.append(
            f"{treatment} against {data.plan.baseline}, of {len(rows)} operating points: {where}"
            + (f", {others}" if others else "")
        )
    return f"{'. '.join(told)}." if told else ""


def overview_table(data: SweepData, analysis: Analysis) -> Table:
    """The difference to the baseline at every operating point, one row a point and arm."""
    rows, raw = [], []
    for versus in analysis.versus:
        theirs = analysis.cells[versus.point, data.plan.baseline or ""].score
        ours = analysis.cells[versus.point, versus.treatment].score
        found = versus.comparison.difference
        scores = [number(theirs.value), number(ours.value), interval(found, "+.3f"), number(versus.adjusted_p)]
        rows.append([data.told(versus.point), versus.treatment, *scores, versus.verdict])
        raw.append(
            {"point": versus.point, "treatment": versus.treatment, "arm": arm_name(versus.treatment, versus.point)}
            | {"baseline": theirs.value, "score": ours.value, "difference": found.value, "low": found.low}
            | {"high": found.high, "p_holm": versus.adjusted_p, "verdict": versus.verdict}
        )
    header = [
        "at",
        "arm",
        f"{data.plan.baseline}",
        "arm's score",
        "difference [95 % t interval]",
        "p (Holm)",
        "verdict",
    ]
    return Table(name="overview", header=header, rows=rows, raw=pd.DataFrame(raw))
