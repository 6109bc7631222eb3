"""Prompts as the tokenizer of a given model reads them, held against its context."""

from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from ablations.preflight import check_prompts
from klear_core.errors import DataError
from tests.e2e import own_data


@pytest.fixture(scope="module")
def own(tmp_path_factory, make_config):
    """A tokenizer, and configs of its task by further settings."""
    folder = tmp_path_factory.mktemp("own")
    data, model = own_data.write_data(folder / "data"), own_data.write_model(folder / "model")
    arguments = [word for word in own_data.arguments(data, model) if word != "scale=smoke"]
    tokenizer = AutoTokenizer.from_pretrained(model)
    return tokenizer, lambda *more: make_config(*arguments, *more)


def test_prompts_are_as_long_as_their_chat_form_and_leave_room_for_the_answer(own):
    tokenizer, config = own
    # One token a byte: 15 of the question, and the turns around it.
    longest = 15 + len("user\n") + 2 + len("\n") + len("assistant\n") + 1
    check_prompts(config(), tokenizer, longest + 24)
    with pytest.raises(DataError) as caught:
        check_prompts(config(), tokenizer, longest + 23)
    assert str(caught.value) == (
        f"8 of 8 train prompts have {longest} to {longest} tokens; allowed: 1 to {longest - 1}, as the model's context "
        f"is {longest + 23} and rl.max_response_tokens is 24"
    )


def test_training_problems_that_nobody_asks_may_be_long(own, tmp_path):
    tokenizer, config = own
    long = own_data.write_lines(tmp_path / "long.jsonl", own_data.own_rows([("x" * 500, "1")]))

    def given(stage):
        made = config("rl.updates_per_rollout=1", f"stage={stage}")
        task = replace(made.task, train_problems=1, params=made.task.params | {"train": str(long)})
        return replace(made, task=task, rl=replace(made.rl, problems_per_step=1))

    with pytest.raises(DataError, match="1 of 1 train prompts have"):
        check_prompts(given("rl"), tokenizer, own_data.CONTEXT)
    check_prompts(given("sft"), tokenizer, own_data.CONTEXT)
