import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.data.chain_solver import mean_accuracy, mistakes_for_accuracy
from klear_core.data.chains import attempt, problems
from klear_core.errors import DataError

PROPORTIONS = {"+": 0.1, "-": 0.1, "*": 0.3}


@pytest.fixture(scope="module")
def drawn():
    return problems(data_seed=4, split="train", count=400, num_terms=5, min_terms=3)


def test_the_closed_form_is_what_many_attempts_give(drawn):
    mistakes = {"+": 0.2, "-": 0.05, "*": 0.5}
    rng = random.Random(0)
    tries = [attempt(p, mistakes=mistakes, rng=rng)[-1].result == int(p.answer) for p in drawn for _ in range(60)]
    assert mean_accuracy(drawn, mistakes) == pytest.approx(sum(tries) / len(tries), abs=0.01)


def test_an_error_times_zero_is_gone_and_one_times_one_stays():
    (any_chain,) = problems(data_seed=0, split="train", count=1, num_terms=3)
    sure = {"+": 1.0, "-": 0.0, "*": 0.0}
    assert mean_accuracy([replace(any_chain, prompt="3+4*0=", answer="0")], sure) == pytest.approx(1.0)
    assert mean_accuracy([replace(any_chain, prompt="3+4*1=", answer="7")], sure) == pytest.approx(0.0)
    # Times 5, an error of 2, 4, 6 or 8 of the nine is gone.
    assert mean_accuracy([replace(any_chain, prompt="3+4*5=", answer="5")], sure) == pytest.approx(4 / 9)


@given(target=st.floats(0.3, 1.0))
def test_the_scaled_mistakes_have_the_accuracy_asked_for_and_the_proportions_given(drawn, target):
    found = mistakes_for_accuracy(target, mistakes=PROPORTIONS, problems=drawn)
    assert mean_accuracy(drawn, found) == pytest.approx(target, abs=1e-6)
    assert found["*"] == pytest.approx(3 * found["+"])
    assert found["+"] == found["-"]


def test_an_accuracy_that_no_mistakes_give_is_refused_with_what_they_can(drawn):
    with pytest.raises(DataError, match=r"an accuracy of 0\.1 was asked for; allowed: 0\.\d{3} to 1"):
        mistakes_for_accuracy(0.1, mistakes=PROPORTIONS, problems=drawn)
    with pytest.raises(DataError, match=r"allowed: 1\.000 to 1"):
        mistakes_for_accuracy(0.9, mistakes=dict.fromkeys("+-*", 0.0), problems=drawn)
