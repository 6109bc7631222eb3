"""The grader that a config asks for, with the sandbox and the verifiers behind it."""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec

from ablations.tasks import load_problems
from klear_core.config import RunConfig
from klear_core.data.splits import SPLITS
from klear_core.data.tasks import get_task, is_read
from klear_core.errors import ConfigError
from klear_core.records import Verdict
from klear_core.rewards.code import CodeJudge
from klear_core.rewards.grader import Grader, Judge, Scoring, by, exact
from klear_core.rewards.math import MathVerifier
from klear_core.rewards.math_policy import STANDARD_POLICY, scorer_identity
from klear_core.rewards.sandbox.limits import Limits
from klear_core.rewards.sandbox.pool import Sandbox


def has_tests(config: RunConfig) -> bool:
    """Whether any problem of a config is decided by running a program."""
    return True in _kinds(config)


def _kinds(config: RunConfig) -> set[bool]:
    """True when problems are decided by tests, False when by an answer; rows that are read may be of both kinds."""
    task = get_task(config.task)
    if not is_read(task):
        return {task.problems("train", 1)[0].tests is not None}
    return {problem.tests is not None for split in SPLITS for problem in load_problems(config, split)}


def open_sandbox(config: RunConfig) -> Sandbox:
    """The sandbox of a config, with the share of the processors that one of its runs has.

    ConfigError when programs cannot be isolated on this machine.
    """
    settings = config.sandbox
    names = [field.name for field in dataclasses.fields(Limits)]
    cores = os.cpu_count() or 1
    return Sandbox(
        Limits(**{name: getattr(settings, name) for name in names}),
        backend=settings.backend,
        allow_unisolated=settings.allow_unisolated,
        # Two guests a processor: one begins while another one ends.
        slots=2 * max(1, cores // (config.launch.slots or cores)),
    )


def check_grading(config: RunConfig) -> str:
    """A warning, "" for none; ConfigError when programs cannot be isolated here, or a verifier is not installed."""
    kinds = _kinds(config)
    if False in kinds and config.reward.verifier == "math_verify" and find_spec("math_verify") is None:
        raise ConfigError(
            "reward.verifier is 'math_verify', which is not installed; pip install 'klear-ablations[math]'"
        )
    if True in kinds:
        with open_sandbox(config) as sandbox:
            told = "programs of a model run WITHOUT ISOLATION on this machine, as sandbox.allow_unisolated=true allows"
            return "" if sandbox.is_isolated else told
    return ""


@contextmanager
def open_grader(config: RunConfig) -> Iterator[Grader]:
    """A grader for the config's problems; what it started ends with the block."""
    scores = dataclasses.asdict(config.reward.scores)
    scoring = Scoring(scores={Verdict[name.upper()]: value for name, value in scores.items()}, soft=config.reward.soft)
    with ExitStack() as stack:
        code = None
        if has_tests(config):
            code = CodeJudge(stack.enter_context(open_sandbox(config)))
        answers: Judge = exact
        told = "exact answers"
        if config.reward.verifier == "math_verify":
            answers = by(stack.enter_context(MathVerifier(STANDARD_POLICY, num_workers=1)))
            told = ", ".join(f"{name} {version}" for name, version in scorer_identity().items())
        yield Grader(scoring, code=code, answers=answers, answers_told=told)
