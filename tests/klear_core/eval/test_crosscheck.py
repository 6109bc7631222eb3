"""Agreement of two scorers is that of counting by hand, and every known difference of lighteval has a test."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.eval.crosscheck import DIFFERENCES, RAW, STRIPPED, Scored, compare

VERDICTS = ("CORRECT", "WRONG", "TRUNCATED", "GRADER_ERROR")
# Of each question: our verdict and lighteval's two, sample by sample.
SAMPLE = st.tuples(st.sampled_from(VERDICTS), st.booleans(), st.booleans())
QUESTIONS = st.lists(st.lists(SAMPLE, min_size=1, max_size=5), min_size=1, max_size=5)


def rows_and_scores(questions):
    rows = [
        {"question": q, "sample": s, "problem_id": f"p{q}", "answer": "7", "extracted": "x", "response": f"{q}/{s}"}
        | {"verdict": verdict, "correct": verdict == "CORRECT"}
        for q, samples in enumerate(questions)
        for s, (verdict, _, _) in enumerate(samples)
    ]
    scores = [
        Scored(
            raw=tuple(raw for _, raw, _ in samples),
            stripped=tuple(stripped for _, _, stripped in samples),
            found=tuple(f"{q}/{s}" for s in range(len(samples))),
            avg=sum(raw for _, raw, _ in samples) / len(samples),
            pass_at={1: 0.0},
        )
        for q, samples in enumerate(questions)
    ]
    return rows, scores


def counted(samples, view):
    """Counts of both right, both wrong, only ours, only theirs, by hand."""
    pairs = [(v == "CORRECT", raw if view == RAW else stripped) for v, raw, stripped in samples if v != "GRADER_ERROR"]
    return [pairs.count(pair) for pair in ((True, True), (False, False), (True, False), (False, True))]


def numbers(tally):
    return [tally.both_right, tally.both_wrong, tally.only_ours, tally.only_theirs]


@given(QUESTIONS)
def test_tallies_are_those_of_counting_and_add_up_over_the_questions(questions):
    found = compare(*rows_and_scores(questions))
    for view in (RAW, STRIPPED):
        assert numbers(found.tallies[view]) == counted([each for samples in questions for each in samples], view)
        for question, samples in zip(found.questions, questions, strict=True):
            assert numbers(question.tallies[view]) == counted(samples, view)
        told = [v for samples in questions for v, raw, stripped in samples if (raw if view == RAW else stripped)]
        expected = {v: told.count(v) for v in told if v not in ("CORRECT", "GRADER_ERROR")}
        assert found.verdicts_of_theirs[view] == expected
    assert found.ungraded == sum(v == "GRADER_ERROR" for samples in questions for v, _, _ in samples)


@given(QUESTIONS)
def test_examples_are_disagreements_at_most_three_of_each_kind(questions):
    found = compare(*rows_and_scores(questions))
    kinds = [(one.view, one.right_for) for one in found.examples]
    for view in (RAW, STRIPPED):
        for side, count in zip(("ours", "theirs"), numbers(found.tallies[view])[2:], strict=True):
            assert kinds.count((view, side)) == min(3, count)
    for one in found.examples:
        verdict, raw, stripped = questions[one.question][one.sample]
        assert (one.right_for == "theirs") == (raw if one.view == RAW else stripped) != (verdict == "CORRECT")
        assert one.found == one.end == f"{one.question}/{one.sample}"


def test_agreement_is_a_share_and_unknown_without_answers():
    found = compare(
        *rows_and_scores([[("CORRECT", True, False), ("WRONG", True, False), ("GRADER_ERROR", True, True)]])
    )
    assert (found.tallies[RAW].agreement, found.tallies[STRIPPED].agreement) == (0.5, 0.5)
    assert found.questions[0].ours == 0.5
    lost = compare(*rows_and_scores([[("GRADER_ERROR", True, True)]]))
    assert (lost.tallies[RAW].agreement, lost.questions[0].ours, lost.ungraded) == (None, None, 1)


def test_scores_of_fewer_answers_than_rows_are_refused():
    rows, scores = rows_and_scores([[("CORRECT", True, True)]])
    with pytest.raises(ValueError, match="shorter"):
        compare([*rows, rows[0]], scores)


def test_every_known_difference_is_shown_by_a_test():
    source = (Path(__file__).parent / "test_lighteval_differences.py").read_text()
    assert re.findall(r'^@shows\("(\w+)"\)\n(?:@.*\n)?def test_', source, flags=re.MULTILINE) == list(DIFFERENCES)
