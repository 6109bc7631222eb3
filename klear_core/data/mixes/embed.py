"""Embeddings of prompts: hashed n-grams, which need no model, or sentence embeddings of a local model."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from klear_core.data.mixes.text import folded, words
from klear_core.errors import DataError

_HASH_BITS = np.uint64(56)  # of a feature; the other 8 number the texts that are embedded at once
_BATCH = 1 << 8
_CHARACTERS = (3, 4)  # lengths of the character n-grams, in bytes of UTF-8
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, made odd: consecutive numbers spread over the range
_WEIGHT = 256  # a count of 1 in the unit of weights
_KNOWN_WORDS = 1 << 18  # remembered at a time
_SENTENCE_BATCH = 32
_LONGEST_SENTENCE = 512  # tokens, where a model says nothing


def ngram_embeddings(texts: Sequence[str], *, dimensions: int) -> Tensor:
    """[texts, ``dimensions``] float32: signed feature hashing of words, word pairs and character 3- and 4-grams.

    Feature f goes to dimension hash(f) mod D with a sign of another bit of the hash (Weinberger et al. 2009,
    arXiv 0902.2206) and the weight sqrt(count of f in the text); rows have Euclidean length 1, that of a text without
    features is 0.  Texts are taken in NFKC and lower case.  Weights are multiples of 1/256, so sums are exact in
    any order and the result is the same on every machine.  ValueError when ``dimensions`` is below 1.
    """
    if dimensions < 1:
        raise ValueError(f"dimensions is {dimensions}; allowed: 1 or more")
    embeddings_MD = np.zeros((len(texts), dimensions), dtype=np.float32)
    known: dict[str, int] = {}
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        sums_BD = _hashed(batch, known, dimensions)
        lengths_B1 = np.sqrt((sums_BD**2).sum(1, keepdims=True).astype(np.float64))
        embeddings_MD[start : start + len(batch)] = sums_BD / np.maximum(lengths_B1, 1)
    return torch.from_numpy(embeddings_MD)


def sentence_embeddings(texts: Sequence[str], *, folder: str) -> Tensor:
    """[texts, hidden size] float32 of length 1: the mean of a transformers model's last states over a text's tokens.

    ``folder`` is a local one with the model and its tokenizer; nothing is downloaded and no code of it is run.  Longer
    texts are cut at the model's length, 512 where it names none.  DataError when there is no such model.
    """
    model, tokenizer = _load(folder)
    longest = min(int(tokenizer.model_max_length), _longest(model.config))
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))  # neighbours are padded to one length
    embeddings_MD = torch.zeros(len(texts), int(model.config.hidden_size))
    for start in range(0, len(order), _SENTENCE_BATCH):
        chosen = order[start : start + _SENTENCE_BATCH]
        inputs = tokenizer(
            [texts[index] for index in chosen], padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            states_NLD = model(**inputs).last_hidden_state.float()
        mask_NL1 = inputs["attention_mask"].unsqueeze(-1).float()
        mean_ND = (states_NLD * mask_NL1).sum(1) / mask_NL1.sum(1).clamp(min=1)
        embeddings_MD[chosen] = torch.nn.functional.normalize(mean_ND, dim=1)
    return embeddings_MD


def _longest(config: Any) -> int:
    return int(getattr(config, "max_position_embeddings", None) or _LONGEST_SENTENCE)


def _load(folder: str) -> tuple[Any, Any]:
    if not (Path(folder) / "config.json").is_file():
        raise DataError(f"sample.embedding names the folder {folder}, which has no config.json; allowed: a saved model")
    from transformers import AutoModel, AutoTokenizer

    try:
        model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise DataError(f"sample.embedding: {folder} is no model: {' '.join(str(error).split())[:200]}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.eval(), tokenizer


def _hashed(texts: Sequence[str], known: dict[str, int], dimensions: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """[texts, dimensions]: the weights of each text's features, summed with their signs."""
    rows_F, hashes_F = _features(texts, known)
    # One number holds text and hash, so a plain sort brings equal features of a text together.
    keys_F = np.sort((rows_F.astype(np.uint64) << _HASH_BITS) | (hashes_F >> (np.uint64(64) - _HASH_BITS)))
    is_new_F = np.ones(len(keys_F), dtype=bool)
    is_new_F[1:] = keys_F[1:] != keys_F[:-1]
    firsts = np.flatnonzero(is_new_F)
    weights = np.rint(_WEIGHT * np.sqrt(np.diff(np.append(firsts, len(keys_F))).astype(np.float64)))
    keys = keys_F[firsts]
    signs = 1.0 - 2.0 * (keys & np.uint64(1)).astype(np.float64)
    numbers = (keys & ((np.uint64(1) << _HASH_BITS) - np.uint64(1))) >> np.uint64(1)
    places = (keys >> _HASH_BITS).astype(np.int64) * dimensions + (numbers % np.uint64(dimensions)).astype(np.int64)
    sums = np.bincount(places, weights=signs * weights, minlength=len(texts) * dimensions)
    return sums.astype(np.int64).reshape(len(texts), dimensions)


def _features(texts: Sequence[str], known: dict[str, int]) -> tuple[Any, Any]:
    """(text, hash) of every feature of every text."""
    pieces = list(_word_features(texts, known))
    spelled = [f" {folded(text)} ".encode("utf-8", "surrogatepass") for text in texts]
    rows_Y = np.repeat(np.arange(len(texts)), [len(text) for text in spelled])
    bytes_Y = np.frombuffer(b"".join(spelled), dtype=np.uint8).astype(np.uint64)
    for length in _CHARACTERS:
        size = max(0, len(bytes_Y) - length + 1)
        gram = np.full(size, length, dtype=np.uint64)
        for offset in range(length):
            gram = (gram << np.uint64(8)) | bytes_Y[offset : offset + size]
        inside = rows_Y[:size] == rows_Y[length - 1 : length - 1 + size]  # no n-gram runs into the next text
        pieces.append((rows_Y[:size][inside], _mixed(gram[inside])))
    return np.concatenate([rows for rows, _ in pieces]), np.concatenate([hashes for _, hashes in pieces])


def _word_features(texts: Sequence[str], known: dict[str, int]) -> Iterator[tuple[Any, Any]]:
    """Words and pairs of neighbours."""
    spoken = [words(text) for text in texts]
    if len(known) > _KNOWN_WORDS:
        known.clear()
    for word in {word for each in spoken for word in each}.difference(known):
        name = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        known[word] = int.from_bytes(name, "big")
    rows_W = np.repeat(np.arange(len(texts)), [len(each) for each in spoken])
    words_W = np.array([known[word] for each in spoken for word in each], dtype=np.uint64)
    yield rows_W, _mixed(words_W)
    inside = rows_W[1:] == rows_W[:-1]
    yield rows_W[1:][inside], _mixed(words_W[:-1] * _ODD + words_W[1:])[inside]


def _mixed(values: Any) -> Any:
    """A bijection of 64-bit numbers after which every bit depends on all."""
    for shift in (32, 29, 32):
        values = (values ^ (values >> np.uint64(shift))) * _ODD
    return values ^ (values >> np.uint64(32))
