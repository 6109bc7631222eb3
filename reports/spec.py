"""What a report asks and says beside its numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A table of ``reports.published`` and which of its arms is which arm here at which operating point."""

    table: str
    columns: dict[tuple[str, str], str]  # (point, treatment) -> arm of the table
    paper: str = "klear_reasoner"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSpec:
    """The words of a report that no number can give."""

    question: str
    scope: tuple[str, ...]  # what the result is and is not, one sentence each
    mechanism: str  # what the mechanism section is about
    about_clipping: bool  # the arms differ in what clipping does, so too few clipped tokens mean no ranking
    contrasts: tuple[tuple[str, str, str], ...] = ()  # arm, the arm it is held against, the question that this answers
    about_reward: bool = False  # the arms differ in what a completion earns or in which problems are met
    same_problems: bool = True  # whether all arms of a seed are to meet the same problems
    grid: tuple[tuple[str, str], tuple[str, str]] | None = None  # name and key of the two settings that points vary
    choose_point: bool = False  # each arm's best point is chosen on validation, and the arms are compared there
    factors: tuple[tuple[str, str], ...] = ()  # name and key of the settings whose combinations the arms are
    about_controls: bool = False  # the arms are controls of the harness
    beside: tuple[Beside, ...] = ()  # what a paper prints about the same question
