"""Prompts of different lengths, for every engine."""

import pytest

from klear_core.records import Prompt


@pytest.fixture
def prompts(tokenizer, chains):
    texts = [problem.prompt[: 4 + 2 * (k % 3)] for k, problem in enumerate(chains)]
    return [Prompt(problem_id=f"p{k}", token_ids=tuple(tokenizer(text)["input_ids"])) for k, text in enumerate(texts)]
