"""What `ablations show` prints of one run: what it was asked to do, where it comes from, and where it stands."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.commands.inspect_runs import last_metrics, run_name, state_of
from ablations.commands.terminal import say, say_table
from klear_core.errors import RunStoreError
from klear_core.runs import folders, schema, store

_ASKED = ("step", "split", "decoding", "question", "correct", "response_tokens")


def show(runs_dir: Path, folder: Path) -> None:
    """Print a run; a part that is missing or broken is one line that says so."""
    say(f"run {run_name(runs_dir, folder)}")
    _section("config", _config(folder))
    _section("provenance", _told(lambda: _provenance(folder)))
    _section("status", _told(lambda: _status(folder)))
    _section("last metrics", _told(lambda: _metrics(folder)))
    say("")
    say("last evaluations")
    try:
        rows = last_evaluations(folder)
    except RunStoreError as error:
        say(str(error), indent=2)
        return
    if not rows:
        say("none yet", indent=2)
        return
    header = ("split", "decoding", "step", "questions", "samples", "accuracy", "mean tokens")
    say_table(header, rows, right=header[2:])


def last_evaluations(folder: Path) -> list[Sequence[object]]:
    """(split, decoding, step, questions, samples a question, accuracy, mean tokens) at the last step of each.

    Samples are averaged within a question first; RunStoreError when the rows cannot be read.
    """
    table = store.read_evaluations(folder)
    absent = [name for name in _ASKED if name not in table.column_names]
    if absent:
        raise RunStoreError(f"{folder / schema.EVAL_FILE} lacks the columns {', '.join(absent)}")
    rows = table.select([*_ASKED]).to_pylist()
    last: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["split"], row["decoding"])
        last[key] = max(last.get(key, 0), row["step"])
    return [_summary(key, step, rows) for key, step in last.items()]


def _summary(key: tuple[str, str], step: int, rows: list[dict[str, Any]]) -> Sequence[object]:
    asked = [row for row in rows if (row["split"], row["decoding"], row["step"]) == (*key, step)]
    by_question: dict[int, list[bool]] = {}
    for row in asked:
        by_question.setdefault(row["question"], []).append(row["correct"])
    counts = sorted({len(samples) for samples in by_question.values()})
    accuracy = store.nan_mean(store.nan_mean(samples) for samples in by_question.values())
    tokens = store.nan_mean(row["response_tokens"] for row in asked)
    samples = "-".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    return (*key, step, len(by_question), samples, f"{accuracy:.3f}", f"{tokens:.1f}")


def _section(title: str, lines: Iterator[str]) -> None:
    say("")
    say(title)
    for line in lines:
        say(line, indent=2 + len(line) - len(line.lstrip(" ")))


def _told(make: Any) -> Iterator[str]:
    """The lines of a part, or the line that says why it cannot be read."""
    try:
        yield from make()
    except RunStoreError as error:
        yield str(error)


def _config(folder: Path) -> Iterator[str]:
    path = folder / schema.CONFIG_FILE
    try:
        yield from path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        yield f"{path} cannot be read: {error}"


def _provenance(folder: Path) -> Iterator[str]:
    manifest = store.read_manifest(folder)
    origin = manifest.provenance
    edited = {True: " with changes that are not committed", False: "", None: ""}[origin.dirty]
    start = f", supervised start {manifest.sft}" if manifest.sft else ""
    yield f"sweep {manifest.sweep}, arm {manifest.arm}, seed {manifest.seed}{start}"
    yield f"command: {origin.command}"
    yield f"commit: {origin.commit or 'not from a git checkout'}{edited}"
    yield f"source {origin.source_hash[:12]}, config {manifest.config_hash[:12]}, data {manifest.data_hash[:12]}"
    yield f"versions: {_pairs(origin.versions)}"
    yield f"machine: {_pairs(origin.machine)}, threads {origin.threads}"


def _status(folder: Path) -> Iterator[str]:
    status = store.read_status(folder)
    if status is None:
        yield "not started"
        return
    ended = f", {status.exit_class}" if status.exit_class else ""
    yield f"{state_of(status)}{ended}: {status.run_id}"
    if status.reason:
        yield f"reason: {status.reason}"
    resumed = f", went on after step {status.resumed_step}" if status.resumed_step is not None else ""
    yield f"attempt {status.attempt}{resumed}"
    yield f"started {status.started}, ended {status.ended or 'not yet'}, {status.wall_s:g} s over all attempts"
    life = "alive" if folders.is_alive(status.owner) else "gone"
    yield f"owner: process {status.owner.pid}, {life}"
    yield f"code: {', '.join(source[:12] for source in status.sources)}"
    exists = any((folder / "wandb").glob("*run-*"))
    yield f"W&B mirror: {'open' if not status.ended else status.mirror or ('complete' if exists else 'none')}"


def _metrics(folder: Path) -> Iterator[str]:
    row = last_metrics(folder)
    if not row:
        yield "none yet"
    width = max(map(len, row), default=0)
    for name, value in row.items():
        yield f"{name:<{width}}  {value:.6g}" if isinstance(value, float) else f"{name:<{width}}  {value}"


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
