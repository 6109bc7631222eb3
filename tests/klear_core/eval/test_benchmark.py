"""Calls ask everything once, a record tells which are whole, texts can be graded again, and votes are counted as a hand
would.
"""

import math
import pickle
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.eval.benchmark import ask, grade, plan_calls, request_of, rows_of, vote, whole_calls
from klear_core.records import Completion, FinishReason, Prompt, SamplingParams, Verdict
from klear_core.rollout.native import NativeEngine
from klear_core.runs.benchmarks import COLUMNS, count
from klear_core.trainer.collate import tokenize_prompts

SAMPLING = SamplingParams(temperature=1.0, top_p=0.95, max_tokens=12, num_samples=4)


@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 30))
def test_calls_ask_every_question_and_sample_once_and_never_more_than_a_batch(questions, samples, batch):
    calls = list(plan_calls(questions, samples, batch=batch))
    assert sorted(pair for call in calls for pair in call.pairs) == [
        (q, s) for q in range(questions) for s in range(samples)
    ]
    assert all(len(c.questions) * c.num_samples <= batch for c in calls)


@given(st.data(), st.integers(1, 6), st.integers(1, 8), st.integers(1, 20))
def test_a_record_of_calls_in_any_order_tells_which_are_whole(data, questions, samples, batch):
    calls = data.draw(st.permutations(list(plan_calls(questions, samples, batch=batch))))
    pairs = [pair for call in calls for pair in call.pairs]
    kept = data.draw(st.integers(0, len(pairs)))
    whole, rows = whole_calls(pairs[:kept], data.draw(st.permutations(calls)))
    ends = [sum(len(call.pairs) for call in calls[: k + 1]) for k in range(len(calls))]
    expected = sum(end <= kept for end in ends)
    assert whole == calls[:expected]
    assert rows == sum(len(call.pairs) for call in whole)


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([(0, 1)], "row 1 begins no call"),
        ([(0, 0), (0, 1), (0, 0), (0, 1)], "row 3 begins no call"),
        ([(0, 0), (1, 0)], "the call that begins at row 1 holds rows of another one"),
        ([(9, 0)], "row 1 begins no call"),
    ],
)
def test_a_record_of_another_form_is_refused(pairs, told):
    with pytest.raises(ValueError, match=told):
        whole_calls(pairs, plan_calls(3, 2, batch=2))


def answered(engine, call, problems, prompts, **given):
    """Rows of a call; what is sent to the engine, and what comes back, may go through a pipe."""
    request = pickle.loads(pickle.dumps(request_of(call, prompts, sampling=SAMPLING, seed=0, **given)))
    return rows_of(call, problems, pickle.loads(pickle.dumps(ask(engine, request))))


def test_rows_of_several_calls_hold_every_field_and_different_answers(model, tokenizer, chains, grader):
    prompts = tokenize_prompts(tokenizer, chains)
    rows = []
    for call in plan_calls(3, 4, batch=2):
        asked = answered(NativeEngine(model, tokenizer), call, chains, prompts, name="laptop")
        rows += grade(asked, chains, grader, is_opened=False)
    assert all(row.keys() == COLUMNS.keys() for row in rows)
    assert [(row["question"], row["sample"]) for row in rows] == [(q, s) for q in range(3) for s in range(4)]
    # Samples of different calls are different draws: four equal texts of a random model would be the same draw.
    assert all(len({row["response"] for row in rows if row["question"] == q}) > 1 for q in range(3))
    assert str(grade(rows, chains, grader, is_opened=False)) == str(rows)  # as text, since NaN is not itself


class Fixed:
    """An engine that answers everything with one completion."""

    def __init__(self, completion):
        self._completion = completion

    def generate(self, prompts, sampling, key):
        return [(self._completion,) * sampling.num_samples for _ in prompts]


def test_a_prompt_that_opens_the_reasoning_is_no_fault_of_the_response(chains, grader):
    (call,) = plan_calls(1, 1, batch=1)
    prompts = [Prompt(problem_id=chains[0].problem_id, token_ids=(1,))]
    text = f"so</think>\\boxed{{{chains[0].answer}}}"
    fixed = Completion(token_ids=(1,), logprobs=(0.0,), entropies=None, text=text, finish_reason=FinishReason.STOP)
    asked = answered(Fixed(fixed), call, chains, prompts, name="x")
    assert grade(asked, chains, grader, is_opened=True)[0]["verdict"] == "CORRECT"
    assert grade(asked, chains, grader, is_opened=False)[0]["verdict"] == "MISSING_OPEN"


def test_answers_that_are_spelled_alike_are_one_vote_and_all_right_ones_are_another():
    assert vote("\\dfrac12", Verdict.WRONG) == vote("\\frac{1}{2}", Verdict.WRONG)
    assert vote("1", Verdict.CORRECT) == vote("one", Verdict.CORRECT)
    assert vote("", Verdict.NO_ANSWER) == vote("x", Verdict.TRUNCATED) == ""
    assert vote("{" * 1000, Verdict.WRONG)


def row(question, answer, verdict):
    return dict.fromkeys(COLUMNS, "") | {
        "question": question,
        "vote": "(right)" if verdict == "CORRECT" else answer if verdict == "WRONG" else "",
        "verdict": verdict,
        "correct": verdict == "CORRECT",
        "response_tokens": 5,
    }


VERDICTS = st.sampled_from(["CORRECT", "WRONG", "TRUNCATED", "MISSING_CLOSE", "NO_ANSWER", "GRADER_ERROR"])


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), VERDICTS), max_size=40))
def test_counts_equal_a_count_by_hand(drawn):
    counts = count([row(*each) for each in drawn], 4)
    for question in range(4):
        graded = [(a, v) for q, a, v in drawn if q == question and v != "GRADER_ERROR"]
        assert counts.samples_Q[question] == len(graded)
        assert counts.hits_Q[question] == sum(v == "CORRECT" for _, v in graded)
        ballots = Counter("right" if v == "CORRECT" else a for a, v in graded if v in ("CORRECT", "WRONG"))
        winners = [answer for answer, votes in ballots.items() if votes == max(ballots.values())]
        expected = Fraction("right" in winners, max(1, len(winners)))
        voted = counts.votes_Q[question]
        assert math.isnan(voted) if not graded else voted == float(expected)
    lost = sum(v == "GRADER_ERROR" for _, _, v in drawn)
    assert (counts.rows, counts.lost) == (len(drawn), lost)
    if len(drawn) > lost:
        assert counts.truncated == sum(v == "TRUNCATED" for _, _, v in drawn) / (len(drawn) - lost)
        assert counts.malformed == sum(v in ("MISSING_CLOSE", "NO_ANSWER") for _, _, v in drawn) / (len(drawn) - lost)


def test_programs_do_not_vote():
    counts = count([row(0, "a", "CORRECT") | {"tests": "PP"}], 1)
    assert math.isnan(counts.votes_Q[0])
