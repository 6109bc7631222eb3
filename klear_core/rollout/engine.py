"""The protocol every rollout engine keeps, and the random numbers that all of them share."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from klear_core.errors import EngineError
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


def check_trainable(sampling: SamplingParams) -> None:
    """EngineError unless completions are drawn from the whole softmax at a temperature, as the losses assume.

    A loss scores a token under softmax(logits / temperature) over all tokens.  Sampling from a part of them has other
    probabilities, which no ratio of the loss would know of.
    """
    if sampling.top_p < 1:
        raise EngineError(f"top_p is {sampling.top_p:g}; allowed in training: 1, as losses score over all tokens")
    if sampling.temperature <= 0:
        raise EngineError(f"temperature is {sampling.temperature:g}; allowed in training: > 0")


def check_prompts(prompts: Sequence[Prompt], sampling: SamplingParams, context: int) -> None:
    """EngineError when a prompt is empty or does not fit into a context of ``context`` tokens with its response."""
    for prompt in prompts:
        if not prompt.token_ids or len(prompt.token_ids) + sampling.max_tokens > context:
            raise EngineError(
                f"prompt {prompt.problem_id} has {len(prompt.token_ids)} tokens; allowed: 1 to "
                f"{context - sampling.max_tokens}, as {sampling.max_tokens} are to follow in a context of {context}"
            )


def chunks(prompts: Sequence[Prompt], sampling: SamplingParams, max_rows: int) -> Iterator[Sequence[Prompt]]:
    """The prompts in parts whose completions are at most ``max_rows``, one prompt at least."""
    size = max(1, max_rows // sampling.num_samples)
    for start in range(0, len(prompts), size):
        yield prompts[start : start + size]


def generate_in_chunks(
    model: Any,
    prompts: Sequence[Prompt],
    sampling: SamplingParams,
    max_rows: int,
    generate: Callable[[Sequence[Prompt]], list[tuple[Completion, ...]]],
) -> list[tuple[Completion, ...]]:
    """``generate`` of all prompts, part by part as ``chunks`` cuts them, with ``model`` in evaluation mode meanwhile.

    EngineError when a prompt is empty or does not fit into the model's context.
    """
    check_prompts(prompts, sampling, model.config.max_position_embeddings)
    with evaluating(model):
        return [group for part in chunks(prompts, sampling, max_rows) for group in generate(part)]


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """``model`` in evaluation mode, then in the mode that it was in."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def draws_of(prompts: Sequence[Prompt], sampling: SamplingParams, key: RandomKey) -> np.ndarray | None:
    """``uniforms`` of all completions, [N, T], those of a prompt side by side; None for greedy decoding."""
    if sampling.temperature == 0:
        return None
    names = [(prompt.problem_id, sample) for prompt in prompts for sample in range(sampling.num_samples)]
    return uniforms(key, names, sampling.max_tokens)


def states(key: RandomKey, names: Sequence[tuple[str, int]]) -> np.ndarray:
    """Where the random numbers of each completion (problem_id, sample) begin: a hash of key and name, uint64 [N]."""
    prefix = f"{key.seed}/{key.stream}/{key.step}"
    digests = [hashlib.blake2b(f"{prefix}/{p}/{n}".encode(), digest_size=8).digest() for p, n in names]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(key: RandomKey, names: Sequence[tuple[str, int]], count: int) -> np.ndarray:
    """Uniform numbers in [0, 1) for ``count`` tokens of each completion (problem_id, sample), float64 [N, T].

    SplitMix64 (Steele, Lea and Flood 2014) from a state that hashes the key and the name, so a row depends on nothing
    else; all rows are drawn at once, as one generator object a row would cost more than the sampling.
    """
    z_NT = states(key, names)[:, None] + np.arange(1, count + 1, dtype=np.uint64)[None] * _GOLDEN
    z_NT = (z_NT ^ (z_NT >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z_NT = (z_NT ^ (z_NT >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform_NT: np.ndarray = ((z_NT ^ (z_NT >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform_NT
