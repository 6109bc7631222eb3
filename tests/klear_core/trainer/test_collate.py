"""Padding: every token is where it belongs, and nothing else is anywhere."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_core.records import Completion, FinishReason, Problem, Prompt, RolloutGroup
from klear_core.trainer.collate import collate, pad

IDS = st.lists(st.integers(1, 2**40), max_size=9)


@settings(max_examples=200)
@given(rows=st.lists(st.tuples(IDS, IDS), min_size=1, max_size=8))
def test_prompts_end_and_responses_begin_at_one_column(rows):
    prompts, responses = zip(*rows, strict=True)
    padded = pad(prompts, responses, pad_id=-7)
    width, T = max(map(len, prompts)), max(map(len, responses))
    assert padded.token_ids_NL.shape == padded.attention_mask_NL.shape == (len(rows), width + T)
    assert padded.token_ids_NL.dtype == torch.int64
    for n, (prompt, response) in enumerate(rows):
        left, right = width - len(prompt), T - len(response)
        assert padded.token_ids_NL[n].tolist() == [-7] * left + prompt + response + [-7] * right
        assert padded.attention_mask_NL[n].tolist() == [
            k >= left and k < width + len(response) for k in range(width + T)
        ]
        assert padded.response_mask_NT[n].tolist() == [t < len(response) for t in range(T)]


def group_of(name, prompt, answers):
    problem = Problem(problem_id=name, domain="maths", prompt="", answer="", source="chains", difficulty=0)
    completions = tuple(
        Completion(token_ids=ids, logprobs=logprobs, entropies=None, text="", finish_reason=FinishReason.STOP)
        for ids, logprobs in answers
    )
    return RolloutGroup(
        problem=problem, prompt=Prompt(problem_id=name, token_ids=prompt), completions=completions, policy_step=0
    )


def test_a_rollouts_log_probabilities_stand_at_their_tokens():
    groups = [
        group_of("a", (5, 6, 7), [((1, 2), (-0.1, -0.25)), ((3,), (-1.5,))]),
        group_of("b", (8,), [((4,), (-2.0,)), ((9, 9, 9), (-0.5, -0.75, math.nan))]),
    ]
    advantages_PG = torch.tensor([[1.0, -1.0], [0.5, -0.5]])
    batch = collate(groups, advantages_PG, torch.tensor([[True, True], [True, False]]), pad_id=0)
    assert batch.token_ids_NL.tolist() == [
        [5, 6, 7, 1, 2, 0],
        [5, 6, 7, 3, 0, 0],
        [0, 0, 8, 4, 0, 0],
        [0, 0, 8, 9, 9, 9],
    ]
    expected = [[-0.1, -0.25, 0], [-1.5, 0, 0], [-2.0, 0, 0], [-0.5, -0.75, math.nan]]
    torch.testing.assert_close(batch.sampler_logprobs_NT, torch.tensor(expected), rtol=0, atol=0, equal_nan=True)
    assert batch.old_logprobs_NT.isnan().all()
    assert batch.old_logprobs_NT.shape == (4, 3)
    assert batch.advantages_N.tolist() == [1.0, -1.0, 0.5, -0.5]
    assert batch.group_index_N.tolist() == [0, 0, 1, 1]
    assert batch.counted_N.tolist() == [True, True, True, False]


def test_as_many_prompts_as_responses():
    with pytest.raises(ValueError, match="zip"):
        pad([[1], [2]], [[3]], pad_id=0)
