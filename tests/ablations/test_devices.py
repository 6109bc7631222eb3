"""The device of runs: refused when it is not there, shared in equal parts, and untouched by the process that forks."""

import subprocess
import sys
from multiprocessing import get_context
from types import SimpleNamespace

import pytest
import torch

from ablations import devices, machine_limits, preflight
from klear_core.errors import ConfigError
from klear_core.runs import provenance
from klear_core.trainer.checkpoint import capture_generators
from tests.e2e.conftest import ROOT, environment

CUDA = "model.device=cuda"

# What asks for a GPU is replaced before anything else is imported, and says that it was called.
_SERVER = """
import torch
asked = []
for name in ("is_available", "device_count", "current_device", "get_device_capability", "_lazy_init", "init"):
    setattr(torch.cuda, name, lambda *a, name=name, **k: asked.append(name) or 0)
import ablations.server
print(asked)
"""


@pytest.fixture
def forked(monkeypatch):
    """Children that are forked from here, so that they see what a test has replaced."""
    monkeypatch.setattr(preflight, "fork_server", lambda: get_context("fork"))


@pytest.mark.slow
def test_the_fork_server_leaves_the_gpu_alone():
    done = subprocess.run(
        [sys.executable, "-c", _SERVER], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("cuda", "available", "told"),
    [
        (None, False, r"torch \S+ is a build without CUDA"),
        ("13.0", False, r"torch \S+ for CUDA 13\.0 sees no GPU"),
        ("13.0", True, "AssertionError: .*CUDA"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_in_one_line(make_config, monkeypatch, forked, cuda, available, told):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    with pytest.raises(ConfigError, match=f"^model.device is 'cuda', but {told}.*; allowed here: cpu$") as caught:
        preflight.check_devices([make_config(), make_config(CUDA)])
    assert "\n" not in str(caught.value)


def test_runs_on_the_cpu_ask_for_nothing(make_config, monkeypatch):
    monkeypatch.setattr(preflight, "fork_server", lambda: pytest.fail("a child was started"))
    preflight.check_devices([make_config()])


def test_a_gpu_is_used_by_one_run_unless_more_are_asked_for(make_config, monkeypatch):
    monkeypatch.setattr(machine_limits, "cores", lambda: 8)
    settings = {(): 8, ("launch.slots=3",): 3, (CUDA,): 1, (CUDA, "launch.slots=4"): 4}
    assert {given: devices.num_slots(make_config(*given)) for given in settings} == settings


@pytest.fixture
def set_up(monkeypatch):
    """What ``set_up`` tells torch, without telling it."""
    said = {}
    for module, name in (
        (torch.cuda, "set_per_process_memory_fraction"),
        (torch, "set_float32_matmul_precision"),
        (torch, "use_deterministic_algorithms"),
    ):
        monkeypatch.setattr(module, name, lambda value, name=name, **_: said.update({name: value}))
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    return said


def test_runs_share_the_memory_of_a_gpu_and_round_as_little_as_they_can(make_config, set_up):
    devices.set_up(make_config(CUDA, "launch.slots=4"))
    assert set_up == {
        "set_per_process_memory_fraction": 0.95 / 4,
        "set_float32_matmul_precision": "highest",
        "use_deterministic_algorithms": True,
    }
    assert torch.utils.deterministic.fill_uninitialized_memory is False


def test_a_run_that_has_a_gpu_to_itself_gets_no_share_of_it(make_config, set_up):
    """What a sleeping engine has given back would count against the share."""
    devices.set_up(make_config(CUDA))
    assert set_up.keys() == {"set_float32_matmul_precision", "use_deterministic_algorithms"}


def test_a_run_on_the_cpu_touches_no_setting_of_a_gpu(make_config, set_up):
    devices.set_up(make_config())
    assert set_up == {}
    assert (devices.told(make_config()), devices.peak_mb(make_config())) == ("", 0.0)


def test_the_gpu_of_a_run_is_in_its_provenance(make_config, monkeypatch):
    seen = SimpleNamespace(name="NVIDIA H100", total_memory=80 * 2**30, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: seen)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    told = devices.told(make_config(CUDA))
    assert told == "NVIDIA H100, 80 GiB, capability 9.0, CUDA 13.0"
    machines = [provenance.collect_provenance(source="", command="", threads=1, gpu=gpu).machine for gpu in (told, "")]
    assert machines[0] == machines[1] | {"gpu": told}


def test_another_device_or_precision_is_another_run(make_config):
    runs = [make_config(*given) for given in ([], [CUDA], ["model.precision=bf16_master"])]
    assert len({run.config_hash for run in runs}) == len({run.sft_key for run in runs}) == 3


def test_generators_of_a_gpu_that_a_run_does_not_use_are_not_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: pytest.fail("a GPU was asked"))
    assert not [name for name in capture_generators()[1] if name.startswith("cuda")]
