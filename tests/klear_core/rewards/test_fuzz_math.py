"""Five hundred adversarial answers; ``fuzz_math`` does ten thousand and more."""

from klear_core.records import Verdict
from tests.klear_core.rewards.fuzz_math import fuzz


def test_adversarial_answers_get_a_verdict_in_time_and_leave_nothing_running():
    found = fuzz(500, seed=1, num_workers=1)
    assert found.exceptions == {}
    assert found.too_slow == found.left_running == found.disagreements == 0
    assert found.verdicts.total() == 500
    # An answer that costs two workers their lives would be here.
    assert found.verdicts[Verdict.GRADER_ERROR] == 0
