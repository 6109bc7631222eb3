"""Evaluation rows of all runs at once: what each question got, and why a run's rows are not counted."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from klear_core.runs.evaluations import read_all
from reports.runs import Asked, Tally

# The columns that statistics need; the texts of a large sweep would fill the memory.
EVALUATED = (
    *("step", "split", "decoding", "question", "problem_id", "difficulty", "sample", "correct", "verdict"),
    "response_tokens",
)
_ASKED = ["run", "split", "decoding", "step"]
_SAMPLE = [*_ASKED, "question", "sample"]
# As few runs as this do not tell which of them was asked the wrong questions.
_TOO_FEW = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRows:
    """Evaluation rows of one run; none where ``flaw`` or ``unreadable`` says why they are not counted."""

    frame: pd.DataFrame
    tallies: Mapping[Asked, Tally] = field(default_factory=dict)
    flaw: str = ""
    unreadable: str = ""


def load_rows(folders: Sequence[Path], points: Sequence[str]) -> list[RunRows]:
    """Rows of every folder; ``points`` are their operating points, within which all runs answer the same questions."""
    found = read_all(folders, EVALUATED)
    frame = found.rows.to_pandas()
    flaws = _other_questions(frame, points) | _contradictions(frame) | _doubled(frame)
    frame = frame[~frame["run"].isin(list(flaws))] if flaws else frame
    tallies = _tallies(frame)
    # Rows of a run stand together, in their order.
    frame = frame.iloc[np.argsort(frame["run"].to_numpy(), kind="stable")]
    runs = frame["run"].to_numpy()
    first = np.searchsorted(runs, np.arange(len(folders) + 1))
    frame = frame[[*EVALUATED]]
    empty = pd.DataFrame(columns=[*EVALUATED])
    return [
        RunRows(
            frame=frame.iloc[first[k] : first[k + 1]].reset_index(drop=True) if first[k] < first[k + 1] else empty,
            tallies=tallies.get(k, {}),
            flaw=flaws.get(k, ""),
            unreadable=found.unreadable.get(k, ""),
        )
        for k in range(len(folders))
    ]


def _tallies(frame: pd.DataFrame) -> dict[int, dict[Asked, Tally]]:
    """Samples by run, split, decoding, step and question, counted once for all metrics."""
    # A response whose grading failed is not a wrong one: its question is judged by the others.
    judged = frame["verdict"] != "GRADER_ERROR"
    counted = frame[[*_ASKED, "question"]].assign(samples=1, judged=judged, hits=frame["correct"] & judged)
    table = counted.groupby([*_ASKED, "question"], observed=True).sum().reset_index()
    changes = (table[_ASKED] != table[_ASKED].shift()).any(axis=1).to_numpy()
    first = np.flatnonzero(changes)
    ends = np.append(first, len(table))[1:]
    columns = {name: table[name].to_numpy(dtype=int) for name in ("question", "samples", "judged", "hits")}
    found: dict[int, dict[Asked, Tally]] = {}
    names = table.iloc[first][_ASKED].itertuples(index=False, name=None)
    for (run, split, decoding, step), start, end in zip(names, first, ends, strict=True):
        found.setdefault(int(run), {})[str(split), str(decoding), int(step)] = Tally(
            questions_Q=columns["question"][start:end],
            samples_Q=columns["samples"][start:end],
            judged_Q=columns["judged"][start:end],
            hits_Q=columns["hits"][start:end],
        )
    return found


def _doubled(frame: pd.DataFrame) -> dict[int, str]:
    """Runs in which a sample stands more than once."""
    again = frame[frame.duplicated(_SAMPLE)]
    return {
        row["run"]: f"{_where(row)}, stands in its evaluation rows more than once"
        for row in again.drop_duplicates("run").to_dict("records")
    }


def _contradictions(frame: pd.DataFrame) -> dict[int, str]:
    """Runs in which ``correct`` says another thing than the verdict."""
    wrong = frame[frame["correct"] != (frame["verdict"] == "CORRECT")]
    return {
        row[
            "run"
        ]: f"{_where(row)}: correct is {str(row['correct']).lower()}, the verdict is {row['verdict'] or 'empty'}"
        for row in wrong.drop_duplicates("run").to_dict("records")
    }


def _other_questions(frame: pd.DataFrame, points: Sequence[str]) -> dict[int, str]:
    """Runs that were asked other questions than most runs of their operating point."""
    asked = frame[["run", "split", "question", "problem_id"]].drop_duplicates()
    found: dict[int, str] = {}
    runs = asked.groupby("split", observed=True)["run"].transform("nunique")
    sharing = asked.groupby(["split", "question"], observed=True)["run"].transform("nunique")
    for row in asked[(sharing == 1) & (runs > _TOO_FEW)].drop_duplicates("run").to_dict("records"):
        found[row["run"]] = f"it alone was asked {row['split']} question {row['question']}"
    asked = asked.assign(point=asked["run"].map(dict(enumerate(points))))
    places = ["point", "split", "question"]
    votes = asked.groupby([*places, "problem_id"], observed=True).size().rename("votes").reset_index()
    if votes.duplicated(places).any():
        usual = votes.sort_values("votes", ascending=False, kind="stable").drop_duplicates(places)
        told = asked.merge(usual, on=places, suffixes=("", "_usual"))
        other = told[told["problem_id"].astype(str) != told["problem_id_usual"].astype(str)]
        for row in other.drop_duplicates("run").to_dict("records"):
            place = f"{row['split']} question {row['question']}"
            found[row["run"]] = f"its {place} is another problem than that of most runs"
    return found


def _where(row: Mapping[Hashable, Any]) -> str:
    """Question, split, decoding, step and sample of a row."""
    place = f"{row['split']} question {row['question']} under {row['decoding']}"
    return f"{place} at step {row['step']}, sample {row['sample']}"
