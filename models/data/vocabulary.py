"""A byte-level BPE tokenizer trained on the spot, for models that are."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from models.data.text import END_OF_TEXT, Document
from models.errors import TooLittleText

BYTES = 256
ENOUGH_CHARACTERS = 20_000_000
"""Characters of training text that are enough to choose a vocabulary by."""


def enough_texts(documents: Iterable[Document]) -> list[str]:
    """The first documents' texts, as many as it takes to choose a vocabulary by."""
    sample, taken = [], 0
    for document in documents:
        if taken >= ENOUGH_CHARACTERS:
            break
        sample.append(document.text)
        taken += len(document.text)
    return sample


def train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A GPT-2-style tokenizer with `size` tokens, `<|endoftext|>` among them; every text can be written in it.

    Raises:
        ValueError: fewer tokens than bytes.
        TooLittleText: the text does not give that many.
    """
    if size <= BYTES:
        raise ValueError(f"a vocabulary of {size} has no room for {BYTES} bytes and {END_OF_TEXT}; give at least 257")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END_OF_TEXT],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    if (actual := tokenizer.get_vocab_size()) != size:
        raise TooLittleText(f"the text gives {actual} tokens and not {size}; give more text or a smaller vocabulary")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT, bos_token=END_OF_TEXT)
