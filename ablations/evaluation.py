"""Which questions a run answers, and when."""

import time
from collections.abc import Sequence
from typing import Any

from ablations.tasks import load_problems
from klear_core.config import RunConfig
from klear_core.eval.runner import evaluate
from klear_core.rewards.grader import Grader
from klear_core.rollout.engine import Engine
from klear_core.trainer.collate import tokenize_prompts


class Evaluator:
    """The questions of both splits, asked to one model through its engine."""

    def __init__(self, config: RunConfig, engine: Engine, tokenizer: Any, grader: Grader) -> None:
        self._config = config
        self._grader = grader
        self._engine = engine
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
                self._grader,
                split=split,
                decoding=decoding,
                num_samples=self._samples[split],
                max_tokens=self._config.rl.max_response_tokens,
                seed=self._config.seed,
                step=step,
            )
        return rows


def evaluate_step(evaluator: Evaluator, config: RunConfig, step: int) -> tuple[list[dict[str, Any]], float]:
    """What is evaluated after a step, and the seconds it took: validation now and then, the test at the end."""
    started = time.perf_counter()
    rows: list[dict[str, Any]] = []
    if step % config.eval.validation_every == 0 or step == config.final_step:
        rows += evaluator.run("validation", ["t1.0"], step=step)
    if step == config.final_step:
        rows += evaluator.run("test", ["t1.0", "t0.6_p0.95", "greedy"], step=step)
    return rows, time.perf_counter() - started
