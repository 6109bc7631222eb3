import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.data.mixes.decontaminate import NgramIndex
from klear_core.data.mixes.text import folded, words
from tests.klear_core.data.mixes.examples import apply, context, demonstration

ROOT = Path(__file__).resolve().parents[4]
QUESTION_FILES = ("aime24.qs.jsonl", "aime25.qs.jsonl", "HMMT-202502.jsonl")
FEW_WORDS = st.lists(st.sampled_from("abc"), max_size=14)


def runs(text, ngram):
    spoken = words(text)
    return {tuple(spoken[start : start + ngram]) for start in range(len(spoken) - ngram + 1)}


def oracle(questions, prompt, ngram):
    """By the definition, without any index."""
    found = []
    for index, question in enumerate(questions):
        short = len(words(prompt)) < ngram or len(words(question)) < ngram
        if (folded(prompt) == folded(question)) if short else (runs(prompt, ngram) & runs(question, ngram)):
            found.append(index)
    return tuple(found)


def benchmark_questions():
    folder = Path(os.environ.get("KLEAR_QUESTIONS", ROOT.parent / "shared" / "data"))
    if absent := [name for name in QUESTION_FILES if not (folder / name).is_file()]:
        pytest.skip(f"{folder} has no {', '.join(absent)}; KLEAR_QUESTIONS names another folder")
    lines = {name: (folder / name).read_text(encoding="utf-8").splitlines() for name in QUESTION_FILES}
    return {name: [json.loads(row)["messages"][0]["content"] for row in rows] for name, rows in lines.items()}


@given(st.lists(FEW_WORDS, max_size=4), FEW_WORDS, st.integers(1, 10))
def test_it_finds_what_the_definition_finds(questions, prompt, ngram):
    questions, prompt = [" ".join(question) for question in questions], " ".join(prompt)
    index = NgramIndex(questions, ngram)
    assert index.which(prompt) == oracle(questions, prompt, ngram)
    assert index.hits(prompt) == bool(index.which(prompt))


@given(st.data(), st.integers(0, 30), st.integers(0, 30), st.integers(9, 40), st.integers(0, 31))
def test_nine_planted_words_are_found_and_eight_never(data, before, after, length, start):
    question = [f"q{k}" for k in range(length)]
    start = min(start, length - 9)
    joint = data.draw(st.sampled_from([" ", "  ", "\n", ", ", " $\\", "-"]))
    around = [f"p{k}" for k in range(before)], [f"r{k}" for k in range(after)]
    index = NgramIndex([joint.join(question)], 9)
    for size in (9, 8):
        planted = [word.upper() for word in question[start : start + size]]
        assert index.hits(" ".join([*around[0], *planted, *around[1]])) == (size == 9)


def test_a_short_question_is_hit_by_its_whole_text_only():
    index = NgramIndex(["3+4="], 9)
    assert index.hits(" 3+4=\n")
    assert index.hits("３+4=")
    assert not any(
        index.hits(prompt) for prompt in ("3*4=", "3+4", "3 + 4 =", "13+4=", "Now say what 3+4= is worth", "")
    )


def test_a_short_text_and_a_long_one_do_not_hit_each_other():
    long = "one two three four five six seven eight nine ten"
    assert not NgramIndex([long], 9).hits("one two three four five six seven eight")
    assert not NgramIndex(["one two three"], 9).hits(long)


def test_words_do_not_run_into_each_other():
    assert not NgramIndex(["a b c"], 3).hits("a bc d e")
    assert not NgramIndex(["a_b c d"], 3).hits("a b c d")


def test_a_run_below_one_word_is_refused():
    with pytest.raises(ValueError, match="ngram is 0; allowed: 1 or more"):
        NgramIndex([], 0)


def test_exactly_the_planted_overlaps_are_dropped_and_counted():
    draw = random.Random(0)
    vocabulary = [f"w{k}" for k in range(500)]
    questions = [" ".join(draw.choices(vocabulary, k=30)) for _ in range(20)]
    clean = [demonstration(" ".join(draw.choices(vocabulary, k=50))) for _ in range(300)]
    planted = [demonstration(f"Please {questions[k % 3][:120]} now") for k in range(7)]
    mixed = [*clean, *planted]
    draw.shuffle(mixed)
    kept, details = apply("decontaminate", mixed, context(questions=questions), ngram=9)
    assert kept == [example for example in mixed if example not in planted]
    assert (details["dropped"], details["questions"]) == (7, 20)
    assert [(row["question"], row["demonstrations"]) for row in details["hit"]] == [(0, 3), (1, 2), (2, 2)]
    assert details["hit"][0]["begins"] == questions[0][:80]
    assert apply("decontaminate", kept, context(questions=questions), ngram=9)[0] == kept


def test_without_questions_nothing_is_dropped():
    assert apply("decontaminate", [demonstration("")], ngram=9)[1] == {"dropped": 0, "questions": 0, "hit": []}


def test_every_question_of_the_benchmarks_is_found_when_it_is_planted():
    questions = [question for some in benchmark_questions().values() for question in some]
    index = NgramIndex(questions, 9)
    draw = random.Random(0)
    made_up = [" ".join(f"{draw.choice('abcdefgh')}{draw.randrange(99)}" for _ in range(60)) for _ in range(2000)]
    assert not any(index.hits(prompt) for prompt in made_up)
    for place, question in enumerate(questions):
        spaced = "".join("\n  " if character == " " else character for character in question)
        for planted in (question, question.upper(), spaced, f"{made_up[0]} {question}\n{made_up[1]}"):
            assert place in index.which(planted)


def test_the_benchmarks_share_turns_of_phrase_and_no_question():
    by_file = benchmark_questions()

    def hit(name, others, ngram):
        index = NgramIndex([question for other in others for question in by_file[other]], ngram)
        return sum(index.hits(question) for question in by_file[name])

    aime24, aime25, hmmt = QUESTION_FILES
    assert hit(hmmt, [aime24, aime25], 9) == 0
    # "where m and n are relatively prime positive integers" and the like: 19 words in a row at most, and no question.
    assert (hit(aime24, [aime25], 9), hit(aime25, [aime24], 9)) == (7, 10)
    assert hit(aime24, [aime25], 20) == 0
