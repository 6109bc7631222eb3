"""What a W&B dashboard shows of a sweep: sections of panels over the keys that its runs log. Knows no W&B library."""

from dataclasses import dataclass

from klear_core.runs import schema
from reports.load import SweepData

# Columns that W&B itself gives every row: the step under which the sink logs it, and the seconds since the run's start.
STEP, RUNTIME = "_step", "_runtime"
_BUILT_IN = {RUNTIME: "seconds since the start of the run, as W&B counts them"}

_CORNERS = tuple(f"corner_{corner}_{part}" for part in ("fraction", "mass") for corner in schema.CORNERS)
# Section -> fields of the step records; evaluation and cost are completed with the accuracies of the sweep.
_RL = {
    "Reward": (
        *("reward_mean", "correct_fraction", "pass_rate_mean", "reward_variance_within", "zero_variance_groups"),
        *("no_answer_fraction", "truncated_fraction", "response_tokens_mean", "invalid_completions"),
    ),
    "Entropy": ("entropy", "entropy_inside", "entropy_outside"),
    "Corners": ("band_fraction", *_CORNERS, "ess", "ratio_p01", "ratio_p99", "ratio_max"),
    "Evaluation": (),
    "Cost": ("samples", "tokens", "updates", "kept_rows", RUNTIME),
}
_SUPERVISED = {
    "Loss": ("loss", "grad_norm", "learning_rate"),
    "Evaluation": (),
    "Cost": ("response_tokens", "positions", RUNTIME),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One plot: a logged key against another."""

    y: str
    meaning: str  # of y, with its unit
    x: str = STEP

    @property
    def title(self) -> str:
        """The key, and what it is drawn against where that is not the step."""
        return self.y if self.x == STEP else f"{self.y} against {self.x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Panels about one question."""

    name: str
    panels: tuple[Panel, ...]


def sections(data: SweepData) -> list[Section]:
    """The sections of a sweep: of RL, or of supervised training where no RL follows."""
    is_rl = data.plan.stage == "rl"
    fields = (schema.STEP_FIELDS if is_rl else schema.SFT_STEP_FIELDS) | _BUILT_IN
    shown: dict[str, list[Panel]] = {
        name: [Panel(y=key, meaning=fields[key]) for key in keys]
        for name, keys in (_RL if is_rl else _SUPERVISED).items()
    }
    evaluated = _accuracies(data)
    shown["Evaluation"] = [Panel(y=key, meaning=meaning) for key, meaning in evaluated.items()]
    primary = accuracy_key(data.plan.primary.split, data.plan.primary.decoding)
    # What an arm has learned for what it has spent: the same step costs arms differently.
    spent = ("tokens", RUNTIME) if is_rl else (RUNTIME,)
    shown["Cost"] += [Panel(y=primary, meaning=evaluated[primary], x=key) for key in spent]
    return [Section(name=name, panels=tuple(panels)) for name, panels in shown.items()]


def accuracy_key(split: str, decoding: str) -> str:
    """The key under which a run logs its accuracy."""
    return f"{split}/{decoding}/correct"


def _accuracies(data: SweepData) -> dict[str, str]:
    """Key -> meaning of the declared accuracy and, after it, of all others that any run has stored."""
    primary = (data.plan.primary.split, data.plan.primary.decoding)
    stored = [run.evaluations[["split", "decoding"]].drop_duplicates() for run in data.runs]
    found = {(str(split), str(decoding)) for rows in stored for split, decoding in rows.itertuples(index=False)}
    return {
        accuracy_key(split, decoding): f"share of correct answers, {split} questions, decoding {decoding}"
        for split, decoding in (primary, *sorted(found - {primary}))
    }
