"""The character tokenizer of the arithmetic task, as an ordinary transformers tokenizer."""

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from klear_core.data.chains import BOX_CLOSE, BOX_OPEN, THINK_CLOSE, THINK_OPEN

PAD, EOS, UNK = "<|pad|>", "<|endoftext|>", "<|unk|>"
_CHARACTERS = "0123456789+-*=;,.:()? \n"


def build_tokenizer(*, max_length: int) -> PreTrainedTokenizerFast:
    """Digits, operators and punctuation are one token a character; the tags and end-of-text are one token each.

    The tags are ordinary added tokens, not special ones, so they survive ``decode(skip_special_tokens=True)``.
    """
    markup = (THINK_OPEN, THINK_CLOSE, BOX_OPEN, BOX_CLOSE)
    vocabulary = {token: index for index, token in enumerate((PAD, EOS, UNK, *markup, *_CHARACTERS))}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
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
