"""A finished sweep of one run, as this code would leave it: what the cases of ``malformed_runs`` spoil a copy of."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ablations import launch
from ablations.run import compose
from klear_core.runs import provenance, schema, store
from klear_core.runs.log import RecordLog


@functools.cache
def _whole() -> Path:
    """A sweep of one finished run, as this code would leave it; every case spoils a copy."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    runs = Path(folder) / "runs"
    prepared = launch.prepare(compose(["scale=smoke", f"launch.runs_dir={runs}"]))
    jobs = {job.stage: job for job in launch.lay_out(prepared, wandb_mode="disabled")}
    for stage, job in jobs.items():
        store.write_json(job.folder / schema.MANIFEST_FILE, _manifest(job))
        status = schema.Status(
            run_id=job.run_id,
            identity=job.identity,
            state="done",
            attempt=1,
            exit_class="ok",
            reason="",
            owner=schema.Owner(pid=1, process_start="1", boot_id="an earlier boot"),
            started="2026-01-01T00:00:00Z",
            ended="2026-01-01T00:01:00Z",
            wall_s=60.0,
            sources=[job.source],
        )
        store.write_json(job.folder / schema.STATUS_FILE, status)
        fields = schema.SFT_STEP_FIELDS if stage == "sft" else schema.STEP_FIELDS
        with RecordLog(job.folder / schema.STEPS_FILE) as log:
            for step in (1, 2, 3):
                log.append(dict.fromkeys(fields, 0.5) | {"step": step, "problems_hash": "x"})
        with RecordLog(job.folder / schema.EVAL_LOG) as log:
            for row in _answers(0 if stage == "sft" else 3):
                log.append(row)
        store.write_tables(job.folder)
    with RecordLog(prepared.checked.folder / schema.LEDGER_FILE) as log:
        for event in ("sweep_started", "sweep_ended"):
            log.append({"event": event})
    return runs


def _manifest(job: Any) -> Any:
    config = job.config
    return schema.Manifest(
        run_id=job.run_id,
        sweep="adhoc",
        arm=job.arm,
        treatment=config.treatment,
        point="",
        seed=0,
        identity=job.identity,
        config_hash=job.config_hash,
        data_hash="d",
        sft=job.sft,
        grading="exact answers",
        provenance=provenance.collect_provenance(source=job.source, command="c", threads=1),
    )


def _answers(step: int) -> list[dict[str, Any]]:
    asked = {
        "step": step,
        "split": "test",
        "decoding": "t1.0",
        "correct": True,
        "verdict": "CORRECT",
        "response_tokens": 9,
    }
    rows = [asked | {"question": question, "sample": sample} for question in range(4) for sample in range(2)]
    return [dict.fromkeys(schema.EVAL_COLUMNS, "") | row for row in rows]


def whole(root: Path) -> None:
    """The sweep as it was left."""
    shutil.copytree(_whole(), root / "runs")
