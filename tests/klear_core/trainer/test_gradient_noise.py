"""The spread of the problems' gradients against its definition, on a model small enough to write it out."""

import pytest
import torch

from klear_core.batch import TrainBatch
from klear_core.trainer.gradient_noise import gradient_noise

P, G, T = 5, 3, 4


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    advantages_PG = torch.randn(P, G, generator=generator)
    advantages_PG[1] = 0.0  # a problem without a signal
    advantages_PG[2, 0] = 0.0
    counted_PG = torch.ones(P, G, dtype=torch.bool)
    counted_PG[3, 1] = False
    advantages_PG[3, 1] = 0.0
    lengths = torch.randint(1, T + 1, (P * G,), generator=generator)
    mask_NT = torch.arange(T) < lengths[:, None]
    return TrainBatch(
        token_ids_NL=torch.randn(P * G, T, generator=generator),
        attention_mask_NL=mask_NT,
        response_mask_NT=mask_NT,
        old_logprobs_NT=torch.full((P * G, T), torch.nan),
        sampler_logprobs_NT=torch.zeros(P * G, T),
        advantages_N=advantages_PG.flatten(),
        group_index_N=torch.arange(P).repeat_interleave(G),
        counted_N=counted_PG.flatten(),
    )


@pytest.fixture
def weights():
    generator = torch.Generator().manual_seed(4)
    return [torch.nn.Parameter(torch.randn(T, T, generator=generator)), torch.nn.Parameter(torch.randn(T))]


def logprobs(weights):
    return lambda rows: torch.tanh(rows.token_ids_NL @ weights[0] + weights[1])


def whole(rows):
    return [torch.arange(len(rows.advantages_N))]


def gradients(batch, weights):
    """g_p written out: every counted token of a problem in one mean."""
    found = []
    for problem in range(P):
        total, tokens = torch.zeros(()), 0
        for n in range(P * G):
            if batch.group_index_N[n] == problem and batch.counted_N[n]:
                row = batch.rows(torch.tensor([n]))
                tokens += int(row.response_mask_NT.sum())
                total = total - batch.advantages_N[n] * logprobs(weights)(row)[row.response_mask_NT].sum()
        if not total.requires_grad:
            found.append(torch.zeros(sum(w.numel() for w in weights)))
            continue
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(total / tokens, weights)]))
    return torch.stack(found).double()


def test_variance_and_signal_are_those_of_the_gradients_written_out(batch, weights):
    g = gradients(batch, weights)
    noise = gradient_noise(batch, P, logprobs(weights), weights, split=whole)
    variance = float(((g - g.mean(0)) ** 2).sum() / (P - 1))
    assert noise.variance == pytest.approx(variance, rel=1e-5)
    assert noise.signal == pytest.approx(float((g.mean(0) ** 2).sum()) - variance / P, rel=1e-4)


def test_rows_that_go_through_one_by_one_give_the_same(batch, weights):
    single = gradient_noise(batch, P, logprobs(weights), weights, split=lambda rows: whole(rows)[0].split(1))
    together = gradient_noise(batch, P, logprobs(weights), weights, split=whole)
    assert single.variance == pytest.approx(together.variance, rel=1e-5)
    assert single.signal == pytest.approx(together.signal, rel=1e-4)


def test_it_leaves_the_parameters_gradients_alone(batch, weights):
    gradient_noise(batch, P, logprobs(weights), weights, split=whole)
    assert all(weight.grad is None for weight in weights)


def test_twice_the_advantages_are_four_times_the_noise(batch, weights):
    import dataclasses

    louder = dataclasses.replace(batch, advantages_N=2 * batch.advantages_N)
    first, second = (gradient_noise(each, P, logprobs(weights), weights, split=whole) for each in (batch, louder))
    assert second.variance == pytest.approx(4 * first.variance, rel=1e-5)


def test_without_any_advantage_there_is_neither_noise_nor_signal(batch, weights):
    import dataclasses

    silent = dataclasses.replace(batch, advantages_N=torch.zeros(P * G))
    noise = gradient_noise(silent, P, logprobs(weights), weights, split=whole)
    assert (noise.variance, noise.signal) == (0.0, 0.0)
