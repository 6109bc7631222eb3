"""The identities of a sweep of controls, through the real command."""

import pytest
from safetensors import safe_open

from klear_core.runs import schema, store
from tests.e2e.conftest import run_command

pytestmark = pytest.mark.slow


def test_a_sweep_of_controls_leaves_its_identities_and_the_batch_behind_them(tmp_path):
    command = ["+sweep=controls", "control=none", "scale=smoke", f"launch.runs_dir={tmp_path}"]
    done = run_command(*command, timeout_s=480, WANDB_MODE="disabled")
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = tmp_path / "controls"
    found = store.read_identities(sweep)
    assert found is not None
    assert found.problem == ""
    states = {check.state for check in found.checks}
    # Three steps spread no ratio far enough to reach every corner; nothing may fail all the same.
    assert "passed" in states
    assert "failed" not in states
    assert "identities: " in done.stdout
    with safe_open(sweep / schema.IDENTITY_BATCH_FILE, framework="np") as batch:
        assert {"token_ids_NL", "old_logprobs_NT", "new_logprobs_NT", "advantages_N"} <= set(batch.keys())
