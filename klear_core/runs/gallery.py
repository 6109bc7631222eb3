"""The file of all objectives: F(r, A) of each as measured, with its formula and parameters."""

from dataclasses import dataclass
from pathlib import Path

from klear_core.errors import RunStoreError
from klear_core.runs.parse import parse
from klear_core.runs.store import read_json

GALLERY_FILE = "objectives.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveCurves:
    """One objective; a case of F is (value, condition), the last condition being "" for all else."""

    name: str
    surrogate: str
    note: str
    params: dict[str, float | None]
    formula: list[list[str]]  # cases with the names of parameters, [] where none is stated
    with_numbers: list[list[str]]  # the cases that can hold, with their values
    loss: str
    source: str
    positive: list[float]  # F at the gallery's ratios for A > 0
    negative: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """objectives.json, as ``ablations objectives`` writes it."""

    ratios: list[float]  # ascending
    band: list[float]  # the reference band: its lower and its upper end
    objectives: list[ObjectiveCurves]


def read_gallery(path: Path) -> Gallery:
    """The gallery in a file; RunStoreError when it is missing, damaged or of another form."""
    advice = "make it anew with `ablations objectives --out FILE`"
    raw = read_json(path, advice=advice)
    try:
        found = parse(Gallery, raw)
    except ValueError as error:
        raise RunStoreError(f"{path} is not a gallery of this version: {error}; {advice}") from None
    lengths = {len(curve) for each in found.objectives for curve in (each.positive, each.negative)}
    cases = [case for each in found.objectives for case in (*each.formula, *each.with_numbers)]
    if not found.objectives or lengths != {len(found.ratios)} or len(found.band) != 2:
        raise RunStoreError(f"{path} holds no curves of the length of its ratios; {advice}")
    if any(len(case) != 2 for case in cases):
        raise RunStoreError(f"{path}: a case of F is not a value and a condition; {advice}")
    return found
