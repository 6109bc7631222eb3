"""The engine of vLLM, in this process: token ids in and out, under the weights that the policy has at each call.

The only file that imports vLLM, and that only where an engine is opened, since the import takes many seconds.
"""

import copy
import json
import math
import os
import random
import warnings
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch

from klear_core.engine_config import EngineConfig
from klear_core.errors import EngineError
from klear_core.records import Completion, Prompt, RandomKey, SamplingParams
from klear_core.rollout.engine import check_prompts, states
from klear_core.rollout.sampling import completed
from klear_core.rollout.vllm_version import check_vllm

_GIB = 2**30
_CPU_CACHE_GB = 1.0
_GPU_SHARE = 0.9
_NO_SHARE = 0.01  # vLLM refuses a GPU with less than its share free, even where kv_cache_gb says what it may take
_SETTINGS = {
    # The engine has to live in this process for its weights to be replaced by tensors of it.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}


class VllmEngine:
    """Samples through ``vllm.LLM``, from a model of this process or from a checkpoint folder.

    Every completion is a request with a seed of its own, so that it depends on no other.  vLLM draws its random numbers
    its own way: completions are not those of the other engines, though of the same distribution.  Entropies are not
    known.  Under ``top_p`` < 1 vLLM tells only the log-probabilities after truncation, which are not those of a
    ``Completion``: they are NaN then.
    """

    def __init__(self, llm: Any, tokenizer: Any, *, model: Any, sleeps: bool) -> None:
        """See ``over_model`` and ``over_folder``."""
        self._llm = llm
        self._tokenizer = tokenizer
        self._model: Any = model  # None where the weights stay as they are
        self._sleeps = sleeps
        # On a CPU compiling takes longer than most runs.
        self._stance = "force_eager" if _device() == "cpu" else "default"
        self._context = int(llm.llm_engine.model_config.max_model_len)
        self._close = weakref.finalize(self, _shut_down, llm)

    @classmethod
    def over_model(cls, model: Any, tokenizer: Any, *, config: EngineConfig) -> Self:
        """An engine under the weights of ``model``, which are copied in before every call.

        EngineError when vLLM is missing, of a version that is not known, for another device or not for such a model.
        """
        shape = copy.deepcopy(model.config)
        shape.architectures = [type(model).__name__]
        device = model.device.type
        with TemporaryDirectory(prefix="vllm-") as folder:
            shape.save_pretrained(folder)
            llm = _open(Path(folder), config, dtype=model.dtype, device=device, load_format="dummy")
        engine = cls(llm, tokenizer, model=model, sleeps=config.sleeps and device == "cuda")
        engine._fall_asleep()  # training may come first
        return engine

    @classmethod
    def over_folder(cls, folder: Path, tokenizer: Any, *, config: EngineConfig, dtype: str, device: str) -> Self:
        """An engine under the weights of ``folder``, which stay as they are; errors as of ``over_model``."""
        llm = _open(folder, config, dtype=getattr(torch, dtype), device=device, load_format="auto")
        return cls(llm, tokenizer, model=None, sleeps=False)

    def generate(
        self, prompts: Sequence[Prompt], sampling: SamplingParams, key: RandomKey
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine``. EngineError when a prompt is empty or does not fit into the model's context."""
        check_prompts(prompts, sampling, self._context)
        is_asleep = self._sleeps and self._llm.llm_engine.is_sleeping()
        if is_asleep:
            torch.cuda.empty_cache()  # what training has cached goes back first; vLLM 0.32 would also see to it
            self._llm.wake_up(tags=["weights"])
        if self._model is not None:
            self._copy_weights()
        if is_asleep:
            self._llm.wake_up(tags=["kv_cache"])
        G = sampling.num_samples
        asked = [(prompt, sample) for prompt in prompts for sample in range(G)]
        seeds = states(key, [(prompt.problem_id, sample) for prompt, sample in asked]) >> np.uint64(1)  # below 2^63
        with torch.compiler.set_stance(self._stance):
            outputs = self._llm.generate(
                [{"prompt_token_ids": list(prompt.token_ids)} for prompt, _ in asked],
                [self._request(sampling, seed) for seed in seeds.tolist()],
                use_tqdm=False,
            )
        answers = [output.outputs[0] for output in outputs]
        ids = [tuple(answer.token_ids) for answer in answers]
        logprobs = [_logprobs(row, answer.logprobs) for row, answer in zip(ids, answers, strict=True)]
        completions = completed(self._tokenizer, ids, logprobs, [None] * len(ids))
        self._fall_asleep()
        return [tuple(completions[start : start + G]) for start in range(0, len(completions), G)]

    def close(self) -> None:
        """Free what vLLM holds; the engine is of no use after it. Done at the end of the process at the latest."""
        self._close()

    def _fall_asleep(self) -> None:
        if self._sleeps:
            self._llm.sleep(level=2)  # weights are copied in anew anyway

    def _copy_weights(self) -> None:
        """The policy's present weights, in place; what was cached under earlier ones is forgotten."""
        weights = list(self._model.state_dict().items())
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights, "is_checkpoint_format": True})
        if not self._llm.reset_prefix_cache():
            raise EngineError("vLLM keeps the prefixes of earlier weights; allowed: no request under way")

    def _request(self, sampling: SamplingParams, seed: int) -> Any:
        from vllm import SamplingParams as Request

        return Request(
            temperature=sampling.temperature,
            top_p=sampling.top_p if sampling.temperature > 0 else 1.0,
            max_tokens=sampling.max_tokens,
            seed=seed,
            logprobs=0 if sampling.top_p >= 1 or sampling.temperature == 0 else None,  # of the chosen token alone
            detokenize=False,
            # One end of text, whatever else the checkpoint calls so.
            ignore_eos=True,
            stop_token_ids=[self._tokenizer.eos_token_id],
        )


def _open(folder: Path, config: EngineConfig, *, dtype: torch.dtype, device: str, load_format: str) -> Any:
    check_vllm()
    os.environ.update({name: value for name, value in _SETTINGS.items() if name not in os.environ})
    with _quietly():
        from vllm import LLM

    own = _device()
    if device != own:
        raise EngineError(
            f"engine is vllm, which sees no device but {own} here, and is to use {device}; allowed: {own}"
        )
    if own == "cpu":
        _check_head_size(folder)
    cache_gb = _CPU_CACHE_GB if config.kv_cache_gb is None and own == "cpu" else config.kv_cache_gb
    try:
        with _quietly(), _own_random_numbers():
            return LLM(
                model=str(folder),
                skip_tokenizer_init=True,
                load_format=load_format,
                generation_config="vllm",  # and not the checkpoint's own penalties
                dtype=dtype,
                max_num_seqs=config.max_rows,
                enforce_eager=not (config.cuda_graphs and own == "cuda"),
                logprobs_mode="processed_logprobs",  # those at the temperature
                enable_prefix_caching=True,
                use_tqdm_on_load=False,
                kv_cache_memory_bytes=None if cache_gb is None else int(cache_gb * _GIB),
                gpu_memory_utilization=_GPU_SHARE if cache_gb is None else _NO_SHARE,
                enable_sleep_mode=config.sleeps and device == "cuda",
                disable_log_stats=True,
                seed=0,
            )
    except (ValueError, RuntimeError, OSError) as error:
        raise EngineError(f"vLLM cannot serve the model: {_told(error)}") from None


def _logprobs(row: tuple[int, ...], told: Any) -> tuple[float, ...]:
    if told is None:
        return (math.nan,) * len(row)
    return tuple(place[token].logprob for token, place in zip(row, told, strict=True))


def _told(error: Exception) -> str:
    """What an exception says, on one line."""
    return " ".join(str(error).split())[:400]


def _device() -> str:
    """The kind of device that the installed vLLM is built for."""
    from vllm.platforms import current_platform

    return str(current_platform.device_type)


def _check_head_size(folder: Path) -> None:
    """EngineError unless vLLM's attention on a CPU has the size of the model's heads: it would say so at a first token.

    Sizes as ``config.json`` has them.
    """
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    size = config.get("head_dim") or config.get("hidden_size", 0) // config.get("num_attention_heads", 1)
    known = CPUAttentionBackend.get_supported_head_sizes()
    if size not in known:
        raise EngineError(
            f"the model's heads have {size} numbers each; allowed for vLLM on a CPU: {', '.join(map(str, known))}"
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings of vLLM's modules about their own dependencies, which no user can heed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """vLLM seeds the generators of the process it is opened in: what they were is put back."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        yield
    random.setstate(python)
    np.random.set_state(numpy)


def _shut_down(llm: Any) -> None:
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    llm.llm_engine.engine_core.shutdown()
    cleanup_dist_env_and_memory()
