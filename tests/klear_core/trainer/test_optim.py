import itertools
import math

import pytest
import torch

from klear_core.trainer.optim import Optimizer


def make(**changes):
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    settings = {
        "precision": "float32",
        "learning_rate": 0.1,
        "betas": (0.9, 0.95),
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "warmup_updates": 0,
        "decay_updates": None,
    }
    return parameter, Optimizer([parameter], **(settings | changes))


def step(parameter, optimizer, gradient):
    optimizer.zero_grad()
    parameter.grad += torch.tensor(gradient)
    return optimizer.step(optimizer.clip())


def test_the_norm_before_clipping_is_told_and_whether_it_was_cut():
    parameter, optimizer = make()
    info = step(parameter, optimizer, [3.0, 4.0])
    assert (info.grad_norm, info.clipped) == (5.0, True)
    assert parameter.grad.norm().item() == pytest.approx(1.0, rel=1e-5)
    assert step(parameter, optimizer, [0.3, 0.4]).clipped is False


def test_warm_up_counts_updates_and_the_rate_then_stays():
    parameter, optimizer = make(warmup_updates=4)
    rates = [step(parameter, optimizer, [1.0, 1.0]).learning_rate for _ in range(6)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_the_cosine_ends_at_zero():
    parameter, optimizer = make(warmup_updates=2, decay_updates=10)
    rates = [step(parameter, optimizer, [1.0, 1.0]).learning_rate for _ in range(11)]
    assert rates[2] == pytest.approx(0.1)
    assert rates[6] == pytest.approx(0.05)
    assert rates[10] == pytest.approx(0.0, abs=1e-12)
    assert all(a >= b for a, b in itertools.pairwise(rates[2:]))


def test_an_update_without_a_gradient_still_moves_by_momentum():
    parameter, optimizer = make()
    step(parameter, optimizer, [0.5, 0.5])
    before = parameter.detach().clone()
    info = step(parameter, optimizer, [0.0, 0.0])
    assert info.grad_norm == 0.0
    assert (parameter.detach() - before).abs().min() > 1e-3


def test_one_step_is_adamw_by_hand():
    parameter, optimizer = make(weight_decay=0.1, max_grad_norm=math.inf)
    start = parameter.detach().clone()
    step(parameter, optimizer, [0.5, -0.25])
    expected = start * (1 - 0.1 * 0.1) - 0.1 * torch.tensor([1.0, -1.0])
    torch.testing.assert_close(parameter.detach(), expected, atol=1e-6, rtol=0)
