"""Stored sweeps that are damaged or of another version: read by the report, gone on with by a run, asked for."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reliability.malformed import Case, nothing
from tests.reliability.stored_sweep import whole

_REPORT = "Stored sweeps, read by python -m reports adhoc"
_RESUME = "Stored runs, gone on with by the same python -m ablations.run"
_COMMANDS = "Commands that read runs"
RUN = ("run", "scale=smoke", "launch.runs_dir=<runs>")
REPORT = ("report", "adhoc", "--runs", "<runs>")
_HOME = "adhoc/clip_higher/seed0"

Change = Callable[[Path], None]


def _spoil(name: str, change: Change, root: Path) -> None:
    whole(root)
    change(root / "runs" / name)


def _write(content: str | bytes) -> Change:
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content) and None


def _cut(path: Path) -> None:
    """Only its first bytes, before anything that differs between machines."""
    path.write_bytes(path.read_bytes()[:10])


def _edit(*keys: str | int, to: Any) -> Change:
    """Set a value inside a JSON file; ``...`` removes it."""

    def edit(path: Path) -> None:
        whole = place = json.loads(path.read_text())
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to
        if to is ...:
            del place[keys[-1]]
        path.write_text(json.dumps(whole))

    return edit


def _flip(path: Path) -> None:
    """Another number in the middle line."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"2", b"7", 1) if b'"step": 2' in lines[1] else lines[1].replace(b"e", b"i", 1)
    path.write_bytes(b"".join(lines))


def _drop(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines[2:]]))


def _rows(*rows: dict[str, Any]) -> Change:
    """A whole record file with other rows."""

    def write(path: Path) -> None:
        from klear_core.runs.log import RecordLog

        path.unlink()
        with RecordLog(path) as log:
            for row in rows:
                log.append(row)

    return write


def _table(change: Callable[[dict[str, list[Any]]], dict[str, list[Any]]]) -> Change:
    def write(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(change(pq.read_table(path).to_pydict())), path)

    return write


def _without(*names: str) -> Callable[[dict[str, list[Any]]], dict[str, list[Any]]]:
    return lambda columns: {name: values for name, values in columns.items() if name not in names}


_PLAN, _STATUS, _STEPS = "adhoc/plan.json", f"{_HOME}/status.json", f"{_HOME}/steps.jsonl"
_MANIFEST, _EVAL, _CONFIG = f"{_HOME}/manifest.json", f"{_HOME}/eval.parquet", f"{_HOME}/config.yaml"
_NO_PLAN = f"<runs>/{_PLAN} is not a plan of this version"
_ADVICE = "run the sweep's command again, which writes it anew"

# (file, what is wrong, change, part of the message)
_READ: list[tuple[str, str, Change, str]] = [
    (_PLAN, "cut", _cut, f"<runs>/{_PLAN} cannot be read"),
    (_PLAN, "a list", _write("[]"), f"{_NO_PLAN}: it holds no JSON object"),
    (_PLAN, "not UTF-8", _write(b'{"a": "\xf6"}'), "can't decode byte 0xf6"),
    (_PLAN, "nested without end", _write("[" * 100_000), "maximum recursion depth exceeded"),
    (
        _PLAN,
        "schema_version 1",
        _edit("schema_version", to=1),
        f"{_NO_PLAN}: schema_version is 1; allowed: 4; {_ADVICE}",
    ),
    (_PLAN, "a field is missing", _edit("treatments", to=...), f"{_NO_PLAN}: treatments is missing"),
    (_PLAN, "a field of another version", _edit("metrics", to=[]), f"{_NO_PLAN}: metrics is no field"),
    (_PLAN, "runs is 3", _edit("runs", to=3), f"{_NO_PLAN}: runs is 3; allowed: a value of type list"),
    (_PLAN, "a seed is a word", _edit("runs", 0, "seed", to="one"), f"{_NO_PLAN}: runs[0].seed is 'one'; allowed"),
    (_PLAN, "treatments is a list", _edit("treatments", to=["gppo"]), f"{_NO_PLAN}: treatments is ['gppo']; allowed"),
    (
        _PLAN,
        "a run of no treatment",
        _edit("treatments", to={"gppo": "x"}),
        "run clip_higher/seed0 is of no treatment or point that it names",
    ),
    (
        _PLAN,
        "a run of no point",
        _edit("points", to={"u4": "x"}),
        "is of no treatment or point that it names; run the sweep's command",
    ),
    (_PLAN, "an unknown baseline", _edit("baseline", to="gppo"), "baseline is 'gppo'; allowed: clip_higher"),
    (_PLAN, "an unknown metric", _edit("primary", "metric", to="best@8"), "primary.metric is 'best@8'; allowed: avg@K"),
    (_PLAN, "no runs", _edit("runs", to=[]), "plan.json names no runs"),
    (_STATUS, "cut", _cut, f"<runs>/{_STATUS} cannot be read"),
    (
        _STATUS,
        "schema_version 5",
        _edit("schema_version", to=5),
        "is not a status of this version: schema_version is 5",
    ),
    (_STATUS, "an unknown state", _edit("state", to="paused"), "state is 'paused'; allowed: running, done"),
    (_STATUS, "wall_s is a word", _edit("wall_s", to="long"), "wall_s is 'long'; allowed: a value of type float"),
    (_MANIFEST, "cut", _cut, f"<runs>/{_MANIFEST} cannot be read"),
    (_MANIFEST, "schema_version 1", _edit("schema_version", to=1), "is not a manifest of this version: schema_version"),
    (_MANIFEST, "provenance is null", _edit("provenance", to=None), "this version: provenance holds no JSON object"),
    (_STEPS, "another number in the middle", _flip, f"<runs>/{_STEPS} line 2 is damaged: its checksum does not match"),
    (_STEPS, "a line is missing", _drop, f"<runs>/{_STEPS} line 2 is not row 2: rows are missing or doubled"),
    (_STEPS, "records without checksums", _write('{"step": 1}\n'), "line 1 is not a record of this version"),
    (
        _STEPS,
        "rows of other fields",
        _rows({"step": 1, "kl": 0.1}),
        f"<runs>/{_STEPS} holds rows of another version, without updates",
    ),
    (_EVAL, "random bytes", _write(bytes(range(256)) * 9), f"<runs>/{_EVAL} cannot be read"),
    (_EVAL, "cut", _cut, f"<runs>/{_EVAL} cannot be read"),
    (_EVAL, "columns are missing", _table(_without("correct", "sample")), "lacks the columns sample, correct"),
    (
        _EVAL,
        "correct holds words",
        _table(lambda columns: columns | {"correct": ["yes"] * len(columns["correct"])}),
        "the column correct is of type string; allowed: true and false",
    ),
    (
        _EVAL,
        "a question is null",
        _table(lambda columns: columns | {"question": [None, *columns["question"][1:]]}),
        "the column question has empty cells",
    ),
    (
        "adhoc/gradient_weights.json",
        "a curve is cut",
        _edit("weights", "clip_higher", "positive", to=[1.0]),
        "the curves of clip_higher differ in length from ratios; move it away",
    ),
    (
        "adhoc/gradient_weights.json",
        "a list",
        _write("[]"),
        "gradient_weights.json is not a set of gradient weights of this version",
    ),
]
_LOST = "checkpoint does not exist; allowed: a folder in the transformers layout; move"
_GONE_ON: list[tuple[str, str, Change, str]] = [
    (_CONFIG, "broken YAML", _write("rl: ["), f"<runs>/{_CONFIG} cannot be read: while parsing a flow node"),
    (_CONFIG, "a list", _write("- rl"), f"<runs>/{_CONFIG} holds no settings; move <runs>/{_HOME} away"),
    (_CONFIG, "not UTF-8", _write(b"rl: \xf6"), "can't decode byte 0xf6"),
    (_CONFIG, "settings within themselves", _write("rl: &a {b: *a}"), "holds settings within themselves; move"),
    (_CONFIG, "other settings", _write("rl: {steps: 5}"), "holds a run of other settings"),
    (_STATUS, "cut", _cut, f"<runs>/{_STATUS} cannot be read"),
    (_STATUS, "attempt is a word", _edit("attempt", to="one"), "attempt is 'one'; allowed: a value of type int"),
    (_STATUS, "of other code", _edit("sources", to=["f" * 64]), "holds a run of other code"),
    (_STATUS, "failed, and its supervised start has lost its checkpoint", _edit("state", to="failed"), _LOST),
    (_STATUS, "missing", Path.unlink, "holds records without status.json"),
    (
        "adhoc/ledger.jsonl",
        "another word in the middle",
        _flip,
        "ledger.jsonl line 2 is damaged: its checksum does not match",
    ),
]
_LONG = "x" * 300
# (command, its files, part of the message)
_ASKED: list[tuple[tuple[str, ...], Change, str]] = [
    (("report",), nothing, "the following arguments are required: sweep"),
    (("report", "adhoc", "--rnus", "<runs>"), nothing, "unrecognized arguments: --rnus <runs>"),
    (("report", "adhok", "--runs", "<runs>"), whole, "there is no sweep 'adhok' in <runs>; found: adhoc"),
    (("report", _LONG, "--runs", "<runs>"), nothing, "found: none"),
    (("report", "published", "--only"), nothing, "unrecognized arguments: --only"),
    (("report", "check", "<runs>"), nothing, "allowed: a folder with sweeps that have a report"),
    (("report", "paper", "--runs", "<folder>"), nothing, "--runs is <folder>; allowed: a folder of sweeps"),
    (("report", "dashboard", "adhok", "--runs", "<runs>"), whole, "there is no sweep 'adhok' in <runs>; found: adhoc"),
    (("report", "table1", "--runs", "<folder>"), nothing, "--runs is <folder>; allowed: a folder with evaluations"),
    (("ablations", "lst"), nothing, "No such command 'lst'"),
    (("ablations", "run", "--foo"), nothing, "unrecognized arguments: --foo"),
    (("ablations", "run", "rl.stepz=3"), nothing, "Could not override 'rl.stepz'"),
    (("ablations", "list", "arms"), nothing, "'arms' is not one of"),
    (("ablations", "list", "runs", "--runs", "<folder>"), nothing, "--runs is <folder>; allowed: a folder with runs"),
    (("ablations", "show", "adhoc/gppo/seed0", "--runs", "<runs>"), whole, "there is no run 'adhoc/gppo/seed0'"),
    (("ablations", "show", _LONG, "--runs", "<runs>"), whole, "there is no run"),
    (("ablations", "compare", "adhoc/clip_higher", "adhoc/gppo", "--runs", "<runs>"), whole, "'adhoc/gppo'"),
    (("ablations", "sync", "other", "--runs", "<runs>"), whole, "there is no sweep 'other' in <runs>; found: adhoc"),
    (("ablations", "sync", "--mode", "online", "--runs", "<runs>"), whole, "--mode is online, and goes with"),
]


def _shown(command: tuple[str, ...]) -> str:
    words = [word if len(word) < 60 else f"{word[:10]}... ({len(word)} characters)" for word in command]
    return " ".join(words).replace("report", "python -m reports", 1)


def cases() -> list[Case]:
    """Sweeps by what is wrong with them."""
    asked = [
        Case(group=_COMMANDS, input=_shown(command), command=command, message=message, prepare=prepare)
        for command, prepare, message in _ASKED
    ]
    return asked + [
        Case(
            group=group,
            input=f"{name}: {what}",
            command=command,
            message=message,
            prepare=functools.partial(_spoil, name, change),
        )
        for group, command, spoiled in ((_REPORT, REPORT, _READ), (_RESUME, RUN, _GONE_ON))
        for name, what, change, message in spoiled
    ]
