"""The scale for one GPU, cut down and on the CPU: its path from the command to the report."""

import pytest

from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from tests.e2e.conftest import run_command

pytestmark = pytest.mark.slow
CUT = [
    *("scale=gpu", "model.device=cpu", "model.hidden_size=32", "model.intermediate_size=64", "model.num_layers=2"),
    *("model.num_heads=2", "model.num_kv_heads=2", "model.head_dim=16", "task.train_problems=64", "launch.slots=2"),
    *("rl.problems_per_step=4", "rl.completions_per_problem=4", "rl.max_response_tokens=60", "rl.steps=2"),
    *("eval.test_questions=4", "eval.test_samples=2", "eval.validation_questions=4", "eval.validation_samples=2"),
    *("sft.steps=4", "sft.batch_size=8", "seed=0", "rl.updates_per_rollout=2", "wandb.mode=disabled"),
]


def test_the_clipping_sweep_runs_from_one_command_with_no_network_also_in_bfloat16(tmp_path):
    settings = ["objective=gppo", "model.precision=bf16_master", f"launch.runs_dir={tmp_path}"]
    # No host is to be met; a proxy that is not there refuses at once.
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = run_command("+sweep=clipping", *CUT, *settings, timeout_s=580, **proxies)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "clipping" / "report" / "report.md").is_file()
    folder = tmp_path / "clipping" / "gppo-u2" / "seed0"
    assert store.read_status(folder).state == "done"
    assert len(list(read_log(folder / schema.STEPS_FILE))) == 2
    assert "gpu" not in store.read_manifest(folder).provenance.machine
