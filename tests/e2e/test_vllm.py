"""vLLM for real, in the environment that `make env-vllm` builds; skipped where that is not there."""

import math
import subprocess

import pytest
import yaml

from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from tests.e2e.conftest import ROOT, environment

PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PYTHON.parent.parent / ".installed").exists(), reason="no .venv-vllm: make env-vllm"),
]


def with_vllm(*arguments, timeout_s=600):
    return subprocess.run(
        [PYTHON, "-m", *arguments],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def test_its_engine_keeps_the_contract_of_engines():
    found = with_vllm("pytest", "-q", "-p", "no:cacheprovider", "-k", "vllm", "tests/klear_core/rollout")
    assert found.returncode == 0, found.stdout[-5000:]
    assert "skipped" not in found.stdout.splitlines()[-1]


def test_rl_trains_on_what_vllm_samples(tmp_path):
    done = with_vllm(
        *("ablations.run", "+sweep=clipping", "scale=smoke", "model=small", "engine=vllm", "objective=gppo"),
        f"launch.runs_dir={tmp_path}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "clipping" / "gppo-u4" / "seed0"
    assert yaml.safe_load((folder / schema.CONFIG_FILE).read_text())["engine"]["name"] == "vllm"
    steps = list(read_log(folder / schema.STEPS_FILE))
    assert [row["step"] for row in steps] == [1, 2, 3]
    for row in steps:
        # After a step the weights are others, and the engine has them.
        assert row["sampler_gap_max"] < 1e-3
        assert math.isfinite(row["loss"]) and row["grad_norm_mean"] > 0
        assert row["entropy"] > 0  # from the trainer, as vLLM does not tell it
    assert len({row["sampler_gap_max"] for row in steps}) == 3
    assert store.read_status(folder).state == "done"
