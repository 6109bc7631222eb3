import hashlib
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from klear_core.data.mixes.embed import ngram_embeddings, sentence_embeddings
from klear_core.data.mixes.text import folded, words
from klear_core.errors import DataError

TEXTS = ["Find the sum of all primes below 20.", "Write a program that sorts a list.", "", "naïve ｆｕｌｌ width", "a"]


def features(text):
    """The features of a text with their counts, by the definition."""
    spoken, spelled = words(text), f" {folded(text)} ".encode()
    found = [*spoken, *itertools.pairwise(spoken)]
    found += [spelled[k : k + n] for n in (3, 4) for k in range(len(spelled) - n + 1)]
    return {feature: found.count(feature) for feature in found}


def test_rows_are_float32_of_length_one_and_without_features_zero():
    embeddings = ngram_embeddings(TEXTS, dimensions=384)
    assert embeddings.shape == (5, 384)
    assert embeddings.dtype == torch.float32
    assert torch.allclose(embeddings.norm(dim=1), torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0]))
    assert ngram_embeddings([], dimensions=3).shape == (0, 3)


def test_similarity_is_that_of_the_features_themselves():
    # In so many dimensions hardly any two features meet.
    left, right = ngram_embeddings(["the sum of the sum", "the sum of a list"], dimensions=1 << 20).double()
    a, b = features("the sum of the sum"), features("the sum of a list")
    dot = sum(math.sqrt(a[key] * b[key]) for key in a if key in b)
    expected = dot / math.sqrt(sum(a.values()) * sum(b.values()))
    assert float(left @ right) == pytest.approx(expected, abs=2e-3)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.sampled_from([1, 7, 64]))
def test_a_text_does_not_depend_on_those_beside_it(texts, dimensions):
    together = ngram_embeddings(texts, dimensions=dimensions)
    alone = torch.cat([ngram_embeddings([text], dimensions=dimensions) for text in texts])
    assert torch.equal(together, alone)


def test_a_batch_has_no_seam():
    texts = [f"text {k} of many" for k in range(600)]
    assert torch.equal(ngram_embeddings(texts, dimensions=16)[255:258], ngram_embeddings(texts[255:258], dimensions=16))


def test_case_whitespace_and_compatibility_forms_do_not_count():
    left, right = ngram_embeddings(["Two  WORDS", "two ｗords"], dimensions=64)
    assert torch.equal(left, right)


def test_like_prompts_lie_nearer_than_unlike_ones():
    base, like, unlike = ngram_embeddings(
        ["What is the sum of 17 and 25?", "What is the sum of 18 and 26?", "Write code that reverses a linked list."],
        dimensions=384,
    )
    assert (base - like).norm() < 0.8 < 1.2 < (base - unlike).norm()


def test_the_bytes_are_the_same_on_every_machine():
    found = ngram_embeddings(TEXTS, dimensions=48).numpy().astype("<f4").tobytes()
    assert hashlib.sha256(found).hexdigest()[:16] == "4b532d405a8de1db"


def test_no_dimension_is_refused():
    with pytest.raises(ValueError, match="dimensions is 0; allowed: 1 or more"):
        ngram_embeddings(["a"], dimensions=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from transformers import LlamaConfig, LlamaModel

    from klear_core.data.tokenizer import build_tokenizer

    path = tmp_path_factory.mktemp("model")
    tokenizer = build_tokenizer(max_length=128)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    shape |= {"num_attention_heads": 2, "num_key_value_heads": 2}
    LlamaModel(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=32, **shape)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_a_sentence_is_the_mean_of_its_tokens_whatever_is_beside_it(folder):
    from transformers import AutoModel, AutoTokenizer

    texts = ["3+4=", "3*4-5+6*7=", "9-2="]
    found = sentence_embeddings(texts, folder=str(folder))
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, row in zip(texts, found, strict=True):
        with torch.no_grad():
            states = model(input_ids=tokenizer(text, return_tensors="pt").input_ids).last_hidden_state[0]
        assert torch.allclose(row, torch.nn.functional.normalize(states.mean(0), dim=0), atol=1e-5)


def test_a_long_sentence_is_cut_and_an_empty_list_is_none(folder):
    found = sentence_embeddings(["1+" * 40 + "1", "1+" * 40 + "2"], folder=str(folder))
    assert found.shape == (2, 16)
    assert torch.equal(found[0], found[1])  # what differs lies behind the 32 tokens that the model takes
    assert sentence_embeddings([], folder=str(folder)).shape == (0, 16)


def test_a_folder_without_a_model_is_an_error_in_one_line(tmp_path):
    with pytest.raises(DataError, match=r"names the folder .*absent, which has no config.json; allowed: a saved model"):
        sentence_embeddings(["a"], folder=str(tmp_path / "absent"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="is no model") as caught:
        sentence_embeddings(["a"], folder=str(tmp_path))
    assert "\n" not in str(caught.value)
