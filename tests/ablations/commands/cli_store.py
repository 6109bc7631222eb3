"""Synthetic run folders for the tests of the command line, written through the run store."""

import functools
import random
from pathlib import Path

import yaml
from typer.testing import CliRunner

from ablations.cli import app
from ablations.run import compose
from klear_core.runs import schema, store
from klear_core.runs.log import RecordLog, Syncer
from klear_core.settings import to_plain

GONE = schema.Owner(pid=1, process_start="1", boot_id="an earlier boot")
SFT_KEY = "5eed5eed5eed5eed"


def ablations(*arguments, **environment):
    """The command line in this process, without W&B account: exit_code, stdout, stderr."""
    clear = {"WANDB_MODE": None, "WANDB_API_KEY": None, "NETRC": "/dev/null"}
    return CliRunner(env=clear | environment).invoke(app, [str(each) for each in arguments], catch_exceptions=False)


def refused(*arguments, **environment):
    """The one line of a command that must be refused."""
    done = ablations(*arguments, **environment)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@functools.cache
def configs():
    """arm/seed -> config of gppo and clip_higher with three seeds."""
    found = compose(["+sweep=clipping", "scale=smoke", "objective=gppo,clip_higher", "seed=0,1,2"])
    return {f"{config.arm}/seed{config.seed}": config for config in found}


def answers(split, decoding, step, correct, *, start=0, problem="p"):
    """Evaluation rows; ``correct`` holds the samples of each question, the first of which has the index ``start``."""
    return [
        dict.fromkeys(schema.EVAL_COLUMNS, "")
        | {"step": step, "split": split, "decoding": decoding, "question": question, "sample": sample}
        | {"problem_id": f"{problem}{question}", "correct": bool(hit), "response_tokens": 20, "response": "<think>"}
        for question, samples in enumerate(correct, start=start)
        for sample, hit in enumerate(samples)
    ]


def drawn(accuracy, seed, questions=12, samples=2):
    """Random answers that are correct with a probability."""
    rng = random.Random(f"{accuracy}/{seed}")
    return [[rng.random() < accuracy for _ in range(samples)] for _ in range(questions)]


def write_run(root, name, *, rows=(), steps=3, state="done", folder=None, sft=False, **status):
    """Write the run of ``configs()[name]`` with its records; returns its folder."""
    config = configs()[name]
    home = root / schema.SFT_STORE_DIR / SFT_KEY if sft else root / "clipping" / name
    home = folder or home
    run_id = f"sft-{SFT_KEY}" if sft else config.run_id
    store.write_text(home / schema.CONFIG_FILE, yaml.safe_dump(to_plain(config), sort_keys=False))
    store.write_json(home / schema.MANIFEST_FILE, _manifest(config, run_id, sft))
    values = {"run_id": run_id, "identity": "i", "state": state, "attempt": 1, "reason": "", "owner": GONE}
    values |= {"exit_class": "ok" if state == "done" else "", "started": "2026-01-01T00:00:00Z", "wall_s": 6.5}
    values |= {"ended": "" if state == "running" else "2026-01-01T00:01:00Z", "sources": ["a" * 64]}
    store.write_json(home / schema.STATUS_FILE, schema.Status(**(values | status)))
    fields = schema.SFT_STEP_FIELDS if sft else schema.STEP_FIELDS
    syncer = Syncer()
    records = {
        name: RecordLog(home / name, syncer) for name in (schema.STEPS_FILE, schema.EVAL_LOG, schema.ROLLOUTS_LOG)
    }
    with syncer:
        for step in range(1, steps + 1):
            row = dict.fromkeys(fields, 0.125 * step) | {"step": step}
            records[schema.STEPS_FILE].append(row if sft else row | {"problems_hash": "x", "entropy": float("nan")})
        for row in rows:
            records[schema.EVAL_LOG].append(row)
        text = {"step": 1, "response": "\x1b[31m[red]text[/red]"}
        records[schema.ROLLOUTS_LOG].append(dict.fromkeys(schema.ROLLOUT_COLUMNS, "") | text)
    if state == "done":
        store.write_tables(home)
    return home


def write_plan(root, names):
    """A plan of these runs."""
    runs = [
        schema.PlannedRun(
            arm=config.arm,
            treatment=config.treatment,
            point=config.point,
            seed=config.seed,
            folder=name,
            run_id=config.run_id,
            sft=SFT_KEY,
        )
        for name, config in configs().items()
        if name in names
    ]
    plan = schema.Plan(
        sweep="clipping",
        title="t",
        stage="rl",
        baseline=None,
        primary=schema.PrimaryMetric(metric="avg@2", split="test", decoding="t1.0", step=3),
        treatments={},
        points={},
        fixed={},
        floors={},
        runs=runs,
        command="c",
        created="",
    )
    store.write_json(root / "clipping" / schema.PLAN_FILE, plan)


def contents(root: Path):
    """Every file below a folder with its bytes and its time of change."""
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(root.rglob("*")) if p.is_file()}


def _manifest(config, run_id, sft):
    return schema.Manifest(
        run_id=run_id,
        sweep="clipping",
        arm="sft" if sft else config.arm,
        treatment="sft" if sft else config.treatment,
        point="" if sft else config.point,
        seed=config.seed,
        identity="i",
        config_hash=config.config_hash,
        data_hash="d" * 64,
        sft=SFT_KEY,
        grading="exact answers",
        provenance=schema.Provenance(
            commit="c0ffee",
            dirty=True,
            source_hash="a" * 64,
            versions={"torch": "1.2.3"},
            machine={"cores": "2"},
            threads=1,
            command="python -m ablations.run +sweep=clipping",
        ),
    )
