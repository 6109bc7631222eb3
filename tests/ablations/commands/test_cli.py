"""What holds for every command: help with an example, errors in one line, a start without torch."""

import subprocess
import sys

import pytest

from ablations.cli import app, data
from ablations.commands.terminal import clean, say_table
from tests.ablations.commands.cli_store import ablations, answers, drawn, refused, write_run
from tests.e2e.conftest import ROOT, environment

COMMANDS = ("run", "paper", "list", "objectives", "show", "compare", "sync", "doctor", "evaluate", "crosscheck")


GROUPS = ("data",)
DATA_COMMANDS = ("data describe", "data check")


def test_these_are_all_commands():
    assert tuple(command.name or command.callback.__name__ for command in app.registered_commands) == COMMANDS
    assert tuple(group.name for group in app.registered_groups) == GROUPS
    assert tuple(f"data {command.name}" for command in data.registered_commands) == DATA_COMMANDS


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS, *DATA_COMMANDS])
def test_the_help_of_every_command_shows_an_example(command, monkeypatch):
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    done = ablations(*command.split(), "--help")
    assert done.exit_code == 0
    assert f"Example: ablations {command} " in done.stdout


def test_without_a_command_the_help_names_all_of_them():
    done = ablations()
    assert done.exit_code == 0
    assert done.stdout == ablations("--help").stdout
    assert all(f"\n  {command} " in done.stdout for command in [*COMMANDS, *GROUPS])
    assert ablations("data").stdout == ablations("data", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lst"], "No such command 'lst'. Did you mean 'list'"),
        (["list", "arms"], "'arms' is not one of 'sweeps', 'objectives', 'presets', 'runs'"),
        (["list", "--rnus", "x"], "No such option: --rnus"),
        (["show"], "Missing argument 'RUN'"),
        (["compare", "a"], "Missing argument 'B'"),
        (["data", "descrbe"], "No such command 'descrbe'. Did you mean 'describe'"),
        (["data", "describe"], "Missing argument 'DATA'"),
        (["data", "describe", "x", "--picture", "x.pdf"], "--picture is x.pdf; allowed: the name of a file that ends"),
        (["data", "describe", "x", "--picture", "/no/such/x.png"], "--picture is /no/such/x.png; allowed: a file in a"),
        (["data", "describe", "/no/such"], "/no/such is no file and no folder"),
        (["data", "describe", "org/name"], "org/name is no file and no folder; allowed: a path, or hub:org/name"),
        (["data", "describe", "hub:org"], "hub:org names no data set; allowed: hub:org/name"),
        (["sync", "--mode", "on"], "'on' is not one of 'offline', 'online'"),
        (["list", "runs", "--runs", "/no/such"], "--runs is /no/such; allowed: a folder with runs"),
        (["sync", "--runs", "/no/such"], "--runs is /no/such; allowed: a folder with runs"),
        (["show", "x", "--runs", "/no/such"], "--runs is /no/such; allowed: a folder with runs"),
    ],
)
def test_wrong_usage_is_refused_in_one_line(arguments, message):
    assert message in refused(*arguments)


def test_a_message_with_control_characters_reaches_the_terminal_without_them(tmp_path):
    assert "there is no sweep '\\x1b[31mgppo[/]\\nx'" in refused("sync", "\x1b[31mgppo[/]\nx", "--runs", tmp_path)
    assert clean("a\x1b[31m\u202eb\nc\x9b\ud800\u2028d") == "a[31mb c d"


def test_a_table_shows_markup_emoji_codes_and_brackets_as_they_are(capsys):
    cells = ("[red]x[/red]", ":smile:", "[/]", "a\\", "\x1b[31mz\r")
    say_table([str(k) for k in range(5)], [cells], title="[b]title[/b]")
    out = capsys.readouterr().out
    assert all(text in out for text in ("[red]x[/red]", ":smile:", "[/]", "a\\", "[31mz", "[b]title[/b]"))
    assert "\x1b" not in out
    assert "\r" not in out


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for arm in ("gppo-u4", "clip_higher-u4"):
        write_run(root, f"{arm}/seed0", rows=answers("test", "t1.0", 3, drawn(0.5, arm)))
    return root


def test_reading_commands_start_without_torch(runs):
    rows = runs / "rows.jsonl"
    rows.write_text('{"prompt": "p", "response": "r"}')
    described = [["--help"], ["data", "describe", str(rows), "--against", str(rows)]]
    commands = [["list"], ["show", "clipping/gppo-u4/seed0"]]
    commands += [["compare", "clipping/gppo-u4", "clipping/clip_higher-u4"]]
    code = f"""
import sys
from ablations.cli import app
for arguments in {[*described, *([*each, "--runs", str(runs)] for each in commands)]!r}:
    try:
        app(arguments)
    except SystemExit as ended:
        assert not ended.code, ended.code
    heavy = {{"torch", "transformers", "wandb", "hydra"}} & set(sys.modules)
    assert not heavy, (arguments, heavy)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
