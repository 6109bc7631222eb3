"""The ``ablations`` console script: ``ablations run ...`` is ``python -m ablations.run ...``, the others read runs."""

import dataclasses
import io
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ablations import run as run_module
from ablations.commands import catalog, crosscheck, evaluate
from ablations.commands.terminal import clean, say, say_json
from klear_core.errors import ConfigError, HarnessError

_INVALID = 2


class _Commands(TyperGroup):
    """The commands, with every error that a user can make in one line."""

    def main(self, *arguments: Any, **extra: Any) -> Any:
        """Run a command line; exit code 2 after a HarnessError or wrong usage."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal without some letter shows "?" for it
        is_script = extra.get("standalone_mode", True)
        extra["standalone_mode"] = False
        try:
            code = super().main(*arguments, **extra)
        except HarnessError as error:
            code = _refuse(str(error))
        except Exception as error:
            # Usage errors are of a class that typer keeps to itself.
            told = getattr(error, "format_message", None)
            if told is None:
                raise
            context = getattr(error, "ctx", None)
            code = _refuse(f"{told()} See: {context.command_path if context else 'ablations'} --help")
        if is_script:
            sys.exit(code or 0)
        return code


def _refuse(told: str) -> int:
    sys.stderr.write(f"error: {clean(told)}\n")
    return _INVALID


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Ablations of policy objectives in reasoning RL.",
    epilog="Example: ablations run +sweep=clipping scale=smoke",
)

Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="folder of the sweeps")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


class Listing(StrEnum):
    """What can be listed."""

    SWEEPS = "sweeps"
    OBJECTIVES = "objectives"
    PRESETS = "presets"
    RUNS = "runs"


class Upload(StrEnum):
    """Where a rebuilt mirror goes."""

    OFFLINE = "offline"
    ONLINE = "online"


@app.callback(invoke_without_command=True)
def _commands(context: typer.Context) -> None:
    """Ablations of policy objectives in reasoning RL."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def run(context: typer.Context) -> None:
    """Run experiments, for example: ablations run +sweep=clipping."""
    if "--help" in context.args:
        say("Example: ablations run +sweep=clipping scale=smoke objective=gppo,clip_higher seed=0,1")
        say("")
        sys.stdout.flush()
    sys.argv = ["ablations run", *context.args]
    run_module.main()


@app.command(
    epilog="Example: ablations paper scale=smoke, or: ablations paper dry_run=true",
)
def paper(
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="of every sweep: scale=smoke")
    ] = None,
) -> None:
    """Run every sweep that is not done yet, then write one document with all tables of the paper beside what was
    measured.
    """
    from ablations.paper import run_paper
    from ablations.pool import start_fork_server

    start_fork_server()
    raise typer.Exit(run_paper(settings or []))


@app.command("list", epilog="Example: ablations list runs --runs runs")
def list_(
    what: Annotated[Listing | None, typer.Argument(help="all four, short, when left out")] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """List sweeps, objectives, presets, or the runs under DIR with their states."""
    from ablations.commands.inspect_runs import check_runs_dir, list_runs
    from ablations.commands.listing import say_listing, say_short

    if what is Listing.RUNS:
        check_runs_dir(runs)
    found: dict[str, list[dict[str, Any]]] = {}
    if what in (None, Listing.SWEEPS):
        found["sweeps"] = catalog.sweeps()
    if what in (None, Listing.OBJECTIVES):
        found["objectives"] = catalog.objectives()
    if what in (None, Listing.PRESETS):
        found["presets"] = catalog.presets()
    if what in (None, Listing.RUNS):
        found["runs"] = [dataclasses.asdict(row) for row in list_runs(runs)]
    if as_json:
        say_json(found if what is None else found[what])
    elif what is None:
        say_short(found, runs)
    else:
        say_listing(what, found[what])


@app.command(epilog="Example: ablations objectives --out objectives.json")
def objectives(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="where the JSON goes")],
) -> None:
    """Write F(r, A), formula, parameters and source of every objective to FILE; `python -m reports` draws it."""
    from klear_core.objectives.gallery import gallery
    from klear_core.runs.store import write_text

    write_text(out, json.dumps(gallery(catalog.objectives())) + "\n")
    say(f"objectives: {out}")


@app.command(epilog="Example: ablations show clipping/gppo-u16/seed0")
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a folder, sweep/arm/seed0, or the beginning of a run_id")],
    runs: Runs = Path("runs"),
) -> None:
    """Print one run: config, provenance, status, last metrics and last evaluations."""
    from ablations.commands.inspect_runs import find_run
    from ablations.commands.show import show as show_run

    show_run(runs, find_run(runs, run))


@app.command(epilog="Example: ablations compare clipping/gppo-u16 clipping/clip_higher-u16")
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="a run as in `show`, or an arm: sweep/arm")],
    b: Annotated[str, typer.Argument(metavar="B", help="another one of the same kind")],
    runs: Runs = Path("runs"),
) -> None:
    """Print what differs between two runs of one seed or two arms, and the paired difference of their accuracy."""
    from ablations.commands.compare import compare as compare_sides
    from ablations.commands.compare import say_result

    say_result(compare_sides(runs, a, b))


@app.command(epilog="Example: ablations sync clipping --from-ledger --mode offline")
def sync(
    sweeps: Annotated[list[str] | None, typer.Argument(metavar="SWEEP", help="all when left out")] = None,
    runs: Runs = Path("runs"),
    from_ledger: Annotated[
        bool, typer.Option("--from-ledger", help="make tables and W&B mirrors anew from the runs' records")
    ] = False,
    mode: Annotated[Upload | None, typer.Option(help="of the new mirrors; decided as for a run when left out")] = None,
) -> None:
    """Print the commands that upload offline W&B mirrors, or rebuild the mirrors from the runs' records."""
    from ablations.commands import sync as syncing
    from ablations.commands.inspect_runs import check_runs_dir

    check_runs_dir(runs)
    if mode is not None and not from_ledger:
        raise ConfigError(f"--mode is {mode}, and goes with --from-ledger only")
    chosen = syncing.select(runs, sweeps or [])
    if from_ledger:
        raise typer.Exit(0 if syncing.rebuild(runs, chosen, mode, say) else 1)
    for line in syncing.commands(runs, chosen):
        say(line)


@app.command(epilog="Example: ablations doctor --runs runs")
def doctor(runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Say what works on this machine and what is off; exit code 1 when something that every run needs is broken."""
    from ablations.commands.doctor import checks

    found = []
    for check in checks(runs):
        found.append(check)
        if not as_json:
            say(f"{check.state:<6}  {check.name:<16}  {check.detail}")
    if as_json:
        say_json([dataclasses.asdict(check) for check in found])
    raise typer.Exit(int(any(check.state == "broken" for check in found)))


app.command("evaluate", epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command("crosscheck", epilog=crosscheck.EXAMPLE)(crosscheck.crosscheck)

data = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Look at training data and questions.",
    epilog="Example: ablations data describe rows.jsonl, or: ablations data describe teachers task=chains_mixed",
)
app.add_typer(data, name="data")


@data.callback(invoke_without_command=True)
def _data_commands(context: typer.Context) -> None:
    """Look at training data and questions."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@data.command("describe", epilog="Example: ablations data describe rows.parquet --against questions.jsonl")
def describe(
    where: Annotated[
        str,
        typer.Argument(metavar="DATA", help="a file, a folder, hub:org/name/config@split, or a mix of sweeps/sft_mix"),
    ],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="of a mix, as in `ablations run`: task=chains_mixed")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="FILE", help="questions whose runs of 9 words are looked for; repeatable"),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.png", help="draw it too; nothing is drawn when left out")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print what demonstrations or problems are like: counts, lengths, duplicates, overlap with questions."""
    from ablations.commands import describe as describing

    if picture is not None:
        describing.check_picture(picture)
    found = describing.describe(where, against or [], settings or [])
    if picture is not None:
        from ablations.commands.describe_picture import write_picture

        write_picture(found, picture)
    if as_json:
        say_json(describing.to_json(found))
    else:
        describing.say_description(found)


data.command("check", epilog=evaluate.CHECK_EXAMPLE)(evaluate.check)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
