"""lighteval 0.13 through our engines, offline: its tasks and ours answered, and its scorers on texts that are stored.

The only file that imports lighteval, which lives in an environment of its own: ``make env-lighteval``.
"""

import dataclasses
import importlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from lighteval.logging import info_loggers
from lighteval.logging.evaluation_tracker import EvaluationTracker
from lighteval.metrics.metrics import Metrics
from lighteval.models.abstract_model import LightevalModel, ModelConfig
from lighteval.models.model_output import ModelResponse
from lighteval.pipeline import ParallelismManager, Pipeline, PipelineParameters
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.prompt_manager import PromptManager
from lighteval.tasks.registry import Registry
from lighteval.tasks.requests import Doc, SamplingMethod
from lighteval.utils.cache_management import SampleCache, cached
from lighteval.utils.utils import remove_reasoning_tags

from klear_core.errors import ConfigError, EngineError
from klear_core.eval.crosscheck import Scored
from klear_core.eval.lighteval_files import TaskResult, delimited, write_questions
from klear_core.eval.tasks import Benchmark
from klear_core.records import Problem, Prompt, RandomKey, SamplingParams
from klear_core.rollout.engine import Engine

_SERVED = ("max_new_tokens", "seed", "temperature", "top_p")  # what engines have of lighteval's generation parameters
_TAGS = [("<think>", "</think>")]  # lighteval's own, which its pipeline removes
_SCORER_PACKAGES = ("lighteval", "latex2sympy2-extended", "sympy", "antlr4-python3-runtime")


class EngineModelConfig(ModelConfig):  # type: ignore[misc]
    """Everything that answers depend on: lighteval's cache takes these fields, and nothing else, for its key."""

    weights: str  # identity of weights, configuration and tokenizer
    engine: str
    stream: str  # names the random numbers, with the seed of the generation parameters
    context: int  # tokens


class EngineModel(LightevalModel):  # type: ignore[misc]
    """Any ``Engine`` as a model of lighteval, for generative tasks; answers are cached under the config's fields."""

    def __init__(self, engine: Engine, tokenizer: Any, config: EngineModelConfig) -> None:
        """ConfigError when the config asks for a way of sampling that engines do not have, or names a path."""
        if Path(config.model_name).is_absolute():
            raise ConfigError(
                f"model_name is {config.model_name}, where lighteval would put its cache; allowed: a name"
            )
        given = config.generation_parameters.model_dump(exclude_defaults=True)
        if strange := sorted(set(given) - set(_SERVED)):
            raise ConfigError(
                f"generation_parameters.{strange[0]} is {given[strange[0]]!r}; allowed: only {', '.join(_SERVED)}"
            )
        self.config = config
        self._engine = engine
        self._tokenizer = tokenizer
        self._prompts = PromptManager(
            use_chat_template=bool(tokenizer.chat_template), tokenizer=tokenizer, system_prompt=config.system_prompt
        )
        self._cache = SampleCache(config)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the policy."""
        return self._tokenizer

    @property
    def add_special_tokens(self) -> bool:
        """Whether the tokenizer adds them: a chat template has written them already."""
        return not self._tokenizer.chat_template

    @property
    def max_length(self) -> int:
        """Tokens of prompt and response together."""
        return int(self.config.context)

    @cached(SamplingMethod.GENERATIVE)  # type: ignore[untyped-decorator]
    def greedy_until(self, docs: list[Doc]) -> list[ModelResponse]:
        """``num_samples`` answers to each document, greedy at temperature 0 only.

        The length is that of the config, else the task's. A stop sequence cuts the text afterwards, as engines stop at
        end-of-text only. ConfigError without a length, or for several samples at temperature 0.
        """
        calls: dict[SamplingParams, list[int]] = {}
        for index, doc in enumerate(docs):
            calls.setdefault(self._sampling(doc), []).append(index)
        responses: dict[int, ModelResponse] = {}
        for sampling, members in calls.items():
            asked = [self._prompt(docs[index]) for index in members]
            key = RandomKey(seed=self.config.generation_parameters.seed or 0, stream=self.config.stream, step=0)
            answers = self._engine.generate([prompt for prompt, _ in asked], sampling, key)
            for index, (prompt, text), completions in zip(members, asked, answers, strict=True):
                # No log-probs: a cached answer that has some counts as one of another kind.
                responses[index] = ModelResponse(
                    input=text,
                    input_tokens=list(prompt.token_ids),
                    text=[_before(each.text, docs[index].stop_sequences or ()) for each in completions],
                    output_tokens=[list(each.token_ids) for each in completions],
                )
        return [responses[index] for index in range(len(docs))]

    def loglikelihood(self, docs: list[Doc]) -> list[ModelResponse]:
        """EngineError: engines generate."""
        raise EngineError(f"{docs[0].task_name} asks for the likelihood of given texts; allowed: generative tasks")

    def loglikelihood_rolling(self, docs: list[Doc]) -> list[ModelResponse]:
        """EngineError: engines generate."""
        return self.loglikelihood(docs)

    def _sampling(self, doc: Doc) -> SamplingParams:
        given = self.config.generation_parameters
        max_tokens = given.max_new_tokens or doc.generation_size
        if max_tokens is None:
            raise ConfigError(f"max_new_tokens is missing, and {doc.task_name} has no length of its own; allowed: >= 1")
        if doc.num_samples > 1 and given.temperature == 0:
            raise ConfigError(f"temperature is 0 for {doc.num_samples} samples of {doc.task_name}; allowed: > 0")
        return SamplingParams(
            temperature=float(given.temperature),
            top_p=1.0 if given.top_p is None else float(given.top_p),
            max_tokens=max_tokens,
            num_samples=doc.num_samples,
        )

    def _prompt(self, doc: Doc) -> tuple[Prompt, str]:
        text = self._prompts.prepare_prompt(doc)
        ids = self._tokenizer(text, add_special_tokens=self.add_special_tokens)["input_ids"]
        problem_id = (doc.specific or {}).get("problem_id", f"{doc.task_name}/{doc.id}")
        return Prompt(problem_id=problem_id, token_ids=tuple(ids)), text


def _before(text: str, stop_sequences: Sequence[str]) -> str:
    for stop in stop_sequences:
        text = text.split(stop)[0] if stop else text
    return text


def own_task(
    benchmark: Benchmark, problems: Sequence[Problem], folder: Path, *, num_samples: int, max_tokens: int
) -> LightevalTaskConfig:
    """A benchmark of ours as a task of lighteval, with its questions as a local file below ``folder``.

    Metrics are avg@n, pass@1 and pass@n, n = ``num_samples``. Refuses what ``write_questions`` does.
    """
    pass_at = [
        Metrics.pass_at_k_math(sample_params={"k": k, "n": num_samples}) for k in dict.fromkeys((1, num_samples))
    ]
    return LightevalTaskConfig(
        name=f"klear_{benchmark.name}",  # no task of lighteval's own begins like this
        prompt_function=_document,
        hf_repo=str(write_questions(benchmark, problems, folder)),
        hf_subset="default",
        hf_avail_splits=["test"],
        evaluation_splits=["test"],
        generation_size=max_tokens,
        stop_sequence=[],
        metrics=[Metrics.avg_at_n_math(sample_params={"n": num_samples}), *pass_at],
    )


def _document(line: Mapping[str, Any], task_name: str = "") -> Doc:
    return Doc(
        task_name=task_name,
        query=line["problem"],
        choices=[delimited(line["answer"])],
        gold_index=0,
        specific={"problem_id": line["problem_id"]},
    )


def their_task(module: str, name: str, *, data: Path | None) -> LightevalTaskConfig:
    """The task ``name`` of ``lighteval.tasks.tasks.MODULE``; a folder ``data`` with ``<split>.jsonl`` replaces the Hub.

    ConfigError when lighteval has no such module or task.
    """
    try:
        table = importlib.import_module(f"lighteval.tasks.tasks.{module}").TASKS_TABLE
    except (ModuleNotFoundError, AttributeError):
        raise ConfigError(f"lighteval.tasks.tasks has no tasks in {module!r}; allowed: one of its modules") from None
    found = {task.name: task for task in table}
    if name not in found:
        raise ConfigError(f"lighteval task is {name!r}; allowed in {module}: {', '.join(found)}")
    task = found[name]
    return task if data is None else dataclasses.replace(task, hf_repo=str(data), hf_subset="default", hf_revision=None)


def run(tasks: Sequence[LightevalTaskConfig], model: EngineModel, folder: Path) -> dict[str, TaskResult]:
    """Answer tasks through lighteval's own pipeline, and its scores by task; nothing is uploaded.

    lighteval seeds the global random numbers of Python and numpy; engines do not draw from them.
    """
    with _offline(tasks), _quiet():
        tracker = EvaluationTracker(output_dir=str(folder), save_details=False)
        pipeline = Pipeline(
            tasks=",".join(f"{task.name}|0" for task in tasks),
            pipeline_parameters=PipelineParameters(launcher_type=ParallelismManager.NONE),
            evaluation_tracker=tracker,
            model=model,
        )
        pipeline.evaluate()
    return {task.name: _result(tracker, f"{task.name}|0") for task in tasks}


def _result(tracker: EvaluationTracker, name: str) -> TaskResult:
    details = {
        (each.doc.specific or {}).get("problem_id", each.doc.id): each for each in tracker.details_logger.details[name]
    }
    return TaskResult(
        scores={metric: float(value) for metric, value in tracker.metrics_logger.metric_aggregated[name].items()},
        questions={key: {name: float(value) for name, value in each.metric.items()} for key, each in details.items()},
        texts={key: tuple(each.model_response.text) for key, each in details.items()},
    )


@contextmanager
def _offline(tasks: Sequence[LightevalTaskConfig]) -> Iterator[None]:
    """lighteval where it has to work without a network and with present packages.

    Its registry imports all tasks there are: one of them downloads a file for that, two call huggingface_hub in a way
    that its version 2 refuses; here it holds ``tasks`` alone. Its logger hashes texts, which xxhash 4 refuses; here
    they are encoded first.
    """
    table = {task.name: task for task in tasks}
    xxh64 = info_loggers.xxhash.xxh64
    with (
        patch.object(Registry, "load_all_task_configs", staticmethod(lambda **_: dict(table))),
        patch.object(info_loggers, "xxhash", SimpleNamespace(xxh64=lambda text: xxh64(text.encode()))),
    ):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a warning for every answer that holds nothing to extract."""
    logger = logging.getLogger("lighteval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def score(reference: str, texts: Sequence[str]) -> Scored:
    """What lighteval's mathematics metrics find in all answers to one question, and what they make of it.

    Must run in the main thread, as lighteval's time limits are signals.
    """
    n = len(texts)
    avg = Metrics.avg_at_n_math(sample_params={"n": n}).sample_level_fn
    pass_at = Metrics.pass_at_k_math(sample_params={"k": 1, "n": n}).sample_level_fn
    raw, stripped = _recording(avg), _recording(pass_at)
    doc = Doc(query="", choices=[delimited(reference)], gold_index=0)
    # As lighteval's pipeline hands answers to its metrics.
    behind = [remove_reasoning_tags(text=text, tag_pairs=_TAGS) for text in texts]
    response = ModelResponse(text=list(texts), text_post_processed=behind)
    with _quiet():
        mean = float(avg.compute(doc, response))
        at = {1: float(pass_at.compute(doc, response))}
    pass_at.k = n
    at[n] = float(pass_at.pass_at_k([value for value, _ in stripped]))
    return Scored(
        raw=tuple(value == 1 for value, _ in raw),
        stripped=tuple(value == 1 for value, _ in stripped),
        found=tuple(found for _, found in raw),
        avg=mean,
        pass_at=at,
    )


def _recording(metric: Any) -> list[tuple[float, str]]:
    """A list that fills with (score, what was extracted) of every answer that the metric scores."""
    scored: list[tuple[float, str]] = []
    compute: Callable[..., float] = metric.compute_score

    def recorded(doc: Doc, model_response: ModelResponse) -> float:
        doc.specific = None
        value = compute(doc=doc, model_response=model_response)
        found = (doc.specific or {}).get("extracted_predictions", [])
        scored.append((value, ", ".join(dict.fromkeys(found))))
        return value

    metric.compute_score = recorded
    return scored


def scorer_versions() -> dict[str, str]:
    """Versions of lighteval and of what its verdicts on mathematics depend on."""
    return {package: metadata.version(package) for package in _SCORER_PACKAGES}
