import dataclasses
import random

import pytest

from klear_core.data.tasks import get_task
from klear_core.errors import ConfigError

# Problems that are read have tests of their own: test_rows_task.py.
GENERATED = ("chains", "functions")


@pytest.fixture(params=GENERATED)
def task(request, make_config):
    return get_task(make_config(f"task={request.param}").task)


def test_prompts_and_demonstrations_are_tokens_of_the_task_and_are_read_back(task, make_config):
    tokenizer = task.tokenizer()
    problems = task.problems("train", 300)
    texts = [problem.prompt for problem in problems]
    texts += [task.demonstrate(problem, random.Random(problem.problem_id)).response for problem in problems]
    ids = tokenizer(texts)["input_ids"]
    assert tokenizer.batch_decode(ids, skip_special_tokens=True) == texts
    assert tokenizer.unk_token_id not in {token for row in ids for token in row}


def test_the_longest_prompt_and_the_teachers_responses_fit(task):
    tokenizer = task.tokenizer()
    prompts = [problem.prompt for problem in task.problems("train", 4000)]
    assert max(map(len, tokenizer(prompts)["input_ids"])) == task.longest_prompt
    assert tokenizer.model_max_length == task.context_tokens


@pytest.mark.parametrize("name", GENERATED)
def test_the_response_cap_of_a_task_leaves_room_for_every_demonstration(name, make_config):
    config = make_config(f"task={name}")
    task = get_task(config.task)
    responses = [task.demonstrate(p, random.Random(0)).response for p in task.problems("train", 1000)]
    longest = max(map(len, task.tokenizer()(responses)["input_ids"])) + 1  # end of text
    assert longest < config.rl.max_response_tokens


def test_the_half_right_teacher_errs_in_about_half(task):
    problems = task.problems("train", 1000)
    demonstrate = task.half_right(problems)
    right = sum(demonstrate(problem, random.Random(problem.problem_id)).is_correct for problem in problems)
    assert 400 < right < 600


def test_the_floor_is_low_and_said_in_a_line(task):
    share, line = task.floor(task.problems("test", 100))
    assert 0 < share < 0.35
    assert "on the 100 test questions" in line


def test_an_unknown_task_and_settings_of_another_task_are_refused(make_config):
    config = make_config("task=functions").task
    with pytest.raises(ConfigError, match=r"task\.name is 'sums'; allowed: chains, functions, rows"):
        get_task(dataclasses.replace(config, name="sums"))
    with pytest.raises(ConfigError, match=r"task\.params\.\w+ is not a setting; allowed: digits, min_terms, num_terms"):
        get_task(dataclasses.replace(config, name="chains"))


def test_flaws_change_the_training_tests_and_no_supervised_start(make_config):
    clean, flawed = (make_config("task=functions", f"task.params.flawed_share={share}") for share in (0.0, 0.5))
    assert clean.config_hash != flawed.config_hash
    assert clean.sft_key == flawed.sft_key != ""
    other = make_config("task=functions", "task.params.num_tests=8")
    assert other.sft_key != clean.sft_key
    tasks = [get_task(config.task) for config in (clean, flawed)]
    assert tasks[0].problems("train", 50) != tasks[1].problems("train", 50)
    assert tasks[0].problems("test", 50) == tasks[1].problems("test", 50)
