"""Limits are checked, and the scorer names everything that its verdicts depend on."""

from dataclasses import replace

import pytest

from klear_core.errors import ConfigError
from klear_core.rewards.math_policy import POLICY_VERSION, STANDARD_POLICY, scorer_identity
from klear_core.runs.provenance import package_versions


def test_the_identity_names_the_policy_and_every_package_of_the_scorer():
    identity = scorer_identity()
    assert identity["math-policy"] == POLICY_VERSION
    assert set(identity) == {
        "math-policy",
        "math-verify",
        "latex2sympy2-extended",
        "sympy",
        "antlr4-python3-runtime",
    }
    assert "not installed" not in identity.values()


def test_a_run_records_the_same_versions():
    versions = package_versions()
    assert {name: versions[name] for name in scorer_identity() if name != "math-policy"} == {
        name: version for name, version in scorer_identity().items() if name != "math-policy"
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_answer_chars": 0}, "math policy: max_answer_chars is 0; allowed: numbers above 0"),
        ({"cpu_limit_s": float("nan")}, "math policy: cpu_limit_s is nan; allowed: numbers above 0"),
        ({"deadline_s": 0.1}, "math policy: deadline_s is 0.1; allowed: above cpu_limit_s"),
    ],
)
def test_a_limit_that_makes_no_sense_is_one_line(change, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        replace(STANDARD_POLICY, **change)
