"""Completions share rows while their tokens are the same, on a decoder that only remembers what it has read."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from klear_core.rollout.branches import advance, branch
from klear_core.rollout.decoder import copy_rows


class Memory:
    """Rows as the tokens that they have read, begun with the number of their prompt."""

    is_static = False

    def __init__(self, prompts, compact_at):
        self.compact_at = compact_at
        self._set([(prompt,) for prompt in range(prompts)])

    def _set(self, rows):
        self.rows, self.logits_MV = rows, torch.zeros(len(rows), 1)

    def decode(self, tokens_M):
        self._set([(*row, token) for row, token in zip(self.rows, tokens_M.tolist(), strict=True)])

    def select(self, parents_M):
        self._set([self.rows[parent] for parent in parents_M.tolist()])


@given(
    prompts=st.integers(1, 4),
    group=st.integers(1, 6),
    words=st.integers(1, 3),
    compact_at=st.sampled_from([0.0625, 0.125, 0.5]),
    data=st.data(),
)
def test_every_completion_stays_on_the_row_that_has_read_its_tokens(prompts, group, words, compact_at, data):
    decoder = Memory(prompts, compact_at)
    read = [(n // group,) for n in range(prompts * group)]
    row_N = torch.arange(prompts).repeat_interleave(group)
    while True:
        # 0 ends a completion.
        tokens = data.draw(st.lists(st.integers(0, words), min_size=len(read), max_size=len(read)))
        read = [(*before, token) for before, token in zip(read, tokens, strict=True) if token]
        if not read:
            return
        tokens_N = torch.tensor(tokens)
        goes_on = tokens_N > 0
        rows_before = len(decoder.rows)
        row_N = advance(decoder, row_N[goes_on], tokens_N[goes_on])
        assert [decoder.rows[row] for row in row_N.tolist()] == read
        needed, rows = len(set(read)), len(decoder.rows)
        # Rows that nobody needs are carried along while they are few, and never beside new ones.
        assert rows == needed or (rows == rows_before and (1 - compact_at) * rows < needed < rows)


@given(data=st.data())
def test_a_row_goes_on_in_its_place_wherever_it_can(data):
    rows = data.draw(st.integers(1, 12))
    pairs = data.draw(st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, 4)), min_size=1, max_size=30))
    branches = branch(torch.tensor([row for row, _ in pairs]), torch.tensor([token for _, token in pairs]))
    parents, tokens = branches.parents_M.tolist(), branches.tokens_M.tolist()
    made = list(zip(parents, tokens, strict=True))
    assert sorted(made) == sorted(set(pairs))
    assert [made[row] for row in branches.row_N.tolist()] == pairs
    assert branches.splits == (len(set(parents)) < len(parents))
    assert all(parents[row] == row for row in set(parents) if row < len(parents))


@given(parents=st.lists(st.integers(0, 4), min_size=1, max_size=9), trailing=st.sampled_from([(), (2,), (2, 3)]))
def test_rows_are_copied_at_once_wherever_they_come_from(parents, trailing):
    before = torch.randn(9, *trailing)
    buffer = before.clone()
    copy_rows([buffer], torch.tensor(parents))
    assert torch.equal(buffer, torch.cat([before[parents], before[len(parents) :]]))
