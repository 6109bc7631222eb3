import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.data.chain_solver import mean_accuracy, mistakes_for_accuracy
from klear_core.data.chain_task import LIMITS, ChainMistakes, ChainSettings, ChainTask
from klear_core.data.chain_working import longest_working, working
from klear_core.data.chains import apply, attempt, demonstrate, draw_problem, parse, problems, solve
from klear_core.errors import DataError

NUMBERS = st.integers(0, 999)


def equations(text):
    return [tuple(part.split("=")) for part in text.split(",")]


def deciding(operator, digits):
    """Places of the columns that decide a digit of the result, the lowest first."""
    if operator != "*":
        return list(range(digits))
    # A row of `digits - place` products, then a sum with as many columns, whose lowest is final.
    places, at = [0], digits
    for place in range(1, digits):
        places.append(at + digits - place)
        at += 2 * (digits - place)
    return places


@given(left=NUMBERS, right=NUMBERS, wrong=NUMBERS, operator=st.sampled_from("+-*"), digits=st.sampled_from([2, 3]))
def test_columns_spell_the_result_and_are_all_true_only_when_it_is(left, right, wrong, operator, digits):
    left, right, wrong = (number % 10**digits for number in (left, right, wrong))
    truth = apply(operator, left, right, digits=digits)
    for result in (truth, wrong):
        columns = equations(working(left, operator, right, result, digits=digits))
        spelled = [columns[place][1][-1] for place in deciding(operator, digits)]
        assert int("".join(reversed(spelled))) == result
        assert all(eval(asked) == int(shown) for asked, shown in columns) == (result == truth)


@given(left=NUMBERS, right=NUMBERS, operator=st.sampled_from("+-*"), digits=st.sampled_from([2, 3]))
def test_every_column_is_small_arithmetic(left, right, operator, digits):
    left, right = left % 10**digits, right % 10**digits
    text = working(left, operator, right, apply(operator, left, right, digits=digits), digits=digits)
    assert len(text) <= longest_working(digits)
    assert all(re.fullmatch(r"1?\d[-+]\d(\+1|-1)?|\d\*\d(\+\d)?", asked) for asked, _ in equations(text))


@given(seed=st.integers(0, 9), index=st.integers(0, 999), terms=st.integers(2, 16), digits=st.sampled_from([2, 3]))
def test_the_answer_of_a_long_chain_is_what_python_makes_of_it(seed, index, terms, digits):
    problem = draw_problem(data_seed=seed, split="train", index=index, num_terms=terms, digits=digits)
    value, steps = parse(problem.prompt, digits=digits)
    for operator, number in steps:
        value = eval(f"{value}{operator}{number}") % 10**digits
    assert problem.answer == str(value) == str(solve(problem.prompt, digits=digits))
    assert problem.difficulty == terms - 1 + problem.prompt.count("*")


@pytest.mark.parametrize("text", ["", "47+=", "100+4=", "047+1=", "4/7=", "-4+7="])
def test_what_is_not_a_chain_of_two_digits_is_refused(text):
    with pytest.raises(DataError, match="is not a chain of numbers of up to 2 digits"):
        solve(text, digits=2)


def test_chains_of_one_digit_are_those_that_they_always_were():
    draw = {"data_seed": 0, "num_terms": 4}
    assert [draw_problem(split="train", index=k, **draw).prompt for k in range(3)] == [
        "0-4+2+7=",
        "4*4*6+8=",
        "8+6*4+6=",
    ]
    # Long ones are other problems, not the same with longer numbers.
    assert problems(split="test", count=3, digits=2, **draw) != problems(split="test", count=3, **draw)


def make(**changes):
    settings = {
        "num_terms": 6,
        "min_terms": 3,
        "digits": 2,
        "teacher_mistakes": ChainMistakes(add=0.1, sub=0.1, mul=0.3),
    }
    return ChainTask(0, ChainSettings(**settings | changes))


@pytest.mark.parametrize("digits", [2, 3])
def test_demonstrations_of_long_numbers_are_tokens_and_fit_the_stated_lengths(digits):
    task = make(digits=digits)
    tokenizer, drawn = task.tokenizer(), task.problems("train", 400)
    for source in task.sources:
        write = task.writer(source, 0.8, drawn[:50])
        texts = [write(problem, random.Random(problem.problem_id)).response for problem in drawn[:100]]
        ids = tokenizer(texts)["input_ids"]
        assert tokenizer.batch_decode(ids, skip_special_tokens=True) == texts, source
        assert tokenizer.unk_token_id not in {token for row in ids for token in row}, source
        assert max(map(len, ids)) < task.longest_response, source
    assert max(map(len, tokenizer([problem.prompt for problem in drawn])["input_ids"])) <= task.longest_prompt
    assert task.longest_prompt + task.longest_response <= task.context_tokens


def test_the_context_is_128_wherever_that_is_enough():
    assert {make(digits=1, num_terms=terms).context_tokens for terms in range(3, 17)} == {128}
    assert (make().context_tokens, make(digits=3).context_tokens) == (256, 512)
    assert LIMITS["num_terms"][0](16) and not LIMITS["num_terms"][0](17)


def test_a_teacher_of_long_numbers_without_mistakes_is_right():
    for problem in problems(data_seed=1, split="train", count=50, num_terms=5, digits=3):
        example = demonstrate(problem, mistakes=dict.fromkeys("+-*", 0.0), rng=random.Random(0), digits=3)
        assert example.is_correct
        assert example.response.endswith(f"={problem.answer}</think>\\boxed{{{problem.answer}}}")


def test_the_accuracy_of_long_numbers_is_what_many_attempts_give():
    drawn = problems(data_seed=4, split="train", count=200, num_terms=5, min_terms=3, digits=2)
    mistakes = mistakes_for_accuracy(0.5, mistakes={"+": 0.1, "-": 0.1, "*": 0.3}, problems=drawn, digits=2)
    assert mean_accuracy(drawn, mistakes, digits=2) == pytest.approx(0.5, abs=1e-6)
    rng = random.Random(0)
    tries = [
        attempt(p, mistakes=mistakes, rng=rng, digits=2)[-1].result == int(p.answer) for p in drawn for _ in range(40)
    ]
    assert sum(tries) / len(tries) == pytest.approx(0.5, abs=0.015)
