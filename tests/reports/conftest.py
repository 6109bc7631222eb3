"""A small synthetic sweep on disk, written through the run store, with known truths."""

import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from klear_core.runs import schema, store
from klear_core.runs.log import RecordLog

QUESTIONS, SAMPLES = 12, 4
# (treatment, point) -> accuracy of its runs; "gppo" at u16 collapses.
ACCURACY = {
    ("clip_higher", "u4"): 0.5,
    ("gppo", "u4"): 0.85,
    ("cispo", "u4"): 0.5,
    ("clip_higher", "u16"): 0.6,
    ("gppo", "u16"): 0.1,
    ("cispo", "u16"): 0.6,
}


def _provenance(commit: str = "abc") -> schema.Provenance:
    return schema.Provenance(
        commit=commit,
        dirty=False,
        source_hash="s" * 64,
        versions={"torch": "1"},
        machine={"cores": "2"},
        threads=1,
        command="c",
    )


def _manifest(planned: schema.PlannedRun, **changes: Any) -> schema.Manifest:
    values = {
        "run_id": planned.run_id,
        "sweep": "clipping",
        "arm": planned.arm,
        "treatment": planned.treatment,
        "point": planned.point,
        "seed": planned.seed,
        "identity": "i",
        "config_hash": "h",
        "data_hash": "d" * 64,
        "sft": planned.sft,
        "grading": "exact answers",
        "provenance": _provenance(),
    }
    return schema.Manifest(**(values | changes))


def _status(planned: schema.PlannedRun, **changes: Any) -> schema.Status:
    values = {
        "run_id": planned.run_id,
        "identity": "i",
        "state": "done",
        "attempt": 1,
        "exit_class": "ok",
        "reason": "",
        "owner": schema.Owner(pid=1, process_start="", boot_id=""),
        "started": "2026-01-01T00:00:00Z",
        "ended": "2026-01-01T00:01:00Z",
        "wall_s": 60.0,
        "sources": ["s"],
    }
    return schema.Status(**(values | changes))


def _rows(
    accuracy: float, step: int, decoding: str, seed: int, rng: random.Random, split: str = "test"
) -> list[dict[str, Any]]:
    samples = 1 if decoding == "greedy" else SAMPLES
    rows = []
    for question in range(QUESTIONS):
        for sample in range(samples):
            correct = rng.random() < accuracy + 0.02 * (seed - 1)
            rows.append(
                dict.fromkeys(schema.EVAL_COLUMNS, "")
                | {
                    "step": step,
                    "split": split,
                    "decoding": decoding,
                    "question": question,
                    "sample": sample,
                    "correct": correct,
                    "response_tokens": 20,
                    "verdict": "CORRECT" if correct else "WRONG",
                }
            )
    return rows


def _step(step: int, collapse: bool, band: float) -> dict[str, Any]:
    row = dict.fromkeys(schema.STEP_FIELDS, 0.1)
    return row | {
        "step": step,
        "updates": 4 * step,
        "samples": 8 * step,
        "tokens": 160 * step,
        "problems_hash": "x",
        "response_tokens_mean": 20.0,
        "zero_variance_groups": 1.0 if collapse else 0.3,
        "band_fraction": band,
        "entropy_inside": 0.1,
        "entropy_outside": 0.8,
    }


def _plan(levels: dict[tuple[str, str], float], seeds: int, baseline: str | None) -> schema.Plan:
    runs = [
        schema.PlannedRun(
            arm=f"{t}-{p}",
            treatment=t,
            point=p,
            seed=s,
            folder=f"{t}-{p}/seed{s}",
            run_id=f"{t}-{p}-{s}",
            sft=f"k{s}",
        )
        for (t, p) in levels
        for s in range(seeds)
    ]
    return schema.Plan(
        sweep="clipping",
        title="A synthetic sweep",
        stage="rl",
        baseline=baseline,
        primary=schema.PrimaryMetric(metric="avg@4", split="test", decoding="t1.0", step=12),
        treatments={t: f"objective {t}" for t, _ in levels},
        points={p: f"updates = {p[1:]}" for _, p in levels},
        fixed={"rl.steps": "12"},
        floors={p: schema.Floor(accuracy=0.2, note="always answering 0") for _, p in levels},
        runs=runs,
        command="python -m ablations.run +sweep=clipping",
        created="2026-01-01T00:00:00Z",
    )


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[..., Path]:
    """Write a sweep; returns the runs folder. Keywords change single facts of it."""

    written: list[Path] = []

    def write(
        *,
        seeds: int = 3,
        baseline: str | None = "clip_higher",
        band: float = 0.01,
        fail: tuple[str, int] | None = None,
        reason: str = "at step 2: loss is nan",
        accuracy: dict[tuple[str, str], float] | None = None,
        greedy: dict[tuple[str, str], float] | None = None,
        commits: tuple[str, ...] = ("abc",),
        skip: tuple[str, int] | None = None,
    ) -> Path:
        levels = accuracy or ACCURACY
        root = tmp_path / f"runs{len(written)}"
        written.append(root)
        plan = _plan(levels, seeds, baseline)
        folder = root / "clipping"
        store.write_json(folder / schema.PLAN_FILE, plan)
        store.write_json(
            folder / schema.WEIGHTS_FILE,
            {
                "ratios": [0.5, 1.0, 1.5],
                "weights": {t: {"positive": [1, 1, 1], "negative": [1, 1, 1]} for t, _ in levels},
            },
        )
        for s in range(seeds):
            start = next(run for run in plan.runs if run.seed == s)
            home = root / schema.SFT_STORE_DIR / f"k{s}"
            store.write_json(home / schema.MANIFEST_FILE, _manifest(start, arm="sft"))
            store.write_json(home / schema.STATUS_FILE, _status(start))
            rng = random.Random(f"sft{s}")
            rows = _rows(0.3, 0, "t1.0", s, rng) + _rows(0.3, 0, "t1.0", s, rng, "validation")
            store.write_table(home / schema.EVAL_FILE, rows, schema.EVAL_COLUMNS)
        for k, run in enumerate(plan.runs):
            if skip == (run.arm, run.seed):
                continue
            _write_run(
                folder / run.folder, run, levels, greedy or levels, band, fail, reason, commits[k % len(commits)]
            )
        return root

    return write


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing may look up a host or connect, nor know an account of the machine."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("WANDB_API_KEY", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))


@pytest.fixture
def planned_sweep(tmp_path: Path) -> Path:
    """The runs folder of a sweep that is planned, two seeds an arm, and not started."""
    root = tmp_path / "planned"
    store.write_json(root / "clipping" / schema.PLAN_FILE, _plan(ACCURACY, 2, "clip_higher"))
    return root


def _write_run(
    home: Path,
    run: schema.PlannedRun,
    levels: dict[tuple[str, str], float],
    greedy: dict[tuple[str, str], float],
    band: float,
    fail: tuple[str, int] | None,
    reason: str,
    commit: str,
) -> None:
    key = (run.treatment, run.point)
    failed = fail == (run.arm, run.seed)
    rng = random.Random(f"{run.treatment}{run.point}{run.seed}")
    store.write_json(home / schema.MANIFEST_FILE, _manifest(run, provenance=_provenance(commit)))
    ended = {"state": "failed", "exit_class": "diverged", "reason": reason} if failed else {}
    store.write_json(home / schema.STATUS_FILE, _status(run, **ended))
    last = 2 if failed else 12
    with RecordLog(home / schema.STEPS_FILE) as steps, RecordLog(home / schema.TIMINGS_FILE) as timings:
        for step in range(1, last + 1):
            steps.append(_step(step, key == ("gppo", "u16"), band))
            timings.append(dict.fromkeys(schema.TIMING_FIELDS, 0.5) | {"step": step})
    if not failed:
        rows = _rows(levels[key], 12, "t1.0", run.seed, rng) + _rows(greedy[key], 12, "greedy", run.seed, rng)
        rows += _rows(levels[key], 6, "t1.0", run.seed, rng, "validation")
        store.write_table(home / schema.EVAL_FILE, rows, schema.EVAL_COLUMNS)
