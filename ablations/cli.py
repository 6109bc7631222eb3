"""The ``ablations`` console script: ``ablations run ...`` is ``python -m ablations.run ...``."""

import sys

import typer

from ablations import run as run_module

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Ablations of policy objectives in reasoning RL.")


@app.callback()
def _commands() -> None:
    """Ablations of policy objectives in reasoning RL."""


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def run(context: typer.Context) -> None:
    """Run experiments, for example: ablations run +sweep=clipping."""
    sys.argv = ["ablations run", *context.args]
    run_module.main()


def main() -> None:
    """Entry point of the console script."""
    app()
