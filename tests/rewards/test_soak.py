"""A short soak, and a short time under load; ``tests.rewards.soak`` and ``tests.rewards.load`` do them at length."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rewards import load

pytestmark = pytest.mark.slow
_ROOT = Path(__file__).resolve().parents[2]
_SOAK = "import json; from tests.rewards.soak import soak; print(json.dumps(soak(1000, long_a_batch=2)))"


def test_a_thousand_runs_leave_nothing_and_nothing_grows():
    # In a process of its own, whose memory nothing else changes.
    done = subprocess.run([sys.executable, "-c", _SOAK], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == []


def test_no_verdict_flips_under_four_times_the_load():
    assert load.flips(1, slots=8) == {}
