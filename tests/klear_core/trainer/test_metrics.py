"""The mismatch between engine and trainer, against its definitions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_core.runs import schema
from klear_core.trainer.metrics import Clock, mismatch_metrics


@settings(max_examples=60)
@given(gaps=st.lists(st.floats(-2, 2), min_size=1, max_size=300))
def test_they_are_the_mean_the_quantile_the_largest_and_schulmans_k3(gaps):
    found = mismatch_metrics(torch.tensor(gaps, dtype=torch.float64))
    sizes = sorted(map(abs, gaps))
    assert found["sampler_gap_max"] == sizes[-1]
    assert found["sampler_gap_mean"] == pytest.approx(math.fsum(sizes) / len(sizes), abs=1e-12)
    assert found["sampler_gap_p99"] == sizes[round(0.99 * (len(sizes) - 1))]
    k3 = math.fsum(math.exp(gap) - 1 - gap for gap in gaps) / len(gaps)
    assert found["sampler_kl"] == pytest.approx(k3, abs=1e-12)
    assert found["sampler_kl"] >= -1e-15


def test_the_kl_is_that_of_the_engine_against_the_trainer():
    """Its expectation over tokens of the engine, each counted as often as it is sampled."""
    engine_V = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
    trainer_V = torch.tensor([0.2, 0.5, 0.2, 0.1], dtype=torch.float64)
    sampled = torch.tensor([0, 0, 0, 0, 1, 1, 2, 3])
    gaps_K = (trainer_V.log() - engine_V.log())[sampled]
    expected = float((engine_V * (engine_V.log() - trainer_V.log())).sum())
    assert mismatch_metrics(gaps_K)["sampler_kl"] == pytest.approx(expected, rel=1e-12)


def test_gaps_of_rounding_keep_their_digits():
    assert mismatch_metrics(torch.full((7,), 1e-6))["sampler_kl"] == pytest.approx(5e-13, rel=1e-5)


def test_what_is_not_finite_is_told_and_nothing_is_nan():
    found = mismatch_metrics(torch.tensor([0.1, math.nan, 0.2]))
    assert math.isnan(found["sampler_gap_max"])
    assert math.isnan(found["sampler_kl"])
    assert all(map(math.isnan, mismatch_metrics(torch.empty(0)).values()))


def test_they_are_fields_of_a_step():
    names = set(mismatch_metrics(torch.empty(0)))
    assert names <= set(schema.STEP_FIELDS)
    assert set(schema.LATER_STEP_FIELDS) <= names


def test_a_phase_on_a_gpu_ends_when_its_work_is_done(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    for device, expected in (("cpu", []), ("cuda", [torch.device("cuda")] * 2)):
        clock = Clock(torch.device(device))
        clock.lap("rollout_s")
        clock.lap("update_s")
        assert waited == expected
        assert list(clock.seconds) == ["rollout_s", "update_s"]
        assert min(clock.seconds.values()) >= 0
