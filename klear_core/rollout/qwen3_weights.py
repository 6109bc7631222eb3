"""The weights of a Qwen3 model as its lean forward pass takes them, and the check that this pass knows the model."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Qwen3ForCausalLM
from transformers.activations import SiLUActivation
from transformers.models.qwen3 import modeling_qwen3 as qwen3

_PARTS = {
    *(Qwen3ForCausalLM, qwen3.Qwen3Model, qwen3.Qwen3DecoderLayer, qwen3.Qwen3Attention, qwen3.Qwen3MLP),
    *(qwen3.Qwen3RMSNorm, qwen3.Qwen3RotaryEmbedding, nn.Embedding, nn.Linear, nn.ModuleList),
    *(nn.SiLU, SiLUActivation),
}
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def is_plain_qwen3(model: Any) -> bool:
    """Whether ``Qwen3Decoder`` computes what the model computes: parts, settings and types that it knows, no others.

    A changed part (an adapter, a quantised layer), a bias, a sliding window, a scaled RoPE, hooks, weights on several
    devices or of several types are reasons to say no.
    """
    modules = list(model.modules())
    if not {type(module) for module in modules} <= _PARTS:
        return False
    config, layers, parameters = model.config, model.model.layers, dict(model.named_parameters())
    H, K, D = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    rope = config.rope_parameters
    return (
        config.hidden_act == "silu"
        and set(config.layer_types) == {"full_attention"}
        and rope.get("rope_type") == "default"
        and set(rope) <= {"rope_type", "rope_theta"}
        and len(layers) == config.num_hidden_layers
        and all(layer.self_attn.q_proj.out_features == H * D for layer in layers)
        and all(layer.self_attn.k_proj.out_features == K * D for layer in layers)
        and not any(name.endswith("bias") for name in parameters)
        and not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
        and {(weight.dtype, weight.device) for weight in parameters.values()} == {(model.dtype, model.device)}
        and model.dtype in _DTYPES
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer; C is the hidden size, H and K the heads of queries and keys, D their size, I the inner size.

    The two halves of a head that RoPE turns against each other lie in turns in ``qkv`` and ``qk_norm``: a turned head
    is then a product of complex numbers, and queries times keys are the same.
    """

    attention_norm_C: Tensor
    qkv_OC: Tensor  # O = (H + 2 K) D
    qk_norm_HD: Tensor  # H + K rows, float32; those of queries hold the scale of attention, 1 / sqrt(D)
    out_CO: Tensor
    mlp_norm_C: Tensor
    gate_up_OC: Tensor  # O = 2 I
    down_CI: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Qwen3Weights:
    """A copy or a view of each weight as it was when read; later updates of the model may or may not show in it."""

    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    embedding_VC: Tensor
    layers: list[Layer]
    norm_C: Tensor
    head_VC: Tensor
    frequencies_F: Tensor  # of RoPE, radians a position, F = D / 2

    @classmethod
    def read(cls, model: Any) -> "Qwen3Weights":
        """The present weights of a model that ``is_plain_qwen3`` accepts."""
        config = model.config
        H, K, D = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        return cls(
            heads=H,
            kv_heads=K,
            head_dim=D,
            eps=config.rms_norm_eps,
            embedding_VC=model.model.embed_tokens.weight,
            layers=[_read_layer(layer, H, K, D) for layer in model.model.layers],
            norm_C=model.model.norm.weight,
            head_VC=model.lm_head.weight,
            frequencies_F=model.model.rotary_emb.inv_freq.float(),
        )


def _read_layer(layer: Any, H: int, K: int, D: int) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    qkv = [_in_pairs(attention.q_proj.weight, D), _in_pairs(attention.k_proj.weight, D), attention.v_proj.weight]
    q_norm_D, k_norm_D = _in_pairs(attention.q_norm.weight, D).float(), _in_pairs(attention.k_norm.weight, D).float()
    return Layer(
        attention_norm_C=layer.input_layernorm.weight,
        qkv_OC=torch.cat(qkv),
        qk_norm_HD=torch.cat([(q_norm_D * D**-0.5).expand(H, D), k_norm_D.expand(K, D)]),
        out_CO=attention.o_proj.weight,
        mlp_norm_C=layer.post_attention_layernorm.weight,
        gate_up_OC=torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
        down_CI=mlp.down_proj.weight,
    )


def _in_pairs(weight: Tensor, head_dim: int) -> Tensor:
    """Rows i and i + head_dim / 2 of each head side by side."""
    return torch.unflatten(weight, 0, (-1, 2, head_dim // 2)).transpose(1, 2).flatten(0, 2)
