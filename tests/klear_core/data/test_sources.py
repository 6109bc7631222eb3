"""The generated sources of every task: what each does wrong, and nothing else."""

import random

import pytest

from klear_core.data.chain_sources import WRITERS as CHAIN_WRITERS
from klear_core.data.chains import Step, apply
from klear_core.data.function_sources import WRITERS as FUNCTION_WRITERS
from klear_core.data.functions import evaluate, parse
from klear_core.data.tasks import get_task
from klear_core.records import Completion, FinishReason
from klear_core.rewards.format import check_form

STEPS = [Step(left=3, operator="+", right=4, result=7), Step(left=7, operator="*", right=7, result=9)]
STEPS += [Step(left=9, operator="-", right=2, result=7)]
CLEAN = "<think>3+4=7;7*7=9;9-2=7</think>\\boxed{7}"


def written(source, times=400):
    rng = random.Random(source)
    return [CHAIN_WRITERS[source](STEPS, rng) for _ in range(times)]


def as_sampled(text):
    return Completion(token_ids=(1,), logprobs=(0.0,), entropies=None, text=text, finish_reason=FinishReason.STOP)


@pytest.fixture(params=["chains", "functions"])
def task(request, make_config):
    return get_task(make_config(f"task={request.param}").task)


def test_a_clean_trace_shows_every_step():
    assert set(written("clean")) == {CLEAN}


def test_skipped_steps_are_left_out_and_those_that_stay_are_right():
    texts = set(written("skipped"))
    inner = {"3+4=7;7*7=9;9-2=7", "3+4=7;9-2=7", "7*7=9;9-2=7", "9-2=7"}
    assert texts == {f"<think>{each}</think>\\boxed{{7}}" for each in inner}


def test_a_foreign_trace_says_the_same_the_other_way_round():
    assert set(written("foreign")) == {"<think>7=3+4;9=7*7;7=9-2</think>\\boxed{7}"}


def test_wrong_steps_show_wrong_digits_and_go_on_from_the_right_ones():
    wrong = 0
    for text in written("wrong_steps"):
        trace, answer = text.removeprefix("<think>").split("</think>")
        first, second, last = trace.split(";")
        assert (first[:4], second[:4], last, answer) == ("3+4=", "7*7=", "9-2=7", "\\boxed{7}")
        wrong += (first[4] != "7") + (second[4] != "9")
    assert 320 < wrong < 480  # of 800


def test_half_of_the_truncated_are_cut_before_their_reasoning_ends():
    texts = written("truncated")
    cut = [text for text in texts if text != CLEAN]
    assert 150 < len(cut) < 250
    assert all(CLEAN.startswith(text) and "</think>" not in text and len(text) > len("<think>") for text in cut)


def test_half_of_the_wrong_answers_have_another_digit_behind_a_right_trace():
    texts = written("wrong_answers")
    wrong = [text for text in texts if text != CLEAN]
    assert 150 < len(wrong) < 250
    assert all(text[:-2] == CLEAN[:-2] and text[-2] in "012345689" for text in wrong)


@pytest.mark.parametrize("name", FUNCTION_WRITERS)
def test_a_program_is_called_right_when_it_is(name):
    truth = parse("f(x): x<3: double, add 4; x<9: cap 5; else: mod 4")
    rng = random.Random(name)
    told = [FUNCTION_WRITERS[name](truth, truth, rng) for _ in range(200)]
    share = sum(right for _, right in told) / len(told)
    assert share == 1 if name not in ("truncated", "wrong_answers") else 0.35 < share < 0.7
    for response, right in told:
        if "\n```python" in response and response.endswith("\n```"):
            scope = {}
            exec(response.split("```python")[1].removesuffix("```"), scope)
            assert all(scope["f"](x) == evaluate(truth, x) for x in range(-9, 19)) == right
        else:
            assert not right


def test_every_source_is_made_of_the_tasks_tokens_and_fits_its_cap(task, make_config):
    tokenizer, drawn = task.tokenizer(), task.problems("train", 150)
    for source in task.sources:
        write = task.writer(source, 0.8, drawn)
        texts = [write(problem, random.Random(f"{source}/{problem.problem_id}")).response for problem in drawn]
        ids = tokenizer(texts)["input_ids"]
        assert tokenizer.batch_decode(ids, skip_special_tokens=True) == texts, source
        assert tokenizer.unk_token_id not in {token for row in ids for token in row}, source
        assert max(map(len, ids)) < 64, source  # what the sweeps allow an answer


def test_a_demonstration_says_its_source_and_whether_its_answer_is_right(task):
    drawn = task.problems("train", 300)
    for source in task.sources:
        write = task.writer(source, 1.0, drawn)
        examples = [write(problem, random.Random(f"{source}/{problem.problem_id}")) for problem in drawn]
        assert {example.source for example in examples} == {source}
        right = sum(example.is_correct for example in examples) / len(examples)
        assert right == 1 if source not in ("truncated", "wrong_answers") else 0.35 < right < 0.65, source
        if source == "clean":
            assert all(check_form(as_sampled(example.response)).fault is None for example in examples)


def test_a_writers_accuracy_is_the_one_asked_for(task):
    drawn = task.problems("train", 1000)
    write = task.writer("clean", 0.6, drawn)
    right = sum(write(problem, random.Random(problem.problem_id)).is_correct for problem in drawn)
    assert 540 < right < 680  # a mistake may be without effect


def test_the_known_answer_of_a_step_is_that_of_the_chain():
    assert [apply(step.operator, step.left, step.right) for step in STEPS] == [step.result for step in STEPS]
