"""From composed configs to a checked plan: everything that can be refused is refused here, before anything starts."""

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path

from ablations.data_hash import mix_hash
from ablations.differences import flatten_settings
from ablations.filtering import check_filter
from ablations.grading import has_tests
from ablations.mixing import check_files, check_supervision
from ablations.tasks import floor_of, load_problems
from ablations.told import show, treatment_told
from klear_core import advantages
from klear_core.config import RESULT_PARTS, RunConfig
from klear_core.data.tasks import get_task, is_read
from klear_core.errors import ConfigError, RunStoreError
from klear_core.objectives import reductions, surrogates
from klear_core.runs import provenance, schema
from klear_core.settings import look_up, to_plain
from klear_core.trainer.model_folder import check_model, checkpoint_folder

_MAX_ID = 128  # of W&B
_SHOWN = 40
_TASK, _CAP = "task.name", "rl.max_response_tokens"
# What has no effect on supervised training.
_OF_RL = ("objective", "advantage", "loss", "rl", "code_filter", "control")

# What a sweep has once, not once a run.
_ONE_FOR_ALL = (
    *("stage", "sweep", "scale", "launch", "wandb", "eval", "task"),
    *("dry_run", "reuse", "only_failed", "retries", "max_failures", "fail_fast"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPlan:
    """A plan with the config of each of its runs, in the same order."""

    plan: schema.Plan
    configs: list[RunConfig]
    folder: Path  # runs/<sweep>
    notes: list[str]  # what the user should know before the start, one line each

    @property
    def runs_dir(self) -> Path:
        """The root that holds all sweeps and the store of SFT checkpoints."""
        return self.folder.parent


def make_plan(configs: Sequence[RunConfig]) -> CheckedPlan:
    """Check all configs together and lay out their folders; ConfigError or DataError names what is wrong."""
    first = configs[0]
    _check_one_sweep(configs)
    for config in configs:
        _check_model(config)
        _check_names(config)
        _check_arm(config)
        _check_context(config)
    check_files(configs)
    by_point = {config.point: config for config in configs}
    for config in {repr(config.task): config for config in configs}.values():
        for split in ("train", "validation"):  # the test questions are drawn for the floor
            load_problems(config, split)
    runs = [_planned(config) for config in configs]
    treatments = {config.treatment: treatment_told(config) for config in configs}
    sweep, notes, baseline = first.sweep, [], first.sweep.baseline
    if baseline is not None and baseline not in treatments:
        notes.append(f"baseline {baseline} is not among the arms {', '.join(treatments)}: nothing will be compared")
        baseline = None
    primary = schema.PrimaryMetric(
        metric=sweep.primary.metric, split=sweep.primary.split, decoding=sweep.primary.decoding, step=first.final_step
    )
    plan = schema.Plan(
        sweep=sweep.name,
        title=sweep.title,
        stage=first.stage,
        baseline=baseline,
        primary=primary,
        treatments=treatments,
        points={point: _describe_point(config) for point, config in by_point.items()},
        fixed=_fixed(configs),
        floors={point: _floor(config) for point, config in by_point.items()},
        runs=runs,
        command=command_line(),
        created=provenance.utc_now(),
    )
    return CheckedPlan(plan=plan, configs=list(configs), folder=Path(first.launch.runs_dir) / sweep.name, notes=notes)


def _floor(config: RunConfig) -> schema.Floor:
    accuracy, note = floor_of(config)
    return schema.Floor(accuracy=accuracy, note=note)


def command_line() -> str:
    """The command as it was typed; absolute paths are left out, as records may be published."""
    words = [re.sub(r"(^|=)/.*", r"\1<path>", word) for word in sys.argv[1:]]
    return " ".join(["python", "-m", "ablations.run", *words])


def sft_key(config: RunConfig) -> str:
    """Key of a shared SFT checkpoint: settings, seed, source and the files of a mix; "" when RL starts from a given
    folder.
    """
    if not config.sft_key:
        return ""
    files = f"/{found}" if (found := mix_hash(config)) else ""
    return hashlib.sha256(f"{config.sft_key}/{provenance.source_hash()}{files}".encode()).hexdigest()[:16]


def check_folder(folder: Path) -> None:
    """RunStoreError when a file stands where ``folder`` or one of its parents is needed."""
    for path in (folder, *folder.parents):
        try:
            blocked = path.exists() and not path.is_dir()
        except OSError as error:
            raise RunStoreError(f"{path} cannot be reached: {error.strerror}; set launch.runs_dir") from None
        if blocked:
            raise RunStoreError(f"{path} is a file, and a run folder is needed there; move it or set launch.runs_dir")


def _check_model(config: RunConfig) -> None:
    """A task that brings no tokenizer needs a model that does."""
    if config.sft.checkpoint is None and is_read(get_task(config.task)):
        raise ConfigError(
            f"sft.checkpoint is null; allowed with task={config.task.name}: a model folder, as the task has no "
            f"tokenizer of its own, such as 'hf download org/name --local-dir FOLDER' makes, or hub:org/name"
        )


def _check_names(config: RunConfig) -> None:
    surrogates.check_params(config.objective.surrogate, config.objective.params)
    advantages.check_params(config.advantage.name, config.advantage.params)
    reductions.get_reduction(config.loss.reduction)
    check_filter(config, has_tests=has_tests(config))
    check_supervision(config)


def _check_arm(config: RunConfig) -> None:
    """What names the arms is a setting of its own, and the names are folders and W&B ids."""
    compared = {"sweep.compare": config.sweep.compare}
    compared |= {f"sweep.points.{prefix}": key for prefix, key in config.sweep.points.items()}
    for name, key in compared.items():
        value = look_up(config, key)
        if key.split(".")[0] not in RESULT_PARTS or isinstance(value, dict) or is_dataclass(value):
            raise ConfigError(f"{name} is {key!r}; allowed: one setting that changes a result, such as objective.name")
        if config.stage == "rl" and config.sft.checkpoint is not None and key.split(".")[0] in ("sft", "sft_mix"):
            raise ConfigError(f"{name} is {key!r}, which has no effect beside sft.checkpoint; allowed: settings of RL")
        if config.stage == "sft" and key.split(".")[0] in _OF_RL:
            raise ConfigError(
                f"{name} is {key!r}, which has no effect with stage=sft; allowed: settings of data or SFT"
            )
        if list(compared.values()).count(key) > 1:
            raise ConfigError(f"{name} is {key!r}, which is compared or a point already; allowed: each key once")
    for prefix in config.sweep.points:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", prefix):
            raise ConfigError(f"sweep.points has the key {prefix!r}; allowed: lower-case letters, digits and _")
    if not config.treatment.strip("."):
        raise ConfigError(
            f"{config.sweep.compare} is {look_up(config, config.sweep.compare)!r}; allowed: what names an arm"
        )
    if len(config.run_id) > _MAX_ID:
        raise ConfigError(
            f"the run name {config.run_id[:_SHOWN]}... has {len(config.run_id)} characters; allowed: at most "
            f"{_MAX_ID}, so shorten sweep.name or {config.sweep.compare}"
        )


def _check_context(config: RunConfig) -> None:
    """Prompt and response fit into the context of the model, which is looked at and not loaded."""
    task, given = get_task(config.task), config.sft.checkpoint
    context = task.context_tokens if given is None else check_model(checkpoint_folder(given))
    prompt, response = task.longest_prompt, config.rl.max_response_tokens
    packed = config.rl.pack_tokens
    if prompt is not None and packed is not None and prompt + response > packed:
        raise ConfigError(
            f"rl.pack_tokens is {packed}; allowed: null or at least {prompt + response}, as the longest prompt has "
            f"{prompt} tokens and rl.max_response_tokens is {response}"
        )
    if context is None or prompt is None:
        return  # only the tokenizer of the given model knows, which ``ablations.preflight`` asks
    if prompt + response > context:
        raise ConfigError(
            f"rl.max_response_tokens is {response}; allowed: at most {context - prompt}, as the longest prompt has "
            f"{prompt} tokens and the model's context {context}"
        )


def _check_one_sweep(configs: Sequence[RunConfig]) -> None:
    """All runs belong to one sweep, and what varies between them is declared: seed, compared key, operating points."""
    first = configs[0]
    for part in _ONE_FOR_ALL:
        for config in configs:
            if _shared(config, part) != _shared(first, part):
                raise ConfigError(f"{part} varies between runs; allowed: one value for the whole sweep")
    declared = (first.sweep.compare.split(".")[0] + ".", *first.sweep.points.values())
    if _TASK in declared:  # its settings are its own
        declared = (*declared, "task.params.")
    for key in _varying(configs):
        if not key.startswith(declared):
            raise ConfigError(
                f"{key} varies between runs; allowed: seed, what sweep.compare names ({first.sweep.compare}) and "
                f"sweep.points ({', '.join(first.sweep.points.values()) or 'none'}); add a point for it, "
                f"such as '+sweep.points.x={key}'"
            )
    seen: dict[tuple[str, int], RunConfig] = {}
    for config in configs:
        twin = seen.setdefault((config.arm, config.seed), config)
        if twin is not config:
            hint = "name each value of a list once" if twin == config else "give the arms names that tell them apart"
            raise ConfigError(f"arm {config.arm} with seed {config.seed} is planned twice; {hint}")


def _shared(config: RunConfig, part: str) -> object:
    """What of a part all runs have to agree on: the task, or the flaws of training tests, may be an operating point."""
    if part == "task":
        return None if _TASK in config.sweep.points.values() else config.task.without_flaws
    return getattr(config, part)


def _varying(configs: Sequence[RunConfig]) -> list[str]:
    flat = [flatten_settings(to_plain(config)) for config in configs]
    keys = {key for row in flat for key in row if key != "seed"}
    return sorted(key for key in keys if len({repr(row.get(key)) for row in flat}) > 1)


def _fixed(configs: Sequence[RunConfig]) -> dict[str, str]:
    varying = set(_varying(configs))
    first = configs[0]
    whole = {"kl_term": "none", "entropy_bonus": "none", "positive_example_loss": "none"}
    flat = flatten_settings(to_plain(first))
    left_out = (first.sweep.compare.split(".")[0] + ".", "seed")
    if first.stage == "sft":
        flat = {key: value for key, value in flat.items() if key.split(".")[0] not in _OF_RL or key == _CAP}
        whole = {}
    return {
        key: show(value) for key, value in flat.items() if key not in varying and not key.startswith(left_out)
    } | whole


def _planned(config: RunConfig) -> schema.PlannedRun:
    return schema.PlannedRun(
        arm=config.arm,
        treatment=config.treatment,
        point=config.point,
        seed=config.seed,
        folder=f"{config.arm}/seed{config.seed}",
        run_id=config.run_id,
        sft=sft_key(config),
    )


def _describe_point(config: RunConfig) -> str:
    points = config.sweep.points
    return ", ".join(f"{key} = {show(look_up(config, key))}" for key in points.values()) or "the only operating point"
