"""The problems and questions that a config names."""

from klear_core.config import RunConfig
from klear_core.data.tasks import get_task
from klear_core.records import Problem


def load_problems(config: RunConfig, split: str) -> list[Problem]:
    """The problems of a split: all training problems, or the questions that an evaluation asks."""
    counts = {
        "train": config.task.train_problems,
        "validation": config.eval.validation_questions,
        "test": config.eval.test_questions,
    }
    return get_task(config.task).problems(split, counts[split])


def floor_of(config: RunConfig) -> tuple[float, str]:
    """Accuracy of the best answer that does not read the test questions, and a line that names it."""
    return get_task(config.task).floor(load_problems(config, "test"))
