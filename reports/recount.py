"""Primary scores and paired differences straight from stored rows: another way to the numbers of a report.

Plain Python over the rows of each run, with the t test of scipy.  Nothing here is shared with what makes the report, so
that a fault of the one does not hide in the other.
"""

import csv
import json
import math
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from scipy.stats import ttest_1samp

from klear_core.errors import RunStoreError
from klear_core.runs.log import read_log

_TOLERANCE = 1e-9
_COLUMNS = ["step", "split", "decoding", "question", "problem_id", "sample", "correct", "verdict"]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One number of a report that is not what the stored rows give; texts, as they are shown."""

    file: str
    place: str  # row and column, or line
    stored: str
    recomputed: str


def recount(sweep: Path, report: Path) -> tuple[int, list[Difference]]:
    """How many numbers of results-*.csv and verdicts-*.csv in ``report`` were counted again, and those that differ.

    ``sweep`` is the folder with plan.json.  Differences of more than 1e-9 count.
    """
    plan = json.loads((sweep / "plan.json").read_text(encoding="utf-8"))
    scores = _scores(sweep, plan)
    known, found = 0, []
    for path in sorted([*report.glob("results*.csv"), *report.glob("verdicts*.csv")]):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for number, row in enumerate(rows, start=2):
            point, arm = ((row.get(name) or "").removeprefix("'") for name in ("point", "treatment"))
            if path.name.startswith("results"):
                expected = _result(scores, point, arm, row)
            else:
                expected = _verdict(scores, point, arm, plan["baseline"])
            for column, value in expected.items():
                known += 1
                if not _same(row.get(column) or "", value):
                    place = f"row {number} ({point or '-'}, {arm}), {column}"
                    found.append(
                        Difference(
                            file=path.name,
                            place=place,
                            stored=row.get(column) or "nothing",
                            recomputed=f"{value!r} by hand",
                        )
                    )
    return known, found


def _same(cell: str, value: float) -> bool:
    if cell == "" or math.isnan(value):
        return cell == "" and math.isnan(value)
    try:
        return abs(float(cell) - value) <= _TOLERANCE
    except ValueError:
        return False


def _result(scores: dict[tuple[str, str, int], float], point: str, arm: str, row: Row) -> dict[str, float]:
    """What a row of results-*.csv must hold: every seed, their mean and its interval."""
    seeds = {seed: value for (p, t, seed), value in scores.items() if (p, t) == (point, arm)}
    named = {int(column[4:]) for column in row if re.fullmatch(r"seed\d+", column)} | seeds.keys()
    mean, low, high, _ = _t_test(list(seeds.values()))
    expected = {"score": mean, "low": low, "high": high, "seeds": float(len(seeds))}
    return expected | {f"seed{seed}": seeds.get(seed, math.nan) for seed in sorted(named)}


def _verdict(scores: dict[tuple[str, str, int], float], point: str, arm: str, baseline: str) -> dict[str, float]:
    """What a row of verdicts-*.csv must hold: the mean paired difference, its interval and p."""
    seeds = [seed for (p, t, seed) in scores if (p, t) == (point, arm) and (point, baseline, seed) in scores]
    differences = [scores[point, arm, seed] - scores[point, baseline, seed] for seed in seeds]
    mean, low, high, p = _t_test(differences)
    if len(differences) > 1 and math.isnan(p):  # all are equal: only their signs say something
        p = 1.0 if abs(mean) <= 1e-12 else 2.0 ** (1 - len(differences))
        low, high = (low, high) if p == 1 else (math.nan, math.nan)
    return {"difference": mean, "low": low, "high": high, "p": p, "seeds": float(len(seeds))}


def _t_test(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean, 95 % interval and p of the mean against 0; NaN where there are too few values."""
    if len(values) < 2:
        return (values[0] if values else math.nan, math.nan, math.nan, math.nan)
    mean = math.fsum(values) / len(values)
    if max(values) - min(values) <= 1e-12:
        return mean, mean, mean, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of values that hardly differ
        tested = ttest_1samp(values, 0.0)
        low, high = tested.confidence_interval(0.95)
    return mean, float(low), float(high), float(tested.pvalue)


def _scores(sweep: Path, plan: Row) -> dict[tuple[str, str, int], float]:
    """Score by operating point, arm and seed of every run that has one."""
    primary = plan["primary"]
    kind, k = re.fullmatch(r"(avg|pass)@(\d+)", primary["metric"]).groups()  # type: ignore[union-attr]
    rows = {run["folder"]: _rows(sweep / run["folder"], run) for run in plan["runs"]}
    odd = _of_other_questions(plan, rows)
    rows = {folder: [] if folder in odd else found for folder, found in rows.items()}
    questions = {row["question"] for found in rows.values() for row in found if row["split"] == primary["split"]}
    scores = {}
    for run in plan["runs"]:
        asked = [row for row in rows[run["folder"]] if all(row[n] == primary[n] for n in ("split", "decoding", "step"))]
        if asked and _is_done(sweep / run["folder"], primary["step"]):
            value = _score(asked, questions, kind, int(k))
            if not math.isnan(value):
                scores[run["point"], run["treatment"], run["seed"]] = value
    return scores


def _score(rows: Iterable[Row], questions: set[int], kind: str, k: int) -> float:
    """avg@k or pass@k, mean over questions; NaN when a question is missing or has too few samples."""
    samples: dict[int, list[bool | None]] = defaultdict(list)
    for row in rows:
        samples[row["question"]].append(None if row["verdict"] == "GRADER_ERROR" else row["correct"])
    if samples.keys() < questions or min(map(len, samples.values())) < k:
        return math.nan
    values = []
    for given in samples.values():
        judged = [correct for correct in given if correct is not None]
        right, n = sum(judged), len(judged)
        if not n or (kind == "pass" and n < k):
            return math.nan
        values.append(right / n if kind == "avg" else 1 - math.comb(n - right, k) / math.comb(n, k))
    return math.fsum(values) / len(values)


def _rows(folder: Path, run: Row) -> list[Row]:
    """Evaluation rows of a run; [] where they cannot be counted."""
    try:
        if json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["run_id"] != run["run_id"]:
            return []
        if (folder / "eval.parquet").is_file():
            rows: list[Row] = pq.read_table(folder / "eval.parquet", columns=_COLUMNS).to_pylist()
        else:
            rows = list(read_log(folder / "eval.jsonl"))
        samples = {tuple(row[name] for name in ("split", "decoding", "step", "question", "sample")) for row in rows}
        contradictory = any(row["correct"] != (row["verdict"] == "CORRECT") for row in rows)
    except (OSError, ValueError, KeyError, RunStoreError):
        return []
    return [] if len(samples) < len(rows) or contradictory else rows


def _is_done(folder: Path, steps: int) -> bool:
    """Whether a run ended well and all that it left beside its evaluation can be read."""
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
        made = [row["step"] for row in read_log(folder / "steps.jsonl")]
        for name in ("filter.json", "mix.json"):
            json.loads((folder / name).read_text(encoding="utf-8") if (folder / name).is_file() else "{}")
        if (folder / "timings.jsonl").is_file():
            list(read_log(folder / "timings.jsonl"))
    except (OSError, ValueError, KeyError, RunStoreError):
        return False
    return bool(status["state"] == "done" and len(set(made)) == len(made) == steps)


def _of_other_questions(plan: Row, rows: dict[str, list[Row]]) -> set[str]:
    """Folders of runs that were asked a question that no other run was, or another problem than most as a question."""
    asked: Counter[tuple[str, int]] = Counter()
    problems: dict[tuple[str, str, int], Counter[str]] = defaultdict(Counter)
    of_run, splits = {}, Counter[str]()
    for run in plan["runs"]:
        mine = {(row["split"], row["question"], row["problem_id"]) for row in rows[run["folder"]]}
        of_run[run["folder"]] = {(run["point"], *one) for one in mine}
        asked.update({one[:2] for one in mine})
        splits.update({one[0] for one in mine})
        for split, question, problem in mine:
            problems[run["point"], split, question][problem] += 1
    return {
        folder
        for folder, mine in of_run.items()
        for point, split, question, problem in mine
        if (asked[split, question] == 1 and splits[split] > 2)
        or problems[point, split, question].most_common(1)[0][0] != problem
    }
