"""A tiny checkpoint and a file of questions for `ablations evaluate`."""

import json

import pytest
import torch
import yaml

from klear_core.settings import to_plain
from klear_core.trainer.model_folder import save_model
from klear_core.trainer.policy import build_model
from tests.ablations.commands.evaluations import QUESTIONS, SAMPLES, SHAPE


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, tokenizer, make_config):
    """A checkpoint as a run leaves it, with the run's configuration beside it; no test changes it."""
    run = tmp_path_factory.mktemp("runs") / "clipping" / "gppo-u4" / "seed0"
    model = build_model(SHAPE, tokenizer, seed=0)
    with torch.no_grad():
        # Peaked enough that greedy answers are no single token again and again.
        for parameter in model.parameters():
            parameter.mul_(3.0)
    save_model(run / "checkpoint", model, tokenizer)
    config = make_config(
        f"eval.test_questions={QUESTIONS}", f"eval.test_samples={SAMPLES}", "rl.max_response_tokens=24"
    )
    (run / "config.yaml").write_text(yaml.safe_dump(to_plain(config)))
    return run / "checkpoint"


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps({"problem": f"{k}+{k}=", "answer": str(2 * k)}) + "\n" for k in range(1, 4)))
    return path
