"""The tokenizers of the tasks, each with a closed vocabulary, as ordinary transformers tokenizers."""

import re
from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from klear_core.data import function_code
from klear_core.data.chains import BOX_CLOSE, BOX_OPEN, THINK_CLOSE, THINK_OPEN

PAD, EOS, UNK = "<|pad|>", "<|endoftext|>", "<|unk|>"
_CHARACTERS = "0123456789+-*=;,.:()? \n"


def build_tokenizer(*, max_length: int) -> PreTrainedTokenizerFast:
    """Of chains: digits, operators and punctuation are one token a character, the tags one token each."""
    markup = (THINK_OPEN, THINK_CLOSE, BOX_OPEN, BOX_CLOSE)
    return _closed(_CHARACTERS, markup=markup, pattern=r"[\s\S]", max_length=max_length)


def build_function_tokenizer(*, max_length: int) -> PreTrainedTokenizerFast:
    """Of functions: fragments of prompts and code are one token each; text is cut into the longest that fit."""
    fragments = function_code.tokens()
    pattern = "|".join(re.escape(token) for token in sorted(fragments, key=len, reverse=True))
    markup = (function_code.THINK_OPEN, function_code.THINK_CLOSE)
    return _closed(fragments, markup=markup, pattern=pattern, max_length=max_length)


def _closed(tokens: Sequence[str], *, markup: Sequence[str], pattern: str, max_length: int) -> PreTrainedTokenizerFast:
    """Tokens that ``pattern`` cuts texts into; anything else is unknown.

    The tags are ordinary added tokens, not special ones, so they survive ``decode(skip_special_tokens=True)``.
    """
    vocabulary = {token: index for index, token in enumerate((PAD, EOS, UNK, *markup, *tokens))}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in markup])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNK,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=max_length,
    )
