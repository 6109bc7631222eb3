"""`ablations crosscheck`: the stored answers of an evaluation under lighteval's scorers, beside our own verdicts."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablations.commands.terminal import say, say_table
from klear_core.eval.crosscheck import DIFFERENCES, RAW, STRIPPED, QuestionAgreement, Tally

if TYPE_CHECKING:
    from ablations.crosschecking import Crosschecked

EXAMPLE = "Example: ablations crosscheck runs/eval/clipping-gppo-u4-seed0/laptop"
_TEXTS = {RAW: "the text with its reasoning", STRIPPED: "the text without it"}
_SHOWN = 80  # characters of the end of a response


def crosscheck(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="a stored evaluation: RUNS/eval/NAME/TASK")],
) -> None:
    """Score stored answers with lighteval too, and say where the two agree; needs `make env-lighteval`."""
    from ablations import crosschecking

    say_crosscheck(crosschecking.crosscheck(folder, tell=say))


def say_crosscheck(done: "Crosschecked") -> None:
    """Scores, agreement, the questions and some answers that are judged differently, and what differs in general."""
    found, manifest = done.found, done.manifest
    lighteval = f"lighteval {done.versions['lighteval']}"
    say(f"{manifest.task} of {manifest.model}: {len(found.questions)} questions x {manifest.settings.samples} samples")
    for name, scores in done.scores.items():
        told = ", ".join(f"{metric} {value:.3f}" for metric, value in scores.items())
        say(f"{name if name == 'ours' else lighteval}: {told}")
    for view, text in _TEXTS.items():
        say(f"{view}, {text}: {_told(found.tallies[view], found.verdicts_of_theirs[view])}")
    if found.ungraded:
        say(f"not compared, as our own grading failed: {found.ungraded}")
    differing = [each for each in found.questions if any(t.only_ours or t.only_theirs for t in each.tallies.values())]
    say(f"{len(found.questions) - len(differing)} of {len(found.questions)} questions: every sample is judged alike")
    if differing:
        header = ["question", "ours", "lighteval"]
        header += [f"{view}: {side}" for view in _TEXTS for side in ("only ours", "only lighteval's")]
        say_table(header, [_cells(each) for each in differing], right=header)
    for one in found.examples:
        say(
            f"{one.view}, question {one.question}, sample {one.sample}, right for {one.right_for} only: reference "
            f"{one.reference!r}, ours {one.verdict} {one.extracted!r}, lighteval {one.found!r}, ends "
            f"{one.end[-_SHOWN:]!r}"
        )
    say(f"known differences of {lighteval}:")
    for difference in DIFFERENCES.values():
        say(difference, indent=2)
    say(f"all of it: {done.file}")


def _told(tally: Tally, verdicts: Mapping[str, int]) -> str:
    alike = "no answers" if tally.agreement is None else f"{tally.agreement:.1%} of {tally.answers} answers alike"
    why = ", ".join(f"{verdict} {number}" for verdict, number in sorted(verdicts.items()))
    return (
        f"{alike}; both right {tally.both_right}, both wrong {tally.both_wrong}, only ours {tally.only_ours}, only "
        f"lighteval's {tally.only_theirs}{f' (to us {why})' if why else ''}"
    )


def _cells(each: QuestionAgreement) -> list[object]:
    counts = [n for view in _TEXTS for n in (each.tallies[view].only_ours, each.tallies[view].only_theirs)]
    return [each.question, "-" if each.ours is None else f"{each.ours:.3f}", f"{each.theirs:.3f}", *counts]
