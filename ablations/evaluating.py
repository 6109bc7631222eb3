"""From the settings of `ablations evaluate` to stored results: questions, model, grader, cost, answers."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations import benchmarking
from ablations.benchmark_engines import check_devices, open_engines
from ablations.benchmark_grading import benchmark_grader
from ablations.benchmark_sources import Source, source_of
from ablations.benchmarking import Asked
from ablations.checkpoints import extended, folder_of, is_of_hub, model_hash, name_of, opens_reasoning, source_told
from ablations.devices import told_of
from ablations.engine_pool import Engines, OneEngine
from ablations.evaluate_settings import EvaluateSettings
from ablations.lighteval_backend import LIGHTEVAL, ask_through_lighteval, check_backend
from ablations.machine_limits import free_disk
from ablations.told import clock
from klear_core.errors import ConfigError, DataError
from klear_core.records import Problem
from klear_core.rewards.grader import Grader
from klear_core.runs import provenance, schema
from klear_core.runs.benchmarks import EVAL_DIR, BenchmarkManifest, BenchmarkSettings, Counts, read_manifest
from klear_core.runs.wandb_sink import WandbSink, resolve_mode
from reports.stats import question_interval

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """One benchmark that was asked, or would be (``counts`` None)."""

    folder: Path
    manifest: BenchmarkManifest
    counts: Counts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfModel:
    """What an evaluation knows of its model without loading the weights."""

    source: str
    hash: str
    tokenizer: Any
    context: int  # tokens, as extended


def evaluate(settings: EvaluateSettings, runs_dir: Path, *, command: str, tell: Tell) -> Iterator[Evaluated]:
    """Ask every benchmark of the settings. What can be refused is refused before a model is loaded, or downloaded."""
    from klear_core.trainer.model_folder import check_model, load_tokenizer

    model = settings.model or ""
    if not is_of_hub(model):
        check_model(folder_of(model))
    check_backend(settings)
    sources = [source_of(settings, benchmark, Path(model)) for benchmark in settings.benchmarks]
    check_devices(settings.device, settings.processes)
    folder = folder_of(model)
    with extended(folder, settings.yarn) as view:
        context = check_model(view)
        for source in sources:
            _check_context(source, context, prompt_tokens=1, settings=settings)
        tokenizer = load_tokenizer(view)
    of_model = _OfModel(
        source=source_told(model, folder), hash=model_hash(folder), tokenizer=tokenizer, context=context
    )
    home = runs_dir / EVAL_DIR / (settings.name or name_of(model))
    origin = _origin(command, settings.device)
    with open_engines(settings, folder) as engines:
        for source in sources:
            with benchmark_grader(source, settings) as (grader, scorer):
                asked = _asked(source, settings, home, of_model, scorer=scorer, origin=origin)
                if settings.backend == LIGHTEVAL and not settings.dry_run:
                    assert isinstance(engines, OneEngine)
                    ask_through_lighteval(asked, _told(source, settings), engines.engine, tokenizer, tell=tell)
                    yield Evaluated(folder=asked.folder, manifest=asked.manifest, counts=None)
                else:
                    yield _ask(asked, engines, grader, settings, tell)


def rescore(settings: EvaluateSettings, runs_dir: Path, *, command: str) -> Iterator[Evaluated]:
    """Grade the stored answers of every benchmark with the present scorer; the model may be gone."""
    model = settings.model or ""
    folder, home = Path(model), runs_dir / EVAL_DIR / (settings.name or name_of(model))
    for benchmark in settings.benchmarks:
        stored = read_manifest(home / benchmark.name)
        source = source_of(dataclasses.replace(settings, questions=stored.settings.questions), benchmark, folder)
        if source.questions.content_hash != stored.settings.content_hash:
            raise DataError(f"data of {benchmark.name} holds other questions than {home / benchmark.name} answers")
        with benchmark_grader(source, settings) as (grader, scorer):
            manifest = dataclasses.replace(stored, scorer=scorer, provenance=_origin(command, "cpu"))
            asked = Asked(
                folder=home / benchmark.name, manifest=manifest, problems=source.questions.problems, prompts=()
            )
            with benchmarking.held(asked.folder):
                counts = benchmarking.rescore(asked, grader)
            yield Evaluated(folder=asked.folder, manifest=manifest, counts=counts)


def _ask(asked: Asked, engines: Engines, grader: Grader, settings: EvaluateSettings, tell: Tell) -> Evaluated:
    name, manifest = asked.manifest.task, asked.manifest
    cost = benchmarking.cost(asked, engines)
    tell(_cost_told(asked, cost))
    if cost.disk_bytes > free_disk(asked.folder):
        tell(f"{name}: the disk of {asked.folder} may be too small for answers of full length")
    if settings.dry_run:
        return Evaluated(folder=asked.folder, manifest=manifest, counts=None)
    with benchmarking.held(asked.folder):
        sink = _mirror(asked, settings)
        failed = True
        try:
            counts = benchmarking.run(asked, engines, grader, sink, tell=tell)
            mean = question_interval(counts.rates_Q).value
            sink.summarize({f"avg@{manifest.settings.samples}": mean})
            failed = False
        finally:
            sink.finish(failed=failed)
    return Evaluated(folder=asked.folder, manifest=manifest, counts=counts)


def _cost_told(asked: Asked, cost: benchmarking.Cost) -> str:
    settings = asked.manifest.settings
    what = f"{asked.manifest.task}: {settings.questions} questions x {settings.samples} samples"
    if not cost.calls:
        return f"{what}, all answers are stored"
    by = f" by {cost.engines} engines" if cost.engines > 1 else ""
    return (
        f"{what}; to draw: {cost.answers:,} answers in {cost.calls} calls{by}, at most {cost.tokens:,} tokens, "
        f"{cost.disk_bytes / 1e6:,.0f} MB and {clock(cost.seconds)} ({cost.tokens_per_s:,.0f} tokens/s at first)"
    )


def _check_context(source: Source, context: int, *, prompt_tokens: int, settings: EvaluateSettings) -> None:
    asked = source.sampling.max_tokens
    if prompt_tokens + asked > context:
        raise ConfigError(
            f"max_tokens is {asked} for {source.benchmark.name}, behind prompts of up to {prompt_tokens} tokens, and "
            f"the context of {settings.model} is {context}; allowed: up to {max(0, context - prompt_tokens)}, or "
            "yarn=FACTOR"
        )


def _asked(
    source: Source,
    settings: EvaluateSettings,
    home: Path,
    model: _OfModel,
    *,
    scorer: dict[str, str],
    origin: schema.Provenance,
) -> Asked:
    # Imported late: all that can be wrong with the questions is said without the seconds of torch.
    from klear_core.trainer.collate import tokenize_prompts

    prompts = tokenize_prompts(model.tokenizer, _told(source, settings))
    longest = max(len(prompt.token_ids) for prompt in prompts)
    _check_context(source, model.context, prompt_tokens=longest, settings=settings)
    sampling, questions = source.sampling, source.questions
    manifest = BenchmarkManifest(
        model=home.name,
        task=source.benchmark.name,
        title=source.benchmark.title,
        settings=BenchmarkSettings(
            model_hash=model.hash,
            data_sha256=questions.sha256,
            content_hash=questions.content_hash,
            format=questions.format,
            questions=len(questions.problems),
            samples=sampling.num_samples,
            batch=settings.batch,
            temperature=float(sampling.temperature),
            top_p=float(sampling.top_p),
            max_tokens=sampling.max_tokens,
            seed=settings.seed,
            instruction=settings.instruction,
            chat_template=bool(model.tokenizer.chat_template),
            is_opened=opens_reasoning(model.tokenizer),
            context=model.context,
            yarn=settings.yarn,
            engine=settings.engine,
            dtype=settings.dtype,
            device=settings.device,
        ),
        expected_questions=source.benchmark.questions,
        known_data=questions.known,
        prompt=source.benchmark.prompt,
        scorer=scorer,
        provenance=origin,
        model_source=model.source,
    )
    return Asked(folder=home / source.benchmark.name, manifest=manifest, problems=questions.problems, prompts=prompts)


def _told(source: Source, settings: EvaluateSettings) -> list[Problem]:
    """The problems with their prompts as they are asked."""
    behind = f"\n\n{settings.instruction}" if settings.instruction else ""
    return [dataclasses.replace(each, prompt=each.prompt + behind) for each in source.questions.problems]


def _origin(command: str, device: str) -> schema.Provenance:
    """Provenance of answers that are drawn, or graded, by one thread of each process."""
    return provenance.collect_provenance(
        source=provenance.source_hash(), command=command, threads=1, gpu=told_of(device)
    )


def _mirror(asked: Asked, settings: EvaluateSettings) -> WandbSink:
    manifest = asked.manifest
    run_id = hashlib.sha256(repr((manifest.model, manifest.task, manifest.settings)).encode()).hexdigest()[:16]
    return WandbSink(
        mode=resolve_mode(settings.wandb.mode).mode,
        project=settings.wandb.project,
        folder=asked.folder,
        run_id=f"eval-{run_id}",
        name=f"{manifest.model}-{manifest.task}",
        group=EVAL_DIR,
        job_type="eval",
        config={"model": manifest.model, "task": manifest.task, **dataclasses.asdict(manifest.settings)},
        finish_timeout_s=float(settings.wandb.finish_timeout_s),
    )


def told(command: Sequence[str]) -> str:
    """The command as it can be issued again."""
    return " ".join(["ablations evaluate", *command])
