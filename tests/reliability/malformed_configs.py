"""Malformed YAML files of a user, given with --config-dir."""

from functools import partial
from pathlib import Path

from tests.reliability.malformed import Case

_GROUP = "Config files given with --config-dir <folder>"
_REST = "surrogate: reinforce\nnote: n\nparams: {}\n"

# (text of <folder>/objective/mine.yaml, part of the message)
_OBJECTIVES: list[tuple[str | bytes, str]] = [
    ("name: [", "<folder>/objective/mine.yaml cannot be read: while parsing a flow node"),
    ("name: mine\n\tsurrogate: reinforce\n", "line 2, column 1"),
    ("- name\n- surrogate\n", "mine.yaml holds ['name', 'surrogate']; allowed: settings"),
    ("3\n", "mine.yaml holds 3; allowed: settings, as lines of key: value"),
    ("", "mine.yaml holds None; allowed: settings"),
    ("name: größe\n".encode("latin-1"), "mine.yaml cannot be read: 'utf-8' codec can't decode byte 0xf6"),
    (b"name: a\x00b\n", "unacceptable character #x0000"),
    ("name: !!python/object/apply:os.getcwd []\n", "could not determine a constructor for the tag"),
    (f"name: mine\nname: other\n{_REST}", "found duplicate key name"),
    ("name: *nowhere\n", "found undefined alias 'nowhere'"),
    (f"name: a\n---\nname: b\n{_REST}", "expected a single document in the stream"),
    (_REST, "objective.name is missing; set it"),
    (f"name: mine\n{_REST}clip: 3\n", "Key 'clip' not in 'ObjectiveConfig'"),
    ("name: mine\nsurrogate: [gppo]\nnote: n\nparams: {}\n", "Cannot convert 'ListConfig' to string: '['gppo']'"),
    ("name: null\nsurrogate: gppo\nnote: n\nparams: {}\n", "Incompatible value 'None' for field of type 'str'"),
    ("name: mine\nsurrogate: gppo\nnote: n\nparams: 3\n", "Cannot assign int to Dict[str, Any]"),
    (
        "name: mine\nsurrogate: reinforce\nnote: ${nope}\nparams: {}\n",
        "objective.note: Interpolation key 'nope' not found",
    ),
    (f"defaults: 3\nname: mine\n{_REST}", "Invalid defaults list in 'objective/mine'"),
    (f"# @package nowhere\nname: mine\n{_REST}", "Key 'nowhere' not in 'RunConfig'"),
]
# (text of <folder>/sweep/mine.yaml, part of the message)
_SWEEPS = [
    ("# @package _global_\nsweep:\n  titel: t\n", "Key 'titel' not in 'SweepConfig'"),
    ("# @package _global_\nhydra:\n  sweeper:\n    params:\n      rl.stepz: 1,2\n", "Could not override 'rl.stepz'"),
    ("# @package _global_\nhydra:\n  sweeper:\n    params:\n      seed: 0,'1\n", "cannot be read; allowed: key=value"),
]
# (file of <folder>, part of the message)
_HIDDEN = [
    ("config.yaml", "<folder>/config.yaml would not be read, as the harness has a file of that name; rename it"),
    ("objective/gppo.yaml", "<folder>/objective/gppo.yaml would not be read"),
]


def write(name: str, content: str | bytes, root: Path) -> None:
    path = root / "folder" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def cases() -> list[Case]:
    """Files by what is wrong with them."""
    found = [
        _case("objective", "objective=mine", f"objective/mine.yaml: {_shown(content)}", content, message)
        for content, message in _OBJECTIVES
    ]
    found += [
        _case("sweep", "+sweep=mine", f"sweep/mine.yaml: {_shown(content)}", content, message)
        for content, message in _SWEEPS
    ]
    for name, message in _HIDDEN:
        found.append(
            Case(
                group=_GROUP,
                input=f"{name}, a name that the harness has too",
                command=command("objective=gppo"),
                message=message,
                prepare=partial(write, name, "name: gppo\n"),
            )
        )
    missing = "--config-dir is '<folder>'; allowed: a folder with files such as objective/<name>.yaml"
    return [*found, Case(group=_GROUP, input="no such folder", command=command("seed=0"), message=missing)]


def _case(group: str, argument: str, shown: str, content: str | bytes, message: str) -> Case:
    prepare = partial(write, f"{group}/mine.yaml", content)
    return Case(group=_GROUP, input=shown, command=command(argument), message=message, prepare=prepare)


def command(argument: str) -> tuple[str, ...]:
    return ("run", "launch.runs_dir=<runs>", "--config-dir", "<folder>", argument)


def _shown(content: str | bytes) -> str:
    return repr(content) if content else "an empty file"
