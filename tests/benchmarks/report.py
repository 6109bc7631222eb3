"""Seconds and memory of ``python -m reports`` on a store of 1,000 runs with 1,000 evaluation rows each.

    python tests/benchmarks/report.py
    python tests/benchmarks/report.py --seeds 2

20 arms at 5 operating points with 10 seeds each (``--seeds``), 60 training steps a run; evaluation rows of the test
questions under three decodings and of the validation questions at five steps.  The report is made in a process of its
own, whose seconds, CPU seconds and peak memory are printed as one line of JSON.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measured import Metric, tell

from klear_core.runs import schema, store
from klear_core.runs.log import encode

ARMS, POINTS, STEPS, ROWS = 20, 5, 60, 1000
NAME = "benchmark"
# (split, decoding, steps, questions, samples): 60 x (4 + 4 + 1) + 46 x 2 x 5 = 1,000 rows a run.
ASKED = (
    ("test", "t1.0", (STEPS,), 60, 4),
    ("test", "t0.6_p0.95", (STEPS,), 60, 4),
    ("test", "greedy", (STEPS,), 60, 1),
    ("validation", "t1.0", (12, 24, 36, 48, 60), 46, 2),
)
START = (("test", "t1.0", (0,), 60, 4), ("validation", "t1.0", (0,), 46, 2))


def plan(seeds: int) -> schema.Plan:
    """Every arm at every point with every seed."""
    treatments = {f"arm{k:02d}": f"objective {k}" for k in range(ARMS)}
    points = {f"u{2**k}": f"updates = {2**k}" for k in range(POINTS)}
    runs = [
        schema.PlannedRun(
            arm=f"{treatment}-{point}",
            treatment=treatment,
            point=point,
            seed=seed,
            folder=f"{treatment}-{point}/seed{seed}",
            run_id=f"{treatment}-{point}-s{seed}",
            sft=f"start{seed}",
        )
        for treatment in treatments
        for point in points
        for seed in range(seeds)
    ]
    return schema.Plan(
        sweep=NAME,
        title="A store for timing",
        stage="rl",
        baseline="arm00",
        primary=schema.PrimaryMetric(metric="avg@4", split="test", decoding="t1.0", step=STEPS),
        treatments=treatments,
        points=points,
        fixed={"rl.steps": str(STEPS)},
        floors={point: schema.Floor(accuracy=0.1, note="always answering 0") for point in points},
        runs=runs,
        command="python tests/benchmarks/report.py",
        created="2026-01-01T00:00:00Z",
    )


def evaluation(asked: tuple[Any, ...], accuracy: float, rng: np.random.Generator) -> pa.Table:
    """Rows of a run with every column that a run writes."""
    parts = []
    for split, decoding, steps, questions, samples in asked:
        step, question, sample = (
            grid.ravel() for grid in np.meshgrid(steps, range(questions), range(samples), indexing="ij")
        )
        parts.append((np.full(len(step), split), np.full(len(step), decoding), step, question, sample))
    split, decoding, step, question, sample = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    count = len(step)
    correct = rng.random(count) < accuracy
    columns = {
        "step": step,
        "split": split,
        "decoding": decoding,
        "question": question,
        "problem_id": [f"{number:012x}" for number in question],
        "difficulty": (question % 5).astype(float),
        "sample": sample,
        "answer": [str(number % 10) for number in question],
        "extracted": [str(number) for number in rng.integers(0, 10, count)],
        "verdict": np.where(correct, "CORRECT", "WRONG"),
        "correct": correct,
        "pass_rate": np.full(count, np.nan),
        "tests": [""] * count,
        "response_tokens": rng.integers(10, 60, count),
        "response": [f"<think>{number:x}" + "0-3=7;" * 8 + "</think>" for number in rng.integers(0, 2**31, count)],
    }
    return pa.table({name: columns[name] for name in schema.EVAL_COLUMNS})


def write_run(folder: Path, run: schema.PlannedRun, asked: tuple[Any, ...], rng: np.random.Generator) -> None:
    """One done run."""
    folder.mkdir(parents=True)
    provenance = schema.Provenance(
        commit="c" * 40,
        dirty=False,
        source_hash="s" * 64,
        versions={"torch": "2"},
        machine={"cores": "2"},
        threads=1,
        command="c",
    )
    manifest = {field: getattr(run, field) for field in ("run_id", "arm", "treatment", "point", "seed", "sft")}
    told = schema.Manifest(
        **manifest,
        sweep=NAME,
        identity="i",
        config_hash="h",
        data_hash="d" * 64,
        grading="exact answers",
        provenance=provenance,
    )
    (folder / schema.MANIFEST_FILE).write_text(json.dumps(dataclasses.asdict(told)))
    status = schema.Status(
        run_id=run.run_id,
        identity="i",
        state="done",
        attempt=1,
        exit_class="ok",
        reason="",
        owner=schema.Owner(pid=1, process_start="", boot_id=""),
        started="2026-01-01T00:00:00Z",
        ended="2026-01-01T00:01:00Z",
        wall_s=60.0,
        sources=["s" * 64],
    )
    (folder / schema.STATUS_FILE).write_text(json.dumps(dataclasses.asdict(status)))
    accuracy = 0.4 + 0.01 * int(run.treatment[3:]) + 0.02 * rng.standard_normal()
    pq.write_table(evaluation(asked, accuracy, rng), folder / schema.EVAL_FILE, compression="zstd")
    if asked is START:
        return
    for name, fields in ((schema.STEPS_FILE, schema.STEP_FIELDS), (schema.TIMINGS_FILE, schema.TIMING_FIELDS)):
        values = rng.random((STEPS, len(fields)))
        lines = []
        for step in range(1, STEPS + 1):
            row: dict[str, Any] = dict(zip(fields, values[step - 1].tolist(), strict=True)) | {"step": step}
            if name == schema.STEPS_FILE:
                row |= {"updates": 4 * step, "samples": 256 * step, "tokens": 6000 * step, "problems_hash": f"{step:x}"}
                row |= {"response_tokens_mean": 23.0, "invalid_completions": 0, "band_fraction": 0.01}
                row |= {"gradient_variance": float("nan"), "zero_variance_groups": 0.4}
            lines.append(encode(row, step))
        (folder / name).write_bytes(b"".join(lines))


def write_store(root: Path, seeds: int) -> None:
    """The whole store."""
    rng = np.random.default_rng(0)
    told = plan(seeds)
    store.write_json(root / NAME / schema.PLAN_FILE, told)
    for seed in range(seeds):
        start = next(run for run in told.runs if run.seed == seed)
        write_run(root / schema.SFT_STORE_DIR / start.sft, start, START, rng)
    for run in told.runs:
        write_run(root / NAME / run.folder, run, ASKED, rng)


def main() -> None:
    """Write the store, report on it and print what that cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="100 runs each")
    parser.add_argument("--store", type=Path, help="keeps the store here (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.store or Path(scratch)
        if not (root / NAME).exists():
            write_store(root, options.seeds)
        environment = os.environ | {"OMP_NUM_THREADS": "2"}
        command = [sys.executable, "-m", "reports", NAME, "--runs", str(root)]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        seconds = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    runs = ARMS * POINTS * options.seeds
    told = {"runs": runs, "rows": runs * ROWS, "seconds": round(seconds, 1)}
    told |= {"cpu_seconds": round(used.ru_utime + used.ru_stime, 1), "peak_mib": round(used.ru_maxrss / 1024)}
    print(json.dumps(told | {"aim": "1,000 runs in at most 20 s and 2048 MiB"}))
    tell(
        [
            Metric(name="wall", value=seconds, unit="s", better="lower", is_compared=False),
            Metric(name="processor", value=used.ru_utime + used.ru_stime, unit="s", better="lower"),
            Metric(name="peak memory", value=used.ru_maxrss / 1024, unit="MiB", better="lower"),
        ],
        runs=runs,
        rows=runs * ROWS,
    )


if __name__ == "__main__":
    main()
