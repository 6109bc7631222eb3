"""The tests that need lighteval, in the environment that `make env-lighteval` builds."""

import subprocess

import pytest

from tests.e2e.conftest import ROOT, environment
from tests.klear_core.eval.lighteval_env import REASON

PYTHON = ROOT / ".venv-lighteval" / "bin" / "python"
FILES = ("tests/klear_core/eval/test_lighteval_adapter.py", "tests/klear_core/eval/test_lighteval_differences.py")
FILES += ("tests/ablations/commands/test_crosscheck.py", "tests/ablations/commands/test_evaluate_lighteval.py")


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason=REASON)
def test_they_pass_in_an_environment_of_its_own():
    done = subprocess.run(
        [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
