"""A picture of a description: histograms of lengths, and bars of what is counted."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablations.commands.describe import Description, difficulty_counts, name_counts
from ablations.commands.terminal import clean
from klear_core.data.profile import Lengths
from klear_core.errors import DataError

_COLOUR = "#0072B2"
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a dollar sign in a name is no formula
}
_LABEL = 28  # letters of a name
_BARS = 12


def write_picture(found: Description, path: Path) -> None:
    """Draw the description to ``path``, a PNG; DataError when it cannot be written."""
    # Imported here: a description without a picture does without.
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    told = found.profile
    bars = {"source": name_counts(told.sources), "difficulty": difficulty_counts(told.difficulties)}
    bars |= {"teacher": name_counts(told.teachers)} if told.teachers is not None else {}
    bars |= {"domain": name_counts(told.domains)} if told.domains is not None else {}
    bars |= {"correctness": [*told.correctness.items()]} if told.correctness is not None else {}
    bars |= {"decided by": [*told.decided_by.items()]} if told.decided_by is not None else {}
    lengths = {part: told.lengths.get(f"{part} characters") for part in ("prompt", "response")}
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # A letter that the font does not have is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=(12, 7), layout="constrained")
        axes = figure.subplots(2, 3).flat
        for part, values in lengths.items():
            if values is not None:
                _histogram(next(axes), part, values)
        for title, counts in bars.items():
            _bars(next(axes), title, counts)
        for axis in axes:
            axis.set_axis_off()
        name = clean(found.where)[-80:]
        figure.suptitle(f"{name}: {told.fingerprint.rows} {found.kind}, {told.fingerprint.content_hash[:12]}")
        try:
            figure.savefig(path, dpi=130, metadata={"Software": None}, format="png")
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror or error}") from None


def _histogram(axis: Any, part: str, lengths: Lengths) -> None:
    # One place a bin: each is twice as wide as the one before it.
    counts = [rows for _, _, rows in lengths.bins]
    axis.bar(range(len(counts)), counts, width=1, align="edge", color=_COLOUR, edgecolor="white")
    edges = [low for low, _, _ in lengths.bins] + [lengths.bins[-1][1]]
    axis.set_xticks(range(len(edges)), [str(edge) for edge in edges], rotation=60)
    axis.set_title(f"{part} characters, median {lengths.quantiles['0.5']:.0f}")
    axis.set_ylabel("rows")


def _bars(axis: Any, title: str, counts: Sequence[tuple[str, int]]) -> None:
    shown = [*counts[:_BARS]]
    if left := sum(rows for _, rows in counts[_BARS:]):
        shown.append((f"({len(counts) - _BARS} more)", left))
    places = range(len(shown))
    axis.barh(places, [rows for _, rows in shown], color=_COLOUR)
    axis.set_yticks(places, [clean(name)[:_LABEL] for name, _ in shown])
    axis.invert_yaxis()
    axis.set_title(title)
    axis.set_xlabel("rows")
