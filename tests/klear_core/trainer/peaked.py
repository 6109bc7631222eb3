"""A policy on which rows, neighbours and packing make a difference that rounding does not hide."""

import torch

from klear_core.trainer.identity_sides import _keep_double
from klear_core.trainer.policy import build_model


def peaked_double(config, tokenizer):
    """Peaked enough that responses end at different lengths; float64, norms included."""
    model = build_model(config.model, tokenizer, seed=0).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    _keep_double(model)
    return model
