"""What supervised training imitates: the task's teacher, or a mix that a config names."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ablations.tasks import load_problems
from klear_core.config import RunConfig
from klear_core.data.formats.load import load_rows
from klear_core.data.mixes.build import Mix, build_mix, check_mix
from klear_core.data.order import shuffled_forever
from klear_core.data.tasks import get_task
from klear_core.errors import DataError
from klear_core.records import SFTExample

_AT_ONCE = 1024  # demonstrations that are tokenized together


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """The endless demonstrations from a visit on, and what a run's mix.json says about them."""

    examples: Callable[[int], Iterator[SFTExample]]
    mix: dict[str, Any]


def check_supervision(config: RunConfig) -> None:
    """ConfigError or DataError for a mix that cannot be what it says, or a teacher that there is none of.

    Nothing is read whole.
    """
    task = get_task(config.task)
    check_mix(config.sft_mix, task)
    is_trained = config.stage == "sft" or config.sft.checkpoint is None
    if is_trained and not config.sft_mix.inputs:
        task.demonstrate(task.problems("train", 1)[0], random.Random(0))


def check_files(configs: Sequence[RunConfig]) -> None:
    """DataError for a file, a folder or a data set of the Hub that holds no demonstrations; only first rows are read.

    The inputs are those that ``check_supervision`` has passed.
    """
    for where in dict.fromkeys(raw["rows"] for config in configs for raw in config.sft_mix.inputs if "rows" in raw):
        try:
            load_rows(where).demonstrations()
        except DataError as error:
            raise DataError(f"sft_mix.inputs: {error}") from None


def open_supervision(config: RunConfig, tokenizer: Any, *, context: int) -> Supervision:
    """Build what a config names, and leave out what is too long for the model; DataError when nothing is left.

    ``context`` is the model's, in tokens: a tokenizer may not know it.
    """
    if not config.sft_mix.inputs:
        return Supervision(examples=lambda start: _taught(config, start), mix={"name": config.sft_mix.name})
    mix = mix_of(config)
    most = context if config.sft.pack_tokens is None else min(context, config.sft.pack_tokens)
    lengths = _num_tokens(tokenizer, mix.examples)
    fitting = [example for example, length in zip(mix.examples, lengths, strict=True) if length <= most]
    if not fitting:
        raise DataError(f"every demonstration of the mix {config.sft_mix.name} has more than {most} tokens")
    told = told_of(config, mix, fitting) | {"too_long": len(mix.examples) - len(fitting), "max_tokens": most}

    def examples(start: int) -> Iterator[SFTExample]:
        return (fitting[k] for k in shuffled_forever(len(fitting), name=f"sft/{config.seed}", start=start))

    return Supervision(examples=examples, mix=told)


def mix_of(config: RunConfig) -> Mix:
    """The mix of a config, from its problems and against the questions of its evaluations."""
    questions = [question for split in ("validation", "test") for question in load_problems(config, split)]
    return build_mix(
        config.sft_mix,
        task=get_task(config.task),
        problems=load_problems(config, "train"),
        questions=questions,
        seed=config.seed,
    )


def told_of(config: RunConfig, mix: Mix, examples: Sequence[SFTExample]) -> dict[str, Any]:
    """What a mix holds and how it came about, as plain values."""
    fields = ("source", "teacher", "difficulty", "is_correct")
    return {
        "name": config.sft_mix.name,
        "content_hash": mix.fingerprint.content_hash,
        "steps": [
            {"name": step.name, "before": step.before, "after": step.after, "details": dict(step.details)}
            for step in mix.steps
        ],
        "examples": len(examples),
        "prompts": len({example.prompt for example in examples}),
        **{name: _counts(getattr(example, name) for example in examples) for name in fields},
    }


def _counts(values: Iterator[object]) -> list[dict[str, Any]]:
    """How often each value occurs, in the order of the values; None last."""
    counts = Counter(values)
    return [{"value": value, "count": counts[value]} for value in sorted(counts, key=lambda v: (v is None, v))]


def _num_tokens(tokenizer: Any, examples: Sequence[SFTExample]) -> list[int]:
    """Tokens of prompt and response together, of each demonstration."""
    # Imported late: a mix is checked and described without waiting for torch.
    from klear_core.trainer.collate import prompt_ids, response_ids

    lengths = []
    for at in range(0, len(examples), _AT_ONCE):
        part = examples[at : at + _AT_ONCE]
        pairs = zip(prompt_ids(tokenizer, part), response_ids(tokenizer, part), strict=True)
        lengths += [len(prompt) + len(response) for prompt, response in pairs]
    return lengths


def _taught(config: RunConfig, start: int) -> Iterator[SFTExample]:
    """The teacher's demonstrations from visit ``start`` on, endless: a fresh one at every visit of a problem.

    The model is to see the teacher's distribution, not one draw of it. Each depends on (seed, visit) only.
    """
    task, pool = get_task(config.task), load_problems(config, "train")
    order = shuffled_forever(len(pool), name=f"sft/{config.seed}", start=start)
    for visit, index in enumerate(order, start=start):
        yield task.demonstrate(pool[index], random.Random(f"teacher/{config.seed}/{visit}"))
