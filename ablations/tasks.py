"""The problems and questions that a config names."""

from klear_core.config import RunConfig
from klear_core.data.chains import DOMAIN, constant_floor, problems
from klear_core.records import Problem

CONTEXT_TOKENS = 128  # of the models that the supervised start trains; a chain is one token a character


def longest_prompt(config: RunConfig) -> int:
    """Tokens of the longest prompt of the task: a digit and an operator, or the equals sign, a term."""
    return 2 * config.task.num_terms


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
