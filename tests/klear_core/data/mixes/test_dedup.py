import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.errors import ConfigError
from tests.klear_core.data.mixes.examples import apply, demonstration

PAIRS = st.lists(st.tuples(st.sampled_from(["a b", "a  b", "A b", "ab", ""]), st.sampled_from(["x", "y"])), max_size=12)


def test_the_first_demonstration_of_a_prompt_stays():
    given_ = [demonstration("p", response="1"), demonstration("q"), demonstration("p", response="2")]
    assert apply("dedup", given_, of="prompt") == (given_[:2], {"dropped": 1})
    assert apply("dedup", given_, of="pair") == (given_, {"dropped": 0})


@pytest.mark.parametrize("other", ["two  words", " two words\n", "two\u00a0words", "two ｗords"])
def test_whitespace_and_compatibility_forms_do_not_make_a_prompt_different(other):
    given_ = [demonstration("two words"), demonstration(other)]
    assert apply("dedup", given_, of="pair")[0] == given_[:1]


@pytest.mark.parametrize("other", ["Two words", "twowords", "two words.", "two-words"])
def test_case_and_punctuation_make_a_prompt_different(other):
    given_ = [demonstration("two words"), demonstration(other)]
    assert apply("dedup", given_, of="prompt")[0] == given_


def test_prompt_and_response_do_not_run_into_each_other():
    given_ = [demonstration("ab", response="c"), demonstration("a", response="bc")]
    assert apply("dedup", given_, of="pair")[0] == given_


@given(PAIRS, st.sampled_from(["prompt", "pair"]))
def test_doing_it_twice_changes_nothing_and_every_text_stays_once(pairs, of):
    given_ = [demonstration(prompt, response=response) for prompt, response in pairs]
    once, details = apply("dedup", given_, of=of)
    assert apply("dedup", once, of=of) == (once, {"dropped": 0})
    assert details["dropped"] == len(given_) - len(once)
    keys = [(" ".join(e.prompt.split()), e.response if of == "pair" else "") for e in given_]
    assert len(once) == len(set(keys))
    assert [given_.index(e) for e in once] == sorted(given_.index(e) for e in once)


def test_half_a_surrogate_pair_is_a_character():
    given_ = [demonstration("x", response="\ud800")]
    assert apply("dedup", given_, of="pair")[0] == given_


def test_another_kind_is_refused():
    with pytest.raises(ConfigError, match=r"mix.operators.dedup.of is 'words'; allowed: prompt, pair"):
        apply("dedup", [], of="words")
