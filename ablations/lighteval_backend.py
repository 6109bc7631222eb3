"""`ablations evaluate backend=lighteval`: a benchmark through lighteval's pipeline, by the same engine and prompts."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from ablations import benchmarking
from ablations.benchmarking import Asked
from ablations.evaluate_settings import EvaluateSettings
from klear_core.errors import ConfigError
from klear_core.eval.tasks import CODE, get_benchmark
from klear_core.records import Problem
from klear_core.rollout.engine import Engine
from klear_core.runs import store

FILE = "lighteval.json"
LIGHTEVAL = "lighteval"


def check_backend(settings: EvaluateSettings) -> None:
    """ConfigError when lighteval is asked for and missing, or cannot ask what is to be asked."""
    if settings.backend != LIGHTEVAL:
        return
    if settings.processes > 1:
        raise ConfigError(
            f"processes is {settings.processes} for backend=lighteval; allowed: 1, as its pipeline asks one model"
        )
    if programs := [each.name for each in settings.benchmarks if each.scorer == CODE]:
        raise ConfigError(
            f"task is {programs[0]}, whose programs lighteval would run without a sandbox; allowed with "
            "backend=lighteval: mathematics"
        )
    if find_spec("lighteval") is None:
        raise ConfigError(
            "backend is lighteval, which is not installed here: make env-lighteval, then the same command by "
            ".venv-lighteval/bin/ablations"
        )


def ask_through_lighteval(
    asked: Asked, problems: Sequence[Problem], engine: Engine, tokenizer: Any, *, tell: Callable[[str], None]
) -> Mapping[str, float]:
    """lighteval's scores of a benchmark, by metric; kept as FILE in the folder of the evaluation, question by question.

    ``problems`` have their prompts as they are asked. Answers are those of our own evaluator where one call of it holds
    all samples of a question (``samples`` <= ``batch``). lighteval keeps answers in its cache only when all are drawn,
    so a kill loses the benchmark.
    """
    # Imported late: lighteval takes seconds, and an environment of its own.
    from klear_core.eval.lighteval_adapter import EngineModel, EngineModelConfig, own_task, run, scorer_versions

    settings, task, home = asked.manifest.settings, asked.manifest.task, asked.folder / LIGHTEVAL
    model = EngineModel(
        engine,
        tokenizer,
        EngineModelConfig(
            model_name=asked.manifest.model,
            generation_parameters={
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "max_new_tokens": settings.max_tokens,
                "seed": settings.seed,
            },
            cache_dir=str(home / "cache"),
            weights=settings.model_hash,
            engine=f"{settings.engine} {settings.dtype} {settings.device}",
            stream=f"benchmark/{task}",
            context=settings.context,
        ),
    )
    with benchmarking.held(asked.folder):
        own = own_task(
            get_benchmark(task), problems, home, num_samples=settings.samples, max_tokens=settings.max_tokens
        )
        result = run([own], model, home)[own.name]
        kept = {
            "manifest": dataclasses.asdict(asked.manifest),
            "lighteval": scorer_versions(),
            "scores": dict(result.scores),
            "questions": {name: dict(values) for name, values in result.questions.items()},
            "texts": {name: list(texts) for name, texts in result.texts.items()},
        }
        store.write_json(asked.folder / FILE, kept)
    scores = ", ".join(f"{name} {value:.3f}" for name, value in result.scores.items() if "stderr" not in name)
    tell(f"{task} through lighteval: {scores}; {asked.folder / FILE}")
    return result.scores
