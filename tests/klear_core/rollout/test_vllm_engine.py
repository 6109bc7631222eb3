"""What is the engine of vLLM's own, beside the contract of all engines; where vLLM is installed."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from klear_core.data.tokenizer import build_tokenizer
from klear_core.engine_config import EngineConfig
from klear_core.errors import EngineError
from klear_core.records import Prompt, RandomKey, SamplingParams
from klear_core.rollout.engines import open_engine, serve_folder
from klear_core.rollout.native import NativeEngine
from klear_core.rollout.vllm_engine import VllmEngine
from klear_core.trainer.model_folder import save_model

pytest.importorskip("vllm", reason="vLLM is not installed: make env-vllm", exc_type=ImportError)

CONFIG = EngineConfig(name="vllm", max_rows=64, cuda_graphs=True, kv_cache_gb=0.25, sleeps=True)
KEY = RandomKey(seed=0, stream="test", step=1)
SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=24, num_samples=4)


@pytest.fixture
def model(make_model):
    return make_model(head_dim=32)


@pytest.fixture
def engine(model, tokenizer):
    opened = open_engine(CONFIG, model, tokenizer)
    assert isinstance(opened, VllmEngine)
    yield opened
    opened.close()


def ids(groups):
    return [[completion.token_ids for completion in group] for group in groups]


def test_a_folder_is_served_as_the_live_model_with_its_weights(engine, model, tokenizer, prompts, tmp_path):
    live = engine.generate(prompts, SAMPLING, KEY)
    engine.close()
    save_model(tmp_path / "checkpoint", model, tokenizer)
    served = serve_folder(CONFIG, tmp_path / "checkpoint", tokenizer, dtype="float32", device="cpu")
    assert ids(served.generate(prompts, SAMPLING, KEY)) == ids(live)
    served.close()


def test_below_top_p_1_log_probabilities_are_not_known(engine, prompts):
    groups = engine.generate(prompts, dataclasses.replace(SAMPLING, top_p=0.9), KEY)
    assert all(np.isnan(completion.logprobs).all() for group in groups for completion in group)
    assert all(len(completion.logprobs) == len(completion.token_ids) for group in groups for completion in group)


def test_most_greedy_answers_are_those_of_the_native_engine(engine, model, tokenizer, prompts):
    greedy = dataclasses.replace(SAMPLING, temperature=0.0, num_samples=1)
    ours = ids(NativeEngine(model, tokenizer).generate(prompts, greedy, KEY))
    theirs = ids(engine.generate(prompts, greedy, KEY))
    # Rounding decides where two tokens are as likely as each other.
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 0.9 * len(prompts)


def test_cached_prefixes_of_earlier_weights_are_forgotten(make_model, prompts):
    tokenizer = build_tokenizer(max_length=512)
    model = make_model(tokenizer, head_dim=32)
    # Longer than a block of the cache, so that a second call finds it there.
    long = Prompt(problem_id="long", token_ids=(prompts[0].token_ids * 400)[:300])
    engine = VllmEngine.over_model(model, tokenizer, config=CONFIG)
    sampling = dataclasses.replace(SAMPLING, num_samples=1)
    (before,) = engine.generate([long], sampling, KEY)[0]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    (after,) = engine.generate([long], sampling, KEY)[0]
    engine.close()
    rows = torch.tensor([[*long.token_ids, *after.token_ids]])
    with torch.no_grad():
        logprobs_LV = model(input_ids=rows).logits[0, len(long.token_ids) - 1 : -1].log_softmax(-1)
    expected = logprobs_LV.gather(-1, torch.tensor(after.token_ids)[:, None]).squeeze(-1)
    torch.testing.assert_close(torch.tensor(after.logprobs), expected, atol=1e-4, rtol=0)
    assert before.logprobs != after.logprobs


def test_opening_leaves_the_random_numbers_of_the_process_alone(model, tokenizer):
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    expected = (random.random(), np.random.random(), torch.rand(1).item())
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    VllmEngine.over_model(model, tokenizer, config=CONFIG).close()
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected


def test_a_given_cache_is_asked_for_whatever_else_holds_the_gpu(engine):
    """With a share of its own vLLM opens only where so much of the GPU is free."""
    cache = engine._llm.llm_engine.vllm_config.cache_config
    assert cache.kv_cache_memory_bytes == 2**28
    assert cache.gpu_memory_utilization == 0.01


def test_a_sleeping_engine_gets_weights_before_it_gets_its_cache_back(engine, prompts, monkeypatch):
    """The order on a GPU, where both would not fit beside the weights that come in; the CPU build cannot sleep."""
    done, llm = [], engine._llm
    monkeypatch.setattr(engine, "_sleeps", True)
    monkeypatch.setattr(llm.llm_engine, "is_sleeping", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: done.append("empty_cache"))
    monkeypatch.setattr(llm, "wake_up", lambda tags: done.extend(tags))
    monkeypatch.setattr(engine, "_copy_weights", lambda: done.append("copied"))
    monkeypatch.setattr(llm, "sleep", lambda level: done.append(level))
    engine.generate(prompts[:1], SAMPLING, KEY)
    assert done == ["empty_cache", "weights", "copied", "kv_cache", 2]


def test_an_engine_that_sleeps_is_asleep_when_it_is_opened(model, tokenizer, monkeypatch):
    """A resumed run trains before it samples."""
    slept = []
    monkeypatch.setattr(VllmEngine, "_fall_asleep", lambda engine: slept.append(engine))
    opened = VllmEngine.over_model(model, tokenizer, config=CONFIG)
    assert slept == [opened]
    opened.close()


def test_another_device_than_that_of_the_installed_vllm_is_refused(tokenizer, tmp_path):
    with pytest.raises(EngineError, match="sees no device but cpu here, and is to use cuda; allowed: cpu"):
        serve_folder(CONFIG, tmp_path, tokenizer, dtype="float32", device="cuda")


def test_a_model_that_vllm_cannot_serve_is_one_line(make_model, tokenizer):
    with pytest.raises(EngineError, match="heads have 8 numbers each; allowed for vLLM on a CPU: 32, 64") as caught:
        VllmEngine.over_model(make_model(head_dim=8), tokenizer, config=CONFIG)
    assert "\n" not in str(caught.value)


def test_an_engine_can_be_closed_twice_and_another_opened(model, tokenizer, prompts):
    for _ in range(2):
        engine = VllmEngine.over_model(model, tokenizer, config=CONFIG)
        assert len(engine.generate(prompts[:1], SAMPLING, KEY)[0]) == SAMPLING.num_samples
        engine.close()
        engine.close()
