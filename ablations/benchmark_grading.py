"""What grades the answers of `ablations evaluate`, and the identity of it that results carry."""

import dataclasses
import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from ablations.benchmark_sources import Source
from ablations.evaluate_settings import EvaluateSettings
from ablations.grading import open_grader
from klear_core.errors import ConfigError
from klear_core.eval.livecodebench import PREAMBLE, WithPreamble
from klear_core.eval.tasks import CODE, LIVECODEBENCH_LIMITS
from klear_core.records import Verdict
from klear_core.rewards.grader import Grader, Scoring, by
from klear_core.rewards.math import MathVerifier
from klear_core.rewards.math_policy import STANDARD_POLICY, scorer_identity
from klear_core.rewards.sandbox.pool import Sandbox

HARD = Scoring(scores={verdict: float(verdict is Verdict.CORRECT) for verdict in Verdict}, soft=False)


@contextmanager
def open_maths_grader() -> Iterator[Grader]:
    """1 for an answer that is the reference as mathematics; ConfigError where math-verify is not installed."""
    if find_spec("math_verify") is None:
        raise ConfigError(
            "answers are judged by math-verify, which is not installed; pip install 'klear-ablations[math]'"
        )
    with MathVerifier(STANDARD_POLICY, num_workers=1) as verifier:
        yield Grader(HARD, answers=by(verifier))


@contextmanager
def benchmark_grader(source: Source, settings: EvaluateSettings) -> Iterator[tuple[Grader, dict[str, str]]]:
    """What grades a benchmark's answers, and the identity of it that results carry."""
    if source.config is not None:
        with open_grader(source.config) as grader:
            yield grader, {"grader": grader.told}
    elif source.benchmark.scorer == CODE:
        with Sandbox(
            LIVECODEBENCH_LIMITS,
            backend=settings.sandbox.backend,
            allow_unisolated=settings.sandbox.allow_unisolated,
        ) as sandbox:
            yield Grader(HARD, code=WithPreamble(sandbox)), code_identity(sandbox)
    else:
        with open_maths_grader() as grader:
            yield grader, scorer_identity()


def code_identity(sandbox: Sandbox) -> dict[str, str]:
    """What verdicts on programs depend on."""
    limits = {name: f"{value:g}" for name, value in dataclasses.asdict(sandbox.limits).items()}
    names = hashlib.sha256(PREAMBLE.encode()).hexdigest()[:12]
    return {"sandbox": sandbox.isolation, "python": platform.python_version(), "names": names, **limits}
