import random

from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from klear_core.data.chains import demonstrate, problems
from klear_core.data.tokenizer import EOS, build_tokenizer

TOKENIZER = build_tokenizer(max_length=128)
MARKUP = ["<think>", "</think>", "\\boxed{", "}"]


def test_tags_and_end_of_text_are_one_token_each_and_survive_decoding():
    for token in [*MARKUP, EOS]:
        assert len(TOKENIZER(token)["input_ids"]) == 1
    for token in MARKUP:
        ids = TOKENIZER(f"1{token}2")["input_ids"]
        assert len(ids) == 3
        assert TOKENIZER.decode(ids, skip_special_tokens=True) == f"1{token}2"
    assert TOKENIZER.decode(TOKENIZER(f"7{EOS}")["input_ids"]) == f"7{EOS}"
    assert TOKENIZER.decode(TOKENIZER(f"7{EOS}")["input_ids"], skip_special_tokens=True) == "7"


@given(st.lists(st.sampled_from([*MARKUP, *"0123456789+-*=;,.:()? \n"]), max_size=40))
def test_encoding_round_trips_one_token_a_character(pieces):
    ids = TOKENIZER("".join(pieces))["input_ids"]
    assert TOKENIZER.decode(ids) == "".join(pieces)
    assert len(ids) == len(pieces)


def test_responses_stay_within_26_tokens_and_nothing_is_unknown():
    rng = random.Random(0)
    for problem in problems(data_seed=0, split="train", count=100, num_terms=4):
        example = demonstrate(problem, mistakes={"+": 0, "-": 0, "*": 0.5}, rng=rng)
        ids = TOKENIZER(example.response + EOS)["input_ids"]
        assert len(ids) <= 26
        assert TOKENIZER.unk_token_id not in TOKENIZER(example.prompt)["input_ids"] + ids


def test_a_saved_tokenizer_loads_with_nothing_of_ours(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "3+4=<think>3+4=7</think>\\boxed{7}"
    assert loaded(text)["input_ids"] == TOKENIZER(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) == text
    assert (loaded.eos_token_id, loaded.pad_token_id) == (TOKENIZER.eos_token_id, TOKENIZER.pad_token_id)
