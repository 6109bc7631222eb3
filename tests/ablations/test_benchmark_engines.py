"""The engines that `ablations evaluate` opens: their device, their weights, their GPUs, and vLLM from a folder."""

import os
from types import SimpleNamespace

import pytest
import torch

from ablations.benchmark_engines import EngineSpec, check_devices, engine_config, environments, open_spec
from ablations.evaluate_settings import read_settings
from klear_core.engine_config import EngineConfig
from klear_core.errors import ConfigError, EngineError
from klear_core.records import Prompt, RandomKey, SamplingParams
from klear_core.rollout import engines
from klear_core.trainer.model_folder import check_model, save_model


def settings(*words):
    return read_settings(["model=m", "task=laptop", *words])


@pytest.fixture
def folder(tmp_path, model, tokenizer):
    save_model(tmp_path / "model", model, tokenizer)
    return tmp_path / "model"


def spec(folder, **changes):
    given = {"yarn": None, "config": engine_config(settings()), "dtype": "float32", "device": "cpu"}
    return EngineSpec(folder=folder, **(given | changes))


def test_a_gpu_for_each_process_is_wanted_before_anything_is_loaded(monkeypatch):
    check_devices("cpu", 64)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(
        ConfigError, match=r"^device is 'cuda', but torch \S+ is a build without CUDA; allowed here: cpu$"
    ):
        check_devices("cuda", 1)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_devices("cuda", 2)
    with pytest.raises(ConfigError, match=r"^processes is 3, of one GPU each, and torch sees 2; allowed: 1 to 2$"):
        check_devices("cuda", 3)


def test_each_process_has_one_of_the_gpus_that_this_one_sees(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [each["CUDA_VISIBLE_DEVICES"] for each in environments("cuda", 3)] == ["0", "1", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6, GPU-5f2a,1")
    assert [each["CUDA_VISIBLE_DEVICES"] for each in environments("cuda", 2)] == ["6", "GPU-5f2a"]
    assert [(each["OMP_NUM_THREADS"], "CUDA_VISIBLE_DEVICES" in each) for each in environments("cpu", 2)] == [
        ("1", False)
    ] * 2


@pytest.mark.parametrize("name", ["native", "transformers"])
def test_an_engine_is_its_preset_for_as_many_rows_as_a_call_has(name):
    config = engine_config(settings(f"engine={name}", "batch=7"))
    assert isinstance(config, EngineConfig)
    assert (config.name, config.max_rows, config.cuda_graphs) == (name, 7, False)


@pytest.mark.parametrize("name", ["native", "transformers"])
def test_weights_are_held_in_the_type_that_is_asked_for(folder, name):
    sampling = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=8, num_samples=2)
    request = [Prompt(problem_id="p", token_ids=(1, 2, 3))], sampling, RandomKey(seed=0, stream="x", step=0)
    for dtype in (torch.float32, torch.bfloat16):
        config = engine_config(settings(f"engine={name}"))
        engine = open_spec(spec(folder, config=config, dtype=str(dtype).removeprefix("torch.")))
        assert {each.dtype for each in engine._model.parameters()} == {dtype}
        assert len(engine.generate(*request)[0]) == 2


def test_vllm_loads_the_folder_itself_with_its_context_extended(folder, tokenizer, monkeypatch):
    served = []

    def serve_folder(config, view, tokenizer, *, dtype, device):
        served.append((config, check_model(view), len(tokenizer), dtype))
        return "engine"

    monkeypatch.setattr(engines, "serve_folder", serve_folder, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    config = SimpleNamespace(name="vllm")
    assert open_spec(spec(folder, config=config, yarn=2.0, dtype="bfloat16", device="cuda")) == "engine"
    assert served == [(config, 256, len(tokenizer), "bfloat16")]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    open_spec(spec(folder, config=config))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""  # vLLM would take a GPU that it sees

    def refused(*given, **more):
        raise EngineError("engine is vllm, which is not installed here")

    monkeypatch.setattr(engines, "serve_folder", refused)
    with pytest.raises(EngineError, match="not installed"):
        open_spec(spec(folder, config=config))
