"""Which questions a run answers, and when."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from klear_core.config import RunConfig
from klear_core.data.chains import DOMAIN, constant_floor, problems
from klear_core.eval.runner import evaluate
from klear_core.records import Problem
from klear_core.rewards.boxed import grade
from klear_core.rollout.native import NativeEngine
from klear_core.runs import store
from klear_core.trainer.collate import tokenize_prompts


def load_problems(config: RunConfig, split: str) -> list[Problem]:
    """The problems of a split: all training problems, or the questions that an evaluation asks."""
    counts = {
        "train": config.task.train_problems,
        "validation": config.eval.validation_questions,
        "test": config.eval.test_questions,
    }
    task = config.task
    return problems(data_seed=task.data_seed, split=split, count=counts[split], num_terms=task.num_terms)


def floor_of(config: RunConfig) -> tuple[float, str]:
    """Accuracy of the best constant answer on the test questions, and a line that names it."""
    answer, share = constant_floor(load_problems(config, "test"))
    return share, f"always answering {answer} on the {config.eval.test_questions} test questions ({DOMAIN})"


class Evaluator:
    """The questions of both splits, asked to one model."""

    def __init__(self, config: RunConfig, model: Any, tokenizer: Any) -> None:
        self._config = config
        self._engine = NativeEngine(model, tokenizer)
        self._questions = {split: load_problems(config, split) for split in ("validation", "test")}
        self._prompts = {split: tokenize_prompts(tokenizer, asked) for split, asked in self._questions.items()}
        self._samples = {"validation": config.eval.validation_samples, "test": config.eval.test_samples}

    def run(self, split: str, decodings: Sequence[str], *, step: int) -> list[dict[str, Any]]:
        """Rows of EVAL_COLUMNS for every decoding."""
        rows: list[dict[str, Any]] = []
        for decoding in decodings:
            rows += evaluate(
                self._engine,
                self._questions[split],
                self._prompts[split],
                grade,
                split=split,
                decoding=decoding,
                num_samples=self._samples[split],
                max_tokens=self._config.rl.max_response_tokens,
                seed=self._config.seed,
                step=step,
            )
        return rows


def evaluate_step(evaluator: Evaluator, config: RunConfig, step: int) -> tuple[list[dict[str, Any]], float]:
    """What is evaluated after an RL step, and the seconds it took: validation now and then, the test at the end."""
    started = time.perf_counter()
    rows: list[dict[str, Any]] = []
    if step % config.eval.validation_every == 0 or step == config.rl.steps:
        rows += evaluator.run("validation", ["t1.0"], step=step)
    if step == config.rl.steps:
        rows += evaluator.run("test", ["t1.0", "t0.6_p0.95", "greedy"], step=step)
    return rows, time.perf_counter() - started


def accuracy(rows: Sequence[Mapping[str, Any]], split: str, decoding: str, step: int) -> float:
    """Share of correct answers under one key, NaN without rows."""
    key = (split, decoding, step)
    return store.nan_mean(row["correct"] for row in rows if (row["split"], row["decoding"], row["step"]) == key)


def accuracies(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Latest accuracy by split and decoding, under the names that W&B shows."""
    keys = {(row["split"], row["decoding"]): row["step"] for row in rows}
    return {f"{s}/{d}/correct": accuracy(rows, s, d, step) for (s, d), step in keys.items()}
