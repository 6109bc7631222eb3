import pytest

from klear_core.data.mixes.top_sources import complete, correct_complete, scorer, scorer_names
from klear_core.errors import ConfigError, DataError
from tests.klear_core.data.mixes.examples import apply, demonstration


def source(name, *verdicts, response="2"):
    return [demonstration(f"{name}{k}", source=name, is_correct=v, response=response) for k, v in enumerate(verdicts)]


MIX = [*source("b", True, None), *source("a", True, False), *source("c", True), *source("d", None)]


def test_the_given_ranking_decides_and_may_name_sources_that_do_not_occur():
    kept, details = apply("top_sources", MIX, k=2, ranking=["d", "elsewhere", "a", "b", "c"], by="given")
    assert kept == [example for example in MIX if example.source in "da"]
    assert [(row["source"], row["kept"], row["demonstrations"]) for row in details["ranking"]] == [
        *(("d", True, 1), ("a", True, 2)),
        *(("b", False, 2), ("c", False, 1)),
    ]
    assert details["dropped"] == 3


def test_a_measured_ranking_is_of_those_known_and_breaks_ties_by_name():
    kept, details = apply("top_sources", MIX, k=2, ranking=[], by="correct")
    assert kept == [example for example in MIX if example.source in "bc"]
    assert [(row["source"], row["score"], row["known"]) for row in details["ranking"]] == [
        *(("b", 1.0, 1), ("c", 1.0, 1)),
        *(("a", 0.5, 2), ("d", None, 0)),
    ]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (r"<think>so</think>\boxed{2}", True),
        (r"<think>so</think>\boxed{\frac{1}{2}} as said", True),
        (r"\boxed{2}", True),
        ("<think>so</think>\n```python\nprint(2)\n```", True),
        (r"so</think>\boxed{2}", True),
        (r"<think>so \boxed{2}", False),
        (r"<think>so \boxed{2}</think>", False),
        (r"<think>a</think>\boxed{2}<think>b", False),
        (r"<think>so</think>\boxed{2", False),
        (r"<think>so</think>\boxed{\}", False),
        (r"<think>so</think>\boxed{ }", False),
        ("<think>so</think>```python\nprint(2)", False),
        ("<think>so</think>```\n```", False),
        ("<think>so</think>2", False),
        ("", False),
    ],
)
def test_a_response_is_complete_when_its_reasoning_is_closed_and_an_answer_follows(response, expected):
    assert complete(demonstration(response=response)) is expected
    assert correct_complete(demonstration(response=response, is_correct=True)) is expected
    assert correct_complete(demonstration(response=response, is_correct=False)) is False
    assert correct_complete(demonstration(response=response, is_correct=None)) is (None if expected else False)


def test_sources_are_ranked_by_completeness():
    mixed = [*source("a", True, True), *source("b", False, False, response=r"\boxed{1}")]
    assert apply("top_sources", mixed, k=1, ranking=[], by="complete")[0] == mixed[2:]


@pytest.mark.parametrize(
    ("k", "ranking", "by", "error", "message"),
    [
        (1, ["a", "b"], "given", DataError, "does not name 'c', 'd'; it must name every source"),
        (5, [], "complete", DataError, "k is 5, but 4 sources occur: a, b, c, d"),
        (4, [], "correct", DataError, "by is correct, of which nothing is known in source 'd'"),
        (1, ["a"], "correct", ConfigError, r"ranking is \['a'\] with by=correct; allowed: \[\]"),
        (1, [], "given", ConfigError, r"ranking is \[\] with by=given; allowed: a list of sources"),
        (0, [], "correct", ConfigError, "allowed: 1 or more"),
        (1, [], "best", ConfigError, "allowed: complete, correct, correct_complete, given"),
        (1, ["a", "a"], "given", ConfigError, "allowed: a list of different sources"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_one_line(k, ranking, by, error, message):
    with pytest.raises(error, match=message) as caught:
        apply("top_sources", MIX, k=k, ranking=ranking, by=by)
    assert "\n" not in str(caught.value)


def test_a_scorer_is_registered_once():
    with pytest.raises(ValueError, match="registered twice"):
        scorer(complete)
    assert "given" in scorer_names()
