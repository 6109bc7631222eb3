"""What an arm is, and how long something takes, in words that a person reads."""

from collections import Counter
from collections.abc import Mapping

from klear_core.config import ObjectiveConfig, RunConfig, SFTMixConfig
from klear_core.control_config import ControlConfig
from klear_core.reward_config import CodeFilterConfig, RewardConfig
from klear_core.settings import look_up, to_plain


def treatment_told(config: RunConfig) -> str:
    """What the compared part of a config is, with every parameter."""
    compared = config.sweep.compare.split(".")[0]
    part = getattr(config, compared)
    match part:
        case ObjectiveConfig():
            params = _listed(part.params)
            return f"{part.note} ({part.surrogate}: {params})" if params else part.note
        case RewardConfig():
            return f"{part.note} ({_scores_told(to_plain(part.scores))})"
        case CodeFilterConfig():
            return _filter_told(part)
        case SFTMixConfig() | ControlConfig():
            return part.note
    return f"{config.sweep.compare} = {show(look_up(config, config.sweep.compare))}"


def show(value: object) -> str:
    """A setting's value as a person reads it."""
    if value is None:
        return "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def clock(seconds: float) -> str:
    """A duration as a person reads it: ``3 min 5 s``, or ``42 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {show(value)}" for name, value in values.items())


def _scores_told(scores: dict[str, float]) -> str:
    """The scores that differ from the most common one, then that one for all others."""
    common = Counter(scores.values()).most_common(1)[0][0]
    return f"{_listed({name: value for name, value in scores.items() if value != common})}, all else {show(common)}"


def _filter_told(settings: CodeFilterConfig) -> str:
    if settings.rule == "off":
        return "all training problems"
    if settings.rule == "oracle":
        return "without the problems whose tests have planted flaws"
    return (
        f"without the problems of which less than {show(settings.min_pass_rate)} of {settings.completions} solutions "
        f"by a reference solver of mean accuracy {show(settings.accuracy)} pass all tests"
    )
