"""Problems that are read: which ones, which are refused, and what there is none of."""

import json
import os
import random
import time

import pytest

from klear_core.config import TaskConfig
from klear_core.data.tasks import get_task, is_read
from klear_core.errors import ConfigError, DataError

STDIN = {"kind": "stdin", "entry": "", "inputs": ["1\n"], "outputs": ["2"]}


def row(prompt, answer="4", **more):
    return {"prompt": prompt, "answer": answer} | more


def write(path, rows):
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return str(path)


@pytest.fixture
def read(tmp_path):
    """A task of files, each split of which has prompts of its own unless rows are given."""

    def make(**rows):
        given = {split: [row(f"{split} {k}?", str(k)) for k in range(5)] for split in ("train", "validation", "test")}
        params = {split: write(tmp_path / f"{split}.jsonl", found) for split, found in (given | rows).items()}
        return get_task(TaskConfig(name="rows", data_seed=0, train_problems=5, params=params))

    return make


def prompts(task, split, count):
    return [problem.prompt for problem in task.problems(split, count)]


def refused(call, *arguments):
    with pytest.raises(DataError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_first_different_prompts_are_the_problems_in_the_order_of_their_rows(read):
    task = read(train=[row("a?"), row("b?"), row("a?", "5"), row("c?")])
    assert prompts(task, "train", 3) == ["a?", "b?", "c?"]
    assert prompts(task, "train", 1) == ["a?"]
    assert task.problems("train", 1)[0].answer == "4"


def test_every_split_has_its_own_file_and_a_folder_holds_many(read, tmp_path):
    task = read()
    assert [prompts(task, split, 1) for split in ("train", "validation", "test")] == [
        ["train 0?"],
        ["validation 0?"],
        ["test 0?"],
    ]
    (tmp_path / "folder").mkdir()
    for k in range(2):
        write(tmp_path / "folder" / f"{k}.jsonl", [row(f"{k}?")])
    places = {split: str(tmp_path / f"{split}.jsonl") for split in ("validation", "test")}
    params = places | {"train": str(tmp_path / "folder")}
    assert prompts(get_task(TaskConfig(name="rows", data_seed=0, train_problems=1, params=params)), "train", 2) == [
        "0?",
        "1?",
    ]


def test_fewer_prompts_than_were_asked_for_are_refused_with_both_numbers(read, tmp_path):
    told = refused(read(train=[row("a?"), row("a?")]).problems, "train", 2)
    assert told == (
        f"task.params.train is {tmp_path / 'train.jsonl'}, which has 1 different prompts; allowed: at least "
        "task.train_problems = 2"
    )
    assert "at least eval.test_questions = 6" in refused(read().problems, "test", 6)


@pytest.mark.parametrize(
    ("split", "other"), [("train", "validation"), ("train", "test"), ("validation", "test")], ids=str
)
def test_a_question_of_one_split_in_another_is_refused_however_it_is_spaced(read, split, other):
    task = read(**{split: [row("Alone?"), row("What is  2 + 2?")], other: [row("Other?"), row("what is 2 + 2? ")]})
    told = refused(task.problems, split, 2)
    assert f"shares 1 prompts with task.params.{other}, such as 'What is 2 + 2?'; allowed: none" in told
    assert prompts(task, split, 1) == ["Alone?"]  # what is not used does no harm
    assert len(prompts(task, other, 2)) == 2 or (split, other) == ("train", "validation")


@pytest.mark.parametrize("bad", [{"prompt": "q?"}, row("q?", " "), row("q?", "", tests=None)], ids=str)
def test_a_problem_that_nothing_can_grade_is_refused(read, bad):
    told = refused(read(train=[bad]).problems, "train", 1)
    assert "where 'q?' has neither an answer nor tests that can be run" in told


def test_what_holds_no_problems_is_refused_under_the_name_of_its_setting(read, tmp_path):
    assert refused(read(test=[{"prompt": "p", "response": "r"}]).problems, "test", 1) == (
        f"task.params.test: {tmp_path / 'test.jsonl'} holds demonstrations (own-demonstrations); allowed: problems"
    )
    task = read()
    (tmp_path / "test.jsonl").unlink()
    assert "task.params.test: " in refused(task.problems, "train", 1)
    assert "is no file and no folder" in refused(task.problems, "test", 1)
    assert "split is 'dev'; allowed: train, validation, test" in refused(task.problems, "dev", 1)


def test_a_file_that_changes_is_read_again(read, tmp_path):
    task = read()
    assert prompts(task, "train", 1) == ["train 0?"]
    write(tmp_path / "train.jsonl", [row("new?")])
    later = time.time() + 5
    os.utime(tmp_path / "train.jsonl", (later, later))
    assert prompts(task, "train", 1) == ["new?"]


def test_there_is_no_teacher_and_no_tokenizer_and_the_line_says_what_to_set(read):
    task = read()
    problems = task.problems("train", 2)
    for call, arguments in (
        (task.demonstrate, (problems[0], random.Random(0))),
        (task.writer, ("clean", 0.9, problems)),
        (task.half_right, (problems,)),
    ):
        assert "set sft_mix=rows sft_mix.params.path=<demonstrations>" in refused(call, *arguments)
    assert "no reference solver" in refused(task.solver, 0.9, problems)
    assert "set sft.checkpoint=<model folder>" in refused(task.tokenizer)
    assert is_read(task)
    assert (task.sources, task.context_tokens, task.longest_prompt) == ((), None, None)


def test_the_floor_is_the_most_common_answer_and_no_program(read):
    task = read(test=[row("a?", "1"), row("b?", "2"), row("c?", "2"), row("d?", "", tests=STDIN)])
    share, told = task.floor(task.problems("test", 4))
    assert share == 0.5
    assert told == "always answering 2 on the 4 test questions, 1 of which are decided by tests that no program was " \
        "tried on"  # fmt: skip
    share, told = task.floor(task.problems("test", 4)[3:])
    assert share == 0.0
    assert told == "no program was tried on the 1 test questions, which are all decided by tests"
    share, told = task.floor(task.problems("test", 3))
    assert (share, told) == (2 / 3, "always answering 2 on the 3 test questions")


def test_settings_that_are_missing_or_empty_are_refused():
    config = TaskConfig(
        name="rows", data_seed=0, train_problems=1, params={"train": " ", "validation": "v", "test": "t"}
    )
    with pytest.raises(ConfigError, match=r"task\.params\.train is ' '; allowed: a file, a folder of files, or hub:"):
        get_task(config)
