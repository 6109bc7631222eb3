"""The lean forward pass is the model's: logits against transformers' own, and no model is taken for one it is not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from klear_core.rollout.qwen3_weights import is_plain_qwen3
from tests.klear_core.rollout.small_qwen3 import V, begin, build, own_logits


@settings(max_examples=40, derandomize=True)
@given(
    seed=st.integers(0, 999),
    hidden=st.integers(3, 20),
    layers=st.integers(1, 3),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 3),
    half=st.integers(1, 8),
    tied=st.booleans(),
    theta=st.sampled_from([100.0, 10000.0, 1e6]),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    repeats=st.integers(1, 3),
)
@torch.inference_mode()
def test_logits_are_the_models(seed, hidden, layers, kv_heads, group, half, tied, theta, lengths, repeats):
    model = build(
        seed,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=kv_heads * group,
        num_key_value_heads=kv_heads,
        head_dim=2 * half,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
    )
    assert is_plain_qwen3(model)
    prompts = [torch.randint(V, (length,)).tolist() for length in lengths]
    rows = [list(prompt) for prompt in prompts for _ in range(repeats)]
    decoder = begin(model, prompts, repeats=repeats, max_tokens=4)
    for step in range(4):
        torch.testing.assert_close(decoder.logits_MV, own_logits(model, rows), atol=1e-5, rtol=1e-5)
        if step == 1 and len(rows) > 1:
            order = torch.arange(len(rows) - 1)
            order[0] = len(rows) - 1
            decoder.select(order)
            rows = [rows[index] for index in order]
        if step < 3:
            tokens = torch.randint(V, (len(rows),))
            rows = [[*row, token] for row, token in zip(rows, tokens.tolist(), strict=True)]
            decoder.decode(tokens)


@torch.inference_mode()
def test_logits_stay_the_models_over_several_buckets_of_length():
    model = build(vocab_size=V)
    rows = [torch.randint(V, (length,)).tolist() for length in (5, 9)]
    decoder = begin(model, rows, max_tokens=90)
    for step in range(90):
        if step % 10 == 9:
            torch.testing.assert_close(decoder.logits_MV, own_logits(model, rows), atol=1e-5, rtol=1e-5)
        tokens = torch.randint(V, (2,))
        rows = [[*row, token] for row, token in zip(rows, tokens.tolist(), strict=True)]
        decoder.decode(tokens)


@torch.inference_mode()
def test_what_memory_held_before_has_no_effect():
    model = build()
    rows = [torch.randint(V, (length,)).tolist() for length in (5, 16)]
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    try:
        decoder = begin(model, rows, repeats=2, max_tokens=40)
        assert decoder._keys[0].isnan().any()
        for _ in range(40):
            decoder.decode(torch.randint(V, (4,)))
            assert decoder.logits_MV.isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)


@torch.inference_mode()
def test_half_precision_is_as_near_to_float32_as_the_model_is():
    model = build(dtype="bfloat16")
    exact = build().float()
    exact.load_state_dict({name: value.float() for name, value in model.state_dict().items()})
    rows = [torch.randint(V, (9,)).tolist() for _ in range(64)]
    decoder = begin(model, [row[:-1] for row in rows])
    decoder.decode(torch.tensor([row[-1] for row in rows]))
    assert decoder.logits_MV.dtype == torch.bfloat16
    truth = own_logits(exact, rows)
    ours, theirs = ((logits - truth).square().mean().sqrt() for logits in (decoder.logits_MV, own_logits(model, rows)))
    assert 0 < ours < 1.2 * theirs


def biased(model):
    model.model.layers[0].mlp.down_proj.bias = nn.Parameter(torch.ones(16))


def adapted(model):
    model.model.layers[1].self_attn.q_proj = nn.Sequential(model.model.layers[1].self_attn.q_proj, nn.Identity())


def hooked(model):
    model.model.layers[0].register_forward_hook(lambda module, given, output: output)


def hooked_before(model):
    model.lm_head.register_forward_pre_hook(lambda module, given: given)


def mixed(model):
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.bfloat16())


def shortened(model):
    model.model.layers = model.model.layers[:1]


def narrowed(model):
    model.model.layers[1].self_attn.k_proj = nn.Linear(16, 8, bias=False)


def double(model):
    model.double()


@pytest.mark.parametrize(
    "change", [biased, adapted, hooked, hooked_before, mixed, shortened, narrowed, double], ids=lambda f: f.__name__
)
def test_a_changed_model_is_not_plain(change):
    model = build()
    assert is_plain_qwen3(model)
    change(model)
    assert not is_plain_qwen3(model)


@pytest.mark.parametrize(
    "changes",
    [
        {"attention_bias": True},
        {"hidden_act": "gelu"},
        {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_model_of_other_settings_is_not_plain(changes):
    assert not is_plain_qwen3(build(**changes))


def test_a_model_of_another_architecture_is_not_plain():
    small = LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, vocab_size=V)
    assert not is_plain_qwen3(LlamaForCausalLM(small))
