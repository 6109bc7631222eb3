"""Small Qwen3 models far from their start, and what the tests of decoding ask of them."""

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from klear_core.records import Prompt
from klear_core.rollout.qwen3_decoder import Qwen3Decoder
from klear_core.rollout.qwen3_weights import Qwen3Weights

V = 23


def build(seed=0, *, dtype="float32", **changes):
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "vocab_size": V}
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(Qwen3Config(**(sizes | changes))).to(getattr(torch, dtype)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Far from the start, where norms are 1 and attention looks everywhere alike.
            parameter.copy_(torch.randn_like(parameter.float()) * (1.0 if parameter.dim() == 1 else 0.3))
    return model


def begin(model, prompts, *, repeats=1, max_tokens=8, graphs=False):
    asked = [Prompt(problem_id=str(index), token_ids=tuple(ids)) for index, ids in enumerate(prompts)]
    sizes = {"max_rows": len(asked) * repeats, "max_tokens": max_tokens}
    decoder = Qwen3Decoder(Qwen3Weights.read(model), asked, **sizes, graphs=graphs)
    decoder.select(torch.arange(len(asked)).repeat_interleave(repeats))
    return decoder


def own_logits(model, rows):
    """Of the token after each row, by the model on that row alone."""
    return torch.stack([model(input_ids=torch.tensor([row])).logits[0, -1] for row in rows])
