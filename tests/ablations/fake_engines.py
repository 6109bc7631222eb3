"""Engines without a model, for the tests of what asks them; another process finds them by their names here."""

import os
import signal
import sys
import time
from pathlib import Path

from klear_core.errors import EngineError
from klear_core.records import Completion, FinishReason

_PATIENCE_S = 120.0


class Fake:
    """Answers each sample with its key, or does what the prompt's id says; ``folder`` shows what it did."""

    def __init__(self, folder):
        self._folder = Path(folder)

    def generate(self, prompts, sampling, key):
        return [
            tuple(_completion(self._text(prompt.problem_id, sample, key)) for sample in range(sampling.num_samples))
            for prompt in prompts
        ]

    def close(self):
        (self._folder / f"closed-{os.getpid()}").touch()

    def _text(self, name, sample, key):
        if name == "interrupted":
            os.kill(os.getpid(), signal.SIGINT)
        if name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "asleep":
            time.sleep(5 * _PATIENCE_S)
        if name == "memory":
            raise RuntimeError("CUDA out of memory. Tried to allocate\n2.00 GiB.")
        if name == "bug":
            raise RuntimeError("shapes do not match")
        if name == "refused":
            raise EngineError("prompt p has 9 tokens; allowed: 1 to 8")
        return self._met() if name == "met" else f"{name} {sample} {key.step}"

    def _met(self):
        """GPUs that this process sees, and whether torch is there, said when two processes are at work."""
        (self._folder / f"met-{os.getpid()}").touch()
        deadline = time.monotonic() + _PATIENCE_S
        while len(list(self._folder.glob("met-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        return f"GPU {os.environ.get('CUDA_VISIBLE_DEVICES')}, torch {'torch' in sys.modules}"


def missing():
    """An engine that cannot be opened."""
    raise EngineError("engine is vllm, which is not installed here")


def _completion(text):
    return Completion(
        token_ids=tuple(range(len(text))),
        logprobs=(0.0,) * len(text),
        entropies=None,
        text=text,
        finish_reason=FinishReason.STOP,
    )
