"""Which training problems a run may use: all, those that a reference solver mostly solves, or those without flaws."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from klear_core.config import RunConfig
from klear_core.data.tasks import Task, get_task
from klear_core.errors import ConfigError, DataError
from klear_core.records import Problem
from klear_core.reward_config import CodeFilterConfig
from klear_core.rewards.code import CodeJudge, TestVerdict, Verdicts, extract_program
from klear_core.rewards.format import CLOSE
from klear_core.runs import folders, provenance, schema, store
from klear_core.settings import to_plain

_LOCK_WAIT_S = 24 * 3600.0  # another run of the sweep is computing the same shares
_AT_ONCE = 256  # problems


def usable_problems(config: RunConfig, problems: Sequence[Problem], code: CodeJudge | None) -> list[bool]:
    """Whether ``code_filter`` keeps each training problem; DataError when less than one step's worth is left.

    The reference's shares depend on the task, the filter and the sandbox only, so all runs of a sweep share one file.
    """
    rule = config.code_filter.rule
    if rule == "off":
        return [True] * len(problems)
    if rule == "oracle":
        usable = [not problem.flawed for problem in problems]
    else:
        assert code is not None
        shares = _stored_shares(config, problems, code)
        usable = [shares[problem.problem_id] >= config.code_filter.min_pass_rate for problem in problems]
    if (left := sum(usable)) < config.rl.problems_per_step:
        raise DataError(
            f"code_filter={config.code_filter.name} leaves {left} of {len(problems)} problems, and a step needs "
            f"rl.problems_per_step = {config.rl.problems_per_step}"
        )
    return usable


def check_filter(config: RunConfig, *, has_tests: bool) -> None:
    """ConfigError when the task has no tests to filter by, or no reference solver of the stated accuracy."""
    settings = config.code_filter
    if settings.rule == "off":
        return
    if not has_tests:
        task = config.task.name
        raise ConfigError(f"code_filter is {settings.name!r}; allowed with task={task}: off, as it has no tests")
    if settings.rule == "reference":
        try:
            solved = get_task(config.task)
            solved.solver(settings.accuracy, solved.problems("train", min(config.task.train_problems, _AT_ONCE)))
        except DataError as error:
            raise ConfigError(f"code_filter.accuracy: {error}") from None


def filter_rows(problems: Sequence[Problem], usable: Sequence[bool]) -> list[dict[str, Any]]:
    """How many problems were kept and dropped, by difficulty and by planted flaw."""
    counts = Counter((p.difficulty, p.flawed, kept) for p, kept in zip(problems, usable, strict=True))
    kinds = sorted({key[:2] for key in counts}, key=lambda kind: (kind[0] is None, kind))
    return [
        {"difficulty": d, "flawed": f, "kept": counts[d, f, True], "dropped": counts[d, f, False]} for d, f in kinds
    ]


def _stored_shares(config: RunConfig, problems: Sequence[Problem], code: CodeJudge) -> dict[str, float]:
    folder = Path(config.launch.runs_dir) / schema.FILTER_STORE_DIR / _key(config)
    with folders.held(folder, wait_s=_LOCK_WAIT_S):
        path = folder / schema.SHARES_FILE
        shares = _read_shares(path)
        if all(problem.problem_id in shares for problem in problems):
            return shares
        shares = solved_shares(get_task(config.task), config.code_filter, config.task.data_seed, problems, code)
        store.write_json(path, shares)
        return shares


def _read_shares(path: Path) -> dict[str, float]:
    """The stored shares; none where there is no file, or a damaged one, as they can be computed again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(config: RunConfig) -> str:
    plain = to_plain(config)
    parts = {name: plain[name] for name in ("task", "code_filter", "sandbox")} | {"source": provenance.source_hash()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def solved_shares(
    task: Task, settings: CodeFilterConfig, data_seed: int, problems: Sequence[Problem], code: CodeJudge
) -> dict[str, float]:
    """Share of the reference solver's completions that pass all tests of each problem, those that could be graded."""
    solver = task.solver(settings.accuracy, problems)
    shares = {}
    for at in range(0, len(problems), _AT_ONCE):
        part = problems[at : at + _AT_ONCE]
        submissions = []
        for problem in part:
            assert problem.tests is not None
            for k in range(settings.completions):
                rng = random.Random(f"filter/{data_seed}/{problem.problem_id}/{k}")
                response = solver(problem, rng).response
                submissions.append((extract_program(response.rpartition(CLOSE)[2]), problem.tests))
        verdicts = code.judge_all(submissions)
        for k, problem in enumerate(part):
            shares[problem.problem_id] = _share(verdicts[k * settings.completions : (k + 1) * settings.completions])
    return shares


def _share(of_completions: Sequence[Verdicts]) -> float:
    graded = [verdicts for verdicts in of_completions if TestVerdict.INFRASTRUCTURE not in verdicts]
    solved = sum(set(verdicts) == {TestVerdict.PASS} for verdicts in graded)
    # A problem that nothing could be found out about is kept.
    return solved / len(graded) if graded else 1.0
