"""The protocol every rollout engine keeps, and the random numbers that all of them share."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from klear_core.records import Completion, Prompt, RandomKey, SamplingParams


class Engine(Protocol):
    """Samples completions of prompts under the current weights of the policy it serves."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: SamplingParams, key: RandomKey
    ) -> list[tuple[Completion, ...]]:
        """``sampling.num_samples`` completions of each prompt, in order.

        A completion is a function of weights, prompt, ``sampling`` and (key, problem_id, sample) up to rounding: it
        does not depend on the other prompts of the call.  EngineError when a prompt cannot be served.
        """
        ...


def uniforms(key: RandomKey, problem_id: str, sample: int, count: int) -> np.ndarray:
    """``count`` uniform numbers in [0, 1) for the tokens of one completion, float64 [T]."""
    name = f"{key.seed}/{key.stream}/{key.step}/{problem_id}/{sample}"
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big"))).random(count)
