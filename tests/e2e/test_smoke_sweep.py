"""What the main job leaves behind, read back from the disk."""

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from klear_core.config import RunConfig
from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from klear_core.settings import build
from tests.e2e.conftest import ROOT, environment, run_command

pytestmark = pytest.mark.slow
ARMS = ("ppo_clip-u4", "clip_higher-u4", "gppo-u4", "cispo-u4")


def run_folders(root):
    return {arm: root / "clipping" / arm / "seed0" for arm in ARMS}


def test_the_sweep_ends_with_its_report_and_says_where(smoke):
    report = smoke["root"] / "clipping" / "report" / "report.md"
    assert f"report: {report}" in smoke["output"].splitlines()[-1].replace("\n", "")
    text = report.read_text()
    for word in ("mechanism check, not a reproduction", "neither operating point is tuned per arm"):
        assert word in text.lower()
    assert "one seed gives no training-variance estimate" in text
    for name in ("results.png", "curves.png", "corners.png", "weights.png"):
        assert (report.parent / name).stat().st_size > 5000
        assert f"]({name})" in text


def test_the_destination_of_wandb_is_said_before_anything_runs(smoke):
    lines = smoke["output"].splitlines()
    mode = next(k for k, line in enumerate(lines) if line.startswith("W&B mode offline (no API key)"))
    first_end = next(k for k, line in enumerate(lines) if "done" in line)
    assert mode < first_end


def test_every_record_of_a_run_is_there_and_complete(smoke):
    for arm, folder in run_folders(smoke["root"]).items():
        manifest = store.read_manifest(folder)
        status = store.read_status(folder)
        assert (manifest.arm, status.state, status.exit_class, status.reason) == (arm, "done", "ok", "")
        assert (status.attempt, status.mirror, status.sources) == (1, "", [manifest.provenance.source_hash])
        assert status.wall_s > 0
        assert len(manifest.provenance.source_hash) == len(manifest.data_hash) == len(manifest.config_hash) == 64
        assert manifest.provenance.versions["torch"]
        steps = list(read_log(folder / schema.STEPS_FILE))
        assert [row["step"] for row in steps] == [1, 2, 3]
        for row in steps:
            assert set(row) == set(schema.STEP_FIELDS)
        timings = list(read_log(folder / schema.TIMINGS_FILE))
        assert [set(row) for row in timings] == [set(schema.TIMING_FIELDS)] * 3
        rows = pq.read_table(folder / schema.EVAL_FILE).to_pylist()
        assert set(rows[0]) == set(schema.EVAL_COLUMNS)
        counts = {}
        for row in rows:
            key = (row["split"], row["decoding"], row["step"])
            counts[key] = counts.get(key, 0) + 1
        assert counts == {
            ("validation", "t1.0", 2): 32,
            ("validation", "t1.0", 3): 32,
            ("test", "t1.0", 3): 64,
            ("test", "t0.6_p0.95", 3): 64,
            ("test", "greedy", 3): 32,
        }
        texts = pq.read_table(folder / schema.ROLLOUTS_FILE).to_pylist()
        assert len(texts) == 3 * 16
        assert set(texts[0]) == set(schema.ROLLOUT_COLUMNS)
        config = build(RunConfig, yaml.safe_load((folder / schema.CONFIG_FILE).read_text()))
        assert config.run_id == manifest.run_id


def test_records_hold_no_machine_path_and_no_host_name(smoke):
    import socket

    for folder in run_folders(smoke["root"]).values():
        for name in (schema.MANIFEST_FILE, schema.STATUS_FILE, schema.STEPS_FILE, schema.TIMINGS_FILE):
            text = (folder / name).read_text()
            assert str(smoke["root"]) not in text
            assert str(ROOT) not in text
            assert f'"{socket.gethostname()}"' not in text
    for path in (smoke["root"] / "clipping" / "report").glob("*.md"):
        assert str(ROOT) not in path.read_text()


def test_the_same_command_in_another_root_gives_the_same_bytes(smoke):
    for arm in ARMS:
        first, second = (run_folders(smoke[key])[arm] for key in ("root", "again"))
        assert (first / schema.STEPS_FILE).read_bytes() == (second / schema.STEPS_FILE).read_bytes(), arm
        rows = [sorted(map(str, pq.read_table(f / schema.EVAL_FILE).to_pylist())) for f in (first, second)]
        assert rows[0] == rows[1], arm
        weights = [(f / schema.CHECKPOINT_DIR / "model.safetensors").read_bytes() for f in (first, second)]
        assert weights[0] == weights[1], arm


def test_arms_of_a_seed_meet_the_same_problems_in_the_same_order_from_the_same_weights(smoke):
    folders = run_folders(smoke["root"])
    problems = {arm: [row["problems_hash"] for row in read_log(f / schema.STEPS_FILE)] for arm, f in folders.items()}
    assert len({tuple(order) for order in problems.values()}) == 1
    assert len(set(problems["gppo-u4"])) == 3
    assert len({store.read_manifest(folder).sft for folder in folders.values()}) == 1
    # At the first step nothing has been updated yet: equal weights sample equal texts.
    first = {}
    for arm, folder in folders.items():
        rows = pq.read_table(folder / schema.ROLLOUTS_FILE).to_pylist()
        first[arm] = [(row["problem_id"], row["sample"], row["response"]) for row in rows if row["step"] == 1]
    assert len({str(rows) for rows in first.values()}) == 1
    questions = {
        arm: sorted({(row["question"], row["problem_id"]) for row in pq.read_table(f / schema.EVAL_FILE).to_pylist()})
        for arm, f in folders.items()
    }
    assert len({str(rows) for rows in questions.values()}) == 1


def test_the_objectives_part_after_the_first_step(smoke):
    weights = {
        arm: hashlib.sha256((folder / schema.CHECKPOINT_DIR / "model.safetensors").read_bytes()).hexdigest()
        for arm, folder in run_folders(smoke["root"]).items()
    }
    assert len(set(weights.values())) == len(ARMS)


def test_a_final_checkpoint_loads_with_transformers_alone(smoke):
    folder = run_folders(smoke["root"])["gppo-u4"] / schema.CHECKPOINT_DIR
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("3+4*7-2=", return_tensors="pt")["input_ids"]
    assert model(input_ids=ids).logits.shape == (1, 8, len(tokenizer))
    assert load_file(folder / "model.safetensors")


def test_the_offline_run_holds_every_step_under_our_step_numbers(smoke):
    for arm, folder in run_folders(smoke["root"]).items():
        (offline,) = (folder / "wandb").glob("offline-run-*")
        inspected = subprocess.run(
            [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(offline)],
            capture_output=True,
            text=True,
            env=environment(),
            timeout=60,
            check=False,
        )
        assert inspected.returncode == 0, inspected.stderr
        ours = {row["step"]: row for row in read_log(folder / schema.STEPS_FILE)}
        theirs = read_history(inspected.stdout)
        assert sorted(theirs) == sorted(ours), arm
        for step, row in ours.items():
            for name in ("reward_mean", "entropy", "grad_norm_mean"):
                assert math.isclose(float(theirs[step][name]), row[name], rel_tol=1e-9)
        assert not list(offline.rglob("*.patch"))
        assert not list((offline / "files").rglob("code"))
        assert "<think>" not in inspected.stdout
        (start,) = [
            record["run"] for record in map(json.loads, inspected.stdout.splitlines()) if record["type"] == "run"
        ]
        assert (start["run_group"], start["display_name"], start["job_type"]) == ("clipping", f"{arm}-s0", "rl")
        config = start["config"]["update"]
        assert (config["sweep"], config["arm"], config["seed"]) == ("clipping", arm, 0)
        assert str(smoke["root"]) not in inspected.stdout


def read_history(text):
    """History rows by step of ``wandb leet inspect --json``: one record a line."""
    records = [json.loads(line) for line in text.splitlines()]
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    return {row["_step"]: row for row in rows}


def test_issuing_the_command_again_reuses_what_is_done(smoke):
    before = {arm: (f / schema.MANIFEST_FILE).read_bytes() for arm, f in run_folders(smoke["root"]).items()}
    done = run_command("+sweep=clipping", "scale=smoke", f"launch.runs_dir={smoke['root']}")
    assert done.returncode == 0, done.stderr
    assert "4 finished runs are reused" in done.stdout
    assert before == {arm: (f / schema.MANIFEST_FILE).read_bytes() for arm, f in run_folders(smoke["root"]).items()}


def test_a_finished_run_is_not_overwritten_by_other_settings(smoke):
    done = run_command("+sweep=clipping", "scale=smoke", "rl.steps=2", f"launch.runs_dir={smoke['root']}")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "holds a run of other settings: rl.steps is 3, asked for 2" in done.stderr
