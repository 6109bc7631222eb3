import os
import subprocess
import sys
from pathlib import Path

import pytest

from klear_core.data.mixes.operators import operator_names
from klear_core.errors import ConfigError
from tests.klear_core.data.mixes.examples import SAMPLE, apply, context, numbered

ROOT = Path(__file__).resolve().parents[4]
PARAMS = {
    "balanced": {"by": "source", "count": 20},
    "correctness": {"keep": "only_true"},
    "decontaminate": {"ngram": 4},
    "dedup": {"of": "prompt"},
    "difficulty": {"keep": "easy", "cut": 0.5},
    "sample": dict(count=12, method="kcenter", **SAMPLE),
    "sources": {"names": ["a"]},
    "teachers": {"names": ["y"]},
    "top_sources": {"k": 1, "ranking": [], "by": "correct"},
}
NEEDS_MORE = {"label_difficulty", "pass_rates"}  # a solver, a file: their own tests
# Run in a process of its own: prints every operator's output.
EVERY_OUTPUT = """
from tests.klear_core.data.mixes.test_operators import PARAMS, outputs
import hashlib
for name in sorted(PARAMS):
    print(name, hashlib.sha256(repr(outputs(name)).encode()).hexdigest())
"""


def mix():
    kinds = [("a", "x", True, 0.25), ("b", "y", False, 0.75), ("a", "y", None, None)]
    return [
        example
        for source, teacher, is_correct, difficulty in kinds
        for example in numbered(20, source=source, teacher=teacher, is_correct=is_correct, difficulty=difficulty)
    ]


def outputs(name):
    return apply(name, mix(), context(questions=["what is 7 plus 0"]), **PARAMS[name])


def test_every_operator_is_looked_at_here():
    assert set(operator_names()) == {*PARAMS, *NEEDS_MORE}


@pytest.mark.parametrize("name", PARAMS)
def test_the_same_input_gives_the_same_output_and_keeps_its_order(name):
    kept, details = outputs(name)
    assert (kept, details) == outputs(name)
    assert 0 < len(kept) < 60
    assert details["dropped"] == 60 - len(kept)
    left = iter(mix())
    assert all(example in left for example in kept)


def test_no_output_depends_on_the_hash_seed_of_the_interpreter():
    started = [
        subprocess.Popen(
            [sys.executable, "-c", EVERY_OUTPUT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    first, second = (process.communicate(timeout=120)[0] for process in started)
    assert first == second
    assert len(first.splitlines()) == len(PARAMS)


def test_looking_operators_up_waits_for_no_torch():
    source = "import sys, klear_core.data.mixes.operators; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=False).returncode == 0


def test_an_unknown_operator_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"mix.operators is 'dedupe'; allowed: balanced, correctness, decontaminate"):
        apply("dedupe", [])
