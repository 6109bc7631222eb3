"""The policy network: building a Qwen3 model from a config, and the log-probabilities of responses under it."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from klear_core.batch import TokenScores
from klear_core.model_config import ModelConfig
from klear_core.trainer.head import head_logprobs
from klear_core.trainer.placing import place

# Words of a vocabulary: of fewer, whole logits take less time than blocks of them (tests/benchmarks/head.py).
FUSED_FROM = 512
# Models whose logits are their last hidden states times the head's weights, and nothing more.
_BARE_HEADS = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)


def build_model(config: ModelConfig, tokenizer: Any, *, seed: int) -> Any:
    """A freshly initialised Qwen3 causal LM with tied embeddings; the global generator is left as it was.

    It is drawn in float32 on the CPU, so that its weights depend on the seed alone, and then placed.
    """
    architecture = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        max_position_embeddings=tokenizer.model_max_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return place(Qwen3ForCausalLM(architecture), config)


def score(
    model: Any, token_ids_NL: Tensor, attention_mask_NL: Tensor, *, num_response: int, temperature: float, entropy: bool
) -> TokenScores:
    """Log-probabilities of the last ``num_response`` positions, and entropies there, as of ``token_scores``.

    ``token_ids_NL`` holds left-padded prompts followed by right-padded responses, int64; ``attention_mask_NL`` is
    False on the padding.  Values at padded responses are meaningless.
    """
    num_prompt = token_ids_NL.shape[1] - num_response
    mask, positions = None, None
    # Padding behind the response is hidden by causality; only padding before the prompt needs a mask.
    if not bool(attention_mask_NL[:, :num_prompt].all()):
        mask = attention_mask_NL.long()
        positions = (mask.cumsum(1) - 1).clamp(min=0)
    logprobs_NT, entropy_NT = token_scores(
        model,
        token_ids_NL[:, num_prompt:],
        at=num_response,
        temperature=temperature,
        entropy=entropy,
        # The last token predicts nothing that is scored.
        input_ids=token_ids_NL[:, :-1],
        attention_mask=None if mask is None else mask[:, :-1],
        position_ids=None if positions is None else positions[:, :-1],
    )
    return TokenScores(logprobs_NT=logprobs_NT, entropy_NT=entropy_NT)


def token_scores(
    model: Any, targets: Tensor, *, at: int | Tensor, temperature: float, entropy: bool, **inputs: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities of ``targets`` under softmax(logits / temperature), and the entropies of that softmax where
    they are asked for, both in nats and of the shape of ``targets``.

    The only place where what a model computes becomes log-probabilities.  ``inputs`` are the model's, and ``at`` says
    which positions predict the targets: the last so many of every row, or those that a bool mask over rows and
    positions chooses, in one line.  Gradients flow to the log-probabilities unless the caller has switched them off;
    entropies never carry one.
    """
    if _is_fused(model):
        hidden = model.base_model(**inputs, use_cache=False).last_hidden_state
        hidden = hidden[at] if isinstance(at, Tensor) else hidden[:, -at:]
        weight_VH = model.get_output_embeddings().weight
        logprobs_T, entropy_T = head_logprobs(
            hidden.flatten(0, -2), weight_VH, targets.flatten(), temperature=temperature, with_entropy=entropy
        )
        return logprobs_T.view(targets.shape), None if entropy_T is None else entropy_T.view(targets.shape)
    is_mask = isinstance(at, Tensor)
    output = model(**inputs, use_cache=False, logits_to_keep=0 if is_mask else at)
    logits = output.logits[at] if is_mask else output.logits
    # A softmax of half precision is too coarse for ratios; float64 stays, as the checks of identities need it.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    all_logprobs = torch.log_softmax(logits / temperature, dim=-1)
    logprobs = all_logprobs.gather(-1, targets[..., None]).squeeze(-1)
    if not entropy:
        return logprobs, None
    return logprobs, torch.special.entr(all_logprobs.detach().exp()).sum(-1)


def _is_fused(model: Any) -> bool:
    """Whether log-probabilities come straight from hidden states: the same up to rounding, without ever holding the
    logits of all tokens.
    """
    head = model.get_output_embeddings()
    is_bare = (
        isinstance(model, _BARE_HEADS)
        and type(head) is nn.Linear
        and dict(head.named_parameters()).keys() == {"weight"}
    )
    return is_bare and len(head.weight) >= FUSED_FROM
