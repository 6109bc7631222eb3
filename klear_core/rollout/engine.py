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


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(key: RandomKey, names: Sequence[tuple[str, int]], count: int) -> np.ndarray:
    """Uniform numbers in [0, 1) for ``count`` tokens of each completion (problem_id, sample), float64 [N, T].

    SplitMix64 (Steele, Lea and Flood 2014) from a state that hashes the key and the name, so a row depends on nothing
    else; all rows are drawn at once, as one generator object a row would cost more than the sampling.
    """
    prefix = f"{key.seed}/{key.stream}/{key.step}"
    digests = [hashlib.blake2b(f"{prefix}/{p}/{n}".encode(), digest_size=8).digest() for p, n in names]
    states_N = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
    z_NT = states_N[:, None] + np.arange(1, count + 1, dtype=np.uint64)[None] * _GOLDEN
    z_NT = (z_NT ^ (z_NT >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z_NT = (z_NT ^ (z_NT >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform_NT: np.ndarray = ((z_NT ^ (z_NT >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform_NT
