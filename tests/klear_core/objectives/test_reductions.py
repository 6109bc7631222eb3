"""Reductions against loops over floats, and their invariance to how an optimizer step is cut up."""

import math

import pytest
import torch

from klear_core.errors import ConfigError
from klear_core.objectives.policy_loss import policy_loss
from klear_core.objectives.reductions import get_reduction, reduction, reduction_names, step_denominators
from klear_core.objectives.surrogates import get_surrogate

P, G, T, CAP = 4, 3, 9, 12
OBJECTIVES = [
    ("reinforce", {}),
    ("ppo_clip", {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": 3.0}),
    ("gppo", {"clip_low": 0.2, "clip_high": 0.28, "beta_low": 0.5, "beta_high": 1.0, "dual_clip": None}),
    ("cispo", {"weight_low": 0.8, "weight_high": 1.28}),
]


def make_batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    N = P * G
    lengths = torch.randint(1, T + 1, (N,), generator=generator)
    old = -2 * torch.rand(N, T, dtype=torch.float64, generator=generator)
    return {
        "logprobs": old + 0.5 * torch.randn(N, T, dtype=torch.float64, generator=generator),
        "old": old,
        "advantages": torch.randn(N, dtype=torch.float64, generator=generator),
        "mask": torch.arange(T)[None] < lengths[:, None],
        "groups": torch.arange(P).repeat_interleave(G),
    }


def loss_of(part, denominators, objective, name):
    surrogate, params = objective
    return policy_loss(
        part["logprobs"],
        part["old"],
        part["advantages"],
        part["mask"],
        surrogate=get_surrogate(surrogate),
        params=params,
        reduction=name,
        denominators=denominators,
        group_index_N=part["groups"],
        max_tokens=CAP,
    ).total


def counts(batch):
    return step_denominators(batch["mask"].sum(1), batch["groups"], num_groups=P)


def reduce(name, loss, part, denominators):
    keywords = {"denominators": denominators, "group_index_N": part["groups"], "max_tokens": CAP}
    return get_reduction(name)(loss, part["mask"], **keywords)


def loss_and_gradient(batch, pieces, objective, name):
    """Summed over micro-batches of rows, under the denominators of the whole step."""
    leaf = batch["logprobs"].clone().requires_grad_()
    full = batch | {"logprobs": leaf}
    total = sum(
        loss_of({key: value[rows] for key, value in full.items()}, counts(batch), objective, name) for rows in pieces
    )
    (gradient,) = torch.autograd.grad(total, leaf)
    return total.detach(), gradient


def reference(loss, mask, groups, name):
    """The four means in loops over floats."""
    rows = [
        [value for value, keep in zip(values, kept, strict=True) if keep]
        for values, kept in zip(loss.tolist(), mask.tolist(), strict=True)
    ]
    if name == "token_mean":
        flat = [value for row in rows for value in row]
        return math.fsum(flat) / len(flat)
    if name == "sequence_mean":
        return math.fsum(math.fsum(row) / len(row) for row in rows) / len(rows)
    if name == "fixed_length":
        return math.fsum(math.fsum(row) for row in rows) / (len(rows) * CAP)
    assert name == "group_token_mean"
    means = []
    for p in range(P):
        flat = [value for row, group in zip(rows, groups.tolist(), strict=True) if group == p for value in row]
        means.append(math.fsum(flat) / len(flat))
    return math.fsum(means) / P


@pytest.mark.parametrize("name", reduction_names())
def test_each_reduction_matches_its_loop(name):
    batch = make_batch()
    loss = torch.randn(P * G, T, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = reduce(name, loss, batch, counts(batch))
    assert math.isclose(found.item(), reference(loss, batch["mask"], batch["groups"], name), rel_tol=1e-12)


@pytest.mark.parametrize("name", reduction_names())
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective[0])
@pytest.mark.parametrize("seed", range(3))
def test_micro_batches_sum_to_the_whole_step(name, objective, seed):
    batch = make_batch(seed)
    rows = torch.randperm(P * G, generator=torch.Generator().manual_seed(seed))
    whole = loss_and_gradient(batch, [torch.arange(P * G)], objective, name)
    for pieces in (rows.split(5), rows.split(1), [rows]):
        for found, expected in zip(loss_and_gradient(batch, pieces, objective, name), whole, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", reduction_names())
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective[0])
@pytest.mark.parametrize("filler", [0.0, 300.0, math.nan, math.inf])
def test_padding_changes_nothing_whatever_it_holds(name, objective, filler):
    batch = make_batch()
    everything = [torch.arange(P * G)]
    loss, gradient = loss_and_gradient(batch, everything, objective, name)
    padded = dict(batch)
    for key in ("logprobs", "old"):
        clean = batch[key].masked_fill(~batch["mask"], filler)
        padded[key] = torch.cat([clean, torch.full((P * G, 5), filler, dtype=torch.float64)], dim=1)
    padded["mask"] = torch.cat([batch["mask"], torch.zeros(P * G, 5, dtype=torch.bool)], dim=1)
    padded_loss, padded_gradient = loss_and_gradient(padded, everything, objective, name)
    torch.testing.assert_close(padded_loss, loss, rtol=0, atol=1e-12)
    torch.testing.assert_close(padded_gradient[:, :T], gradient, rtol=0, atol=1e-12)
    assert (padded_gradient[~padded["mask"]] == 0).all()


def test_a_mean_of_micro_batch_means_would_be_another_objective():
    batch = make_batch()
    loss = torch.randn(P * G, T, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole = reduce("token_mean", loss, batch, counts(batch))
    halves = []
    for rows in torch.arange(P * G).split(P * G // 2):
        part = {key: value[rows] for key, value in batch.items()}
        halves.append(reduce("token_mean", loss[rows], part, counts(part)))
    assert abs(sum(halves) / 2 - whole) > 1e-4


@pytest.mark.parametrize(
    ("name", "expected"),
    [("token_mean", 1.0), ("group_token_mean", 2 / 3), ("sequence_mean", 2 / 3), ("fixed_length", 5 / (3 * CAP))],
)
def test_rows_without_tokens_add_nothing_but_count_as_sequences_and_groups(name, expected):
    part = {"mask": torch.tensor([[True, True, True], [True, True, False], [False] * 3]), "groups": torch.arange(3)}
    denominators = step_denominators(part["mask"].sum(1), part["groups"], num_groups=3)
    assert (denominators.sequences, denominators.groups) == (3, 3)
    assert reduce(name, torch.ones(3, 3, dtype=torch.float64), part, denominators).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", reduction_names())
def test_a_step_without_any_token_has_loss_zero(name):
    part = {"mask": torch.zeros(2, 3, dtype=torch.bool), "groups": torch.tensor([0, 0])}
    for rows in (2, 0):
        some = {key: value[:rows] for key, value in part.items()}
        denominators = step_denominators(some["mask"].sum(1), some["groups"], num_groups=1)
        assert reduce(name, torch.full((rows, 3), math.nan), some, denominators).item() == 0.0


def test_groups_without_rows_are_not_counted():
    denominators = step_denominators(torch.tensor([3, 4]), torch.tensor([0, 2]), num_groups=4)
    assert (denominators.tokens, denominators.sequences, denominators.groups) == (7, 2, 2)
    assert denominators.group_tokens_P.tolist() == [3, 0, 4, 0]
    part = {"mask": torch.tensor([[True] * 3 + [False], [True] * 4]), "groups": torch.tensor([0, 2])}
    assert reduce("group_token_mean", torch.ones(2, 4), part, denominators).item() == 1.0


def test_names_are_unique_and_unknown_ones_are_refused():
    with pytest.raises(ConfigError, match="fixed_length, group_token_mean, sequence_mean, token_mean"):
        get_reduction("mean")
    with pytest.raises(ValueError, match="twice"):
        reduction(get_reduction("token_mean"))
