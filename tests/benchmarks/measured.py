"""What a benchmark measured, as JSON: metrics with their direction, the machine, and the difference to a baseline."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

TOLERANCE = 0.10  # a change for the worse by more than this share is flagged
MARK = "measured: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number; ratios of sides that alternate are compared between runs, other numbers are shown only."""

    name: str
    value: float
    unit: str
    better: str  # higher | lower
    is_compared: bool = True
    low: float | None = None  # smallest and largest of the rounds
    high: float | None = None


def ratio(name: str, values: Sequence[float]) -> Metric:
    """The median over rounds of how many times as fast as another side ours is, with its range."""
    return Metric(
        name=name, value=statistics.median(values), unit="x", better="higher", low=min(values), high=max(values)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A metric beside its baseline; ``worse_by`` is a share of the baseline, negative where it got better."""

    benchmark: str
    metric: Metric
    baseline: float
    worse_by: float

    @property
    def is_flagged(self) -> bool:
        """Whether it is worse by more than the tolerance."""
        return self.metric.is_compared and self.worse_by > TOLERANCE


def machine() -> dict[str, str]:
    """What results of two runs must share to be compared."""
    # Imported late: reading results needs neither.
    import torch

    from klear_core.runs import provenance

    told = provenance.machine() | {"torch": torch.__version__}
    if torch.cuda.is_available():
        told["device"] = torch.cuda.get_device_name()
    return told


def tell(metrics: Sequence[Metric], **conditions: Any) -> None:
    """Print what a benchmark measured, on one line that ``python -m tests.benchmarks`` reads."""
    print(MARK + json.dumps({"metrics": [asdict(metric) for metric in metrics], "conditions": conditions}))


def read(output: str) -> dict[str, Any] | None:
    """What a benchmark told in its output; None when it told nothing."""
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    found: dict[str, Any] | None = json.loads(lines[-1][len(MARK) :]) if lines else None
    return found


def compare(results: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[Change]:
    """Every metric that both have; ValueError when they were measured on different machines."""
    if results["machine"] != baseline["machine"]:
        keys = list({**results["machine"], **baseline["machine"]})
        other = [key for key in keys if results["machine"].get(key) != baseline["machine"].get(key)]
        raise ValueError(f"the baseline was measured with another {', '.join(other)}")
    changes = []
    for name, told in results["benchmarks"].items():
        before = {m["name"]: m["value"] for m in baseline["benchmarks"].get(name, {}).get("metrics", [])}
        for metric in [Metric(**one) for one in told["metrics"]]:
            if before.get(metric.name):
                gain = metric.value / before[metric.name] - 1
                worse_by = -gain if metric.better == "higher" else gain
                changes.append(Change(benchmark=name, metric=metric, baseline=before[metric.name], worse_by=worse_by))
    return changes
