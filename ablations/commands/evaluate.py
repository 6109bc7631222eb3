"""`ablations evaluate` and `ablations data check`: a checkpoint on benchmarks, and whether their data can be scored."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablations.commands.terminal import say
from klear_core.errors import ConfigError

if TYPE_CHECKING:
    from ablations.evaluating import Evaluated

EXAMPLE = "Example: ablations evaluate model=models/Klear-Reasoner-8B task=aime24,aime25 data=benchmarks"
CHECK_EXAMPLE = "Example: ablations data check aime24 --data aime24.qs.jsonl"


def evaluate(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="model=FOLDER or hub:org/name, task=aime24,... data=...; sweeps/evaluate.yaml has all",
        ),
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", metavar="DIR", help="results go to DIR/eval/NAME/TASK")] = Path(
        "runs"
    ),
    rescore: Annotated[
        bool, typer.Option("--rescore", help="grade stored answers with the present scorer; draw none")
    ] = False,
) -> None:
    """Ask a checkpoint the questions of benchmarks, and keep every answer; the same command goes on after a kill."""
    from ablations import evaluating
    from ablations.evaluate_settings import read_settings

    words = settings or []
    found = read_settings(words)
    command = evaluating.told([*words, *(["--rescore"] if rescore else [])])
    if rescore:
        for each in evaluating.rescore(found, runs, command=command):
            say_result(each)
        return
    is_done = False
    for each in evaluating.evaluate(found, runs, command=command, tell=say):
        if each.counts is not None:
            say_result(each)
            is_done = True
    if is_done:
        say(f"beside the paper's table: python -m reports table1 --runs {runs}")


def say_result(found: "Evaluated") -> None:
    """One line of scores: averages over the samples of a question, then over questions."""
    from reports.stats import pass_at_k, question_interval

    counts, samples = found.counts, found.manifest.settings.samples
    assert counts is not None
    mean = question_interval(counts.rates_Q)
    solved = question_interval(pass_at_k(counts.samples_Q, counts.hits_Q, samples))
    voted = question_interval(counts.votes_Q)
    lost = f", {counts.lost} not graded" if counts.lost else ""
    say(
        f"{found.manifest.task}: avg@{samples} {mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}] over {mean.n} "
        f"questions, pass@{samples} {solved.value:.3f}, maj@{samples} {voted.value:.3f}, truncated "
        f"{counts.truncated:.1%}, malformed {counts.malformed:.1%}, {counts.mean_tokens:,.0f} tokens an answer{lost}; "
        f"{found.folder}"
    )


def check(
    task: Annotated[str, typer.Argument(metavar="TASK", help="aime24, aime25, hmmt25, lcb_v5 or lcb_v6")],
    where: Annotated[str, typer.Option("--data", metavar="FILE", help="a file, a folder, or hub:org/name")],
) -> None:
    """Say whether the reference of every question scores 1 under its scorer; no model is asked. Exit code 1 if not."""
    from ablations.benchmark_grading import HARD, open_maths_grader
    from klear_core.eval.gold import check_all
    from klear_core.eval.questions import read_rows
    from klear_core.eval.tasks import CODE, LAPTOP, get_benchmark
    from klear_core.rewards.grader import Grader

    benchmark = get_benchmark(task)
    if task == LAPTOP:
        raise ConfigError(f"task is {task}, whose questions a run generates; allowed: a task that is read from a file")
    form, rows = read_rows(benchmark, where)
    if benchmark.scorer == CODE:
        count, faults = check_all(rows, Grader(HARD))
    else:
        with open_maths_grader() as grader:
            count, faults = check_all(rows, grader)
    for place, fault in faults:
        say(f"{place}: {fault}")
    expected = "" if benchmark.questions in (None, count) else f" (the benchmark has {benchmark.questions})"
    say(f"{task}: {count - len(faults)} of {count} questions{expected} of the format {form} can be scored")
    raise typer.Exit(int(bool(faults)))
