"""From the settings of `ablations evaluate` to stored results: questions, model, grader, cost, answers."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations import benchmarking
from ablations.benchmark_grading import benchmark_grader
from ablations.benchmark_sources import Source, source_of
from ablations.benchmarking import Asked
from ablations.checkpoints import check_folder, extended, model_hash, name_of, opens_reasoning
from ablations.evaluate_settings import EvaluateSettings
from ablations.machine_limits import free_disk
from ablations.told import clock
from klear_core.errors import ConfigError, DataError
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


def evaluate(settings: EvaluateSettings, runs_dir: Path, *, command: str, tell: Tell) -> Iterator[Evaluated]:
    """Ask every benchmark of the settings. What can be refused is refused before the model is loaded."""
    from klear_core.trainer.model_folder import check_model, load_model

    folder = check_folder(settings.model or "")
    check_model(folder)
    sources = [source_of(settings, benchmark, folder) for benchmark in settings.benchmarks]
    home = runs_dir / EVAL_DIR / (settings.name or name_of(folder))
    # Imported late: all that can be wrong with the questions is said without the seconds of torch.
    import torch
    from transformers.utils.logging import disable_progress_bar

    from klear_core.rollout.native import NativeEngine

    disable_progress_bar()  # what is refused after loading stays one line

    with extended(folder, settings.yarn) as view:
        for source in sources:
            _check_context(source, check_model(view), prompt_tokens=1, settings=settings)
        model, tokenizer = load_model(view)
        identity = model_hash(folder)
    engine = NativeEngine(model, tokenizer, max_rows=settings.batch)
    for source in sources:
        context = model.config.max_position_embeddings
        with benchmark_grader(source, settings) as (grader, scorer):
            asked = _asked(
                source,
                settings,
                home,
                tokenizer=tokenizer,
                model_hash=identity,
                context=context,
                scorer=scorer,
                origin=_origin(command, torch.get_num_threads()),
            )
            yield _ask(asked, engine, grader, settings, tell)


def rescore(settings: EvaluateSettings, runs_dir: Path, *, command: str) -> Iterator[Evaluated]:
    """Grade the stored answers of every benchmark with the present scorer; the model may be gone."""
    folder = Path(settings.model or "")
    home = runs_dir / EVAL_DIR / (settings.name or name_of(folder))
    for benchmark in settings.benchmarks:
        stored = read_manifest(home / benchmark.name)
        source = source_of(dataclasses.replace(settings, questions=stored.settings.questions), benchmark, folder)
        if source.questions.content_hash != stored.settings.content_hash:
            raise DataError(f"data of {benchmark.name} holds other questions than {home / benchmark.name} answers")
        with benchmark_grader(source, settings) as (grader, scorer):
            manifest = dataclasses.replace(stored, scorer=scorer, provenance=_origin(command, 1))
            asked = Asked(
                folder=home / benchmark.name, manifest=manifest, problems=source.questions.problems, prompts=()
            )
            with benchmarking.held(asked.folder):
                counts = benchmarking.rescore(asked, grader)
            yield Evaluated(folder=asked.folder, manifest=manifest, counts=counts)


def _ask(asked: Asked, engine: Any, grader: Grader, settings: EvaluateSettings, tell: Tell) -> Evaluated:
    name, manifest = asked.manifest.task, asked.manifest
    cost = benchmarking.cost(asked, engine, benchmarking.done_calls(asked))
    tell(_cost_told(asked, cost))
    if cost.disk_bytes > free_disk(asked.folder):
        tell(f"{name}: the disk of {asked.folder} may be too small for answers of full length")
    if settings.dry_run:
        return Evaluated(folder=asked.folder, manifest=manifest, counts=None)
    with benchmarking.held(asked.folder):
        sink = _mirror(asked, settings)
        failed = True
        try:
            counts = benchmarking.run(asked, engine, grader, sink, tell=tell)
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
    return (
        f"{what}; to draw: {cost.answers:,} answers in {cost.calls} calls, at most {cost.tokens:,} tokens, "
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
    *,
    tokenizer: Any,
    model_hash: str,
    context: int,
    scorer: dict[str, str],
    origin: schema.Provenance,
) -> Asked:
    from klear_core.trainer.collate import tokenize_prompts

    behind = f"\n\n{settings.instruction}" if settings.instruction else ""
    told = [dataclasses.replace(each, prompt=each.prompt + behind) for each in source.questions.problems]
    prompts = tokenize_prompts(tokenizer, told)
    longest = max(len(prompt.token_ids) for prompt in prompts)
    _check_context(source, context, prompt_tokens=longest, settings=settings)
    sampling, questions = source.sampling, source.questions
    manifest = BenchmarkManifest(
        model=home.name,
        task=source.benchmark.name,
        title=source.benchmark.title,
        settings=BenchmarkSettings(
            model_hash=model_hash,
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
            chat_template=bool(tokenizer.chat_template),
            is_opened=opens_reasoning(tokenizer),
            context=context,
            yarn=settings.yarn,
            engine="native",
            dtype="float32",
        ),
        expected_questions=source.benchmark.questions,
        known_data=questions.known,
        prompt=source.benchmark.prompt,
        scorer=scorer,
        provenance=origin,
    )
    return Asked(folder=home / source.benchmark.name, manifest=manifest, problems=questions.problems, prompts=prompts)


def _origin(command: str, threads: int) -> schema.Provenance:
    return provenance.collect_provenance(source=provenance.source_hash(), command=command, threads=threads)


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
