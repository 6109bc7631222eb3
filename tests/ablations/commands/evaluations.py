"""What the tests of `ablations evaluate` share: the size of its checkpoint's run, and the command."""

from klear_core.config import ModelConfig
from tests.ablations.commands.cli_store import ablations

QUESTIONS, SAMPLES = 12, 4
NAME = "clipping-gppo-u4-seed0"  # of the results

SHAPE = ModelConfig(
    **{"name": "test", "hidden_size": 32, "intermediate_size": 64, "num_layers": 2, "num_heads": 4},
    **{"num_kv_heads": 2, "head_dim": 8, "precision": "float32", "device": "cpu"},
    gradient_checkpointing=False,
)


def evaluate(checkpoint, *arguments, runs):
    """The command without W&B; the laptop task in calls of 8 answers unless something else is asked."""
    words = [f"model={checkpoint}", *(arguments or ["task=laptop", "batch=8"])]
    return ablations("evaluate", *words, "--runs", runs, WANDB_MODE="disabled")
