"""Comparison of two tokenizers by how they cut text: equal vocabularies can have other merges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from models.errors import InputError
from models.load import Decoder

LINE = 32
"""Tokens of the vocabulary that are put into one line of text."""
START = "a\n"
"""Goes before each text: tokenizers differ in whether they put a space before the first word, which decides nothing."""
START_TOKENS = 3
"""Tokens that it takes at most, one of them the space."""


def check_same_tokenizer(dense: Decoder, compressed: Decoder, texts: Sequence[str] = ()) -> None:
    """Refuse a checkpoint that reads the dense model's text as other tokens: it was trained on those.

    Vocabularies are compared up to the last token that the dense model can predict (conversions add special ones
    behind it), and cuts on the given texts and on every ordinary token of the vocabulary, 32 to a line.

    Args:
        dense: the dense model.
        compressed: the checkpoint.
        texts: that are scored.

    Raises:
        InputError: tokens of another number, or the first text that is cut otherwise, and how.
    """
    ours, theirs = (_vocabulary(decoder.tokenizer, dense.head.weight.shape[0]) for decoder in (dense, compressed))
    if ours != theirs:
        names = ", ".join(repr(token) for token, _ in sorted(ours.items() ^ theirs.items())[:3])
        raise InputError(
            f"{dense.name} has {len(ours):,} tokens and {compressed.name} {len(theirs):,}, and they differ (in "
            f"{names}, for instance); a divergence between distributions over other tokens means nothing"
        )
    for text in (*texts, *_lines(ours, dense.tokenizer, compressed.tokenizer)):
        mine, other = (_tokens(decoder.tokenizer, text) for decoder in (dense, compressed))
        if mine != other:
            cuts = [dense.tokenizer.convert_ids_to_tokens(cut) for cut in _first_difference(mine, other)]
            raise InputError(
                f"{dense.name} and {compressed.name} have one vocabulary and cut text otherwise ({cuts[0]} and "
                f"{cuts[1]}, for instance); give the checkpoint the tokenizer that it was made with, or another dense "
                "model"
            )


def _vocabulary(tokenizer: PreTrainedTokenizerBase, outputs: int) -> dict[str, int]:
    return {token: number for token, number in tokenizer.get_vocab().items() if number < outputs}


def _first_difference(one: list[int], other: list[int]) -> tuple[list[int], list[int]]:
    """Three tokens of each from where they part."""
    alike = [a == b for a, b in zip(one, other, strict=False)]
    place = alike.index(False) if False in alike else len(alike)
    return one[place : place + 3], other[place : place + 3]


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    tokens = tokenizer(START + text, add_special_tokens=False, verbose=False)["input_ids"]
    first = len(tokenizer(START, add_special_tokens=False, verbose=False)["input_ids"])
    return tokens[min(first, START_TOKENS) :]


def _lines(vocabulary: dict[str, int], *tokenizers: Any) -> list[str]:
    """Every token that is special to neither tokenizer, as text, some to a line."""
    special = {token for each in tokenizers for token in (*each.get_added_vocab(), *each.all_special_tokens)}
    numbers = sorted(number for token, number in vocabulary.items() if token not in special)
    words = [str(tokenizers[0].decode([number])) for number in numbers]
    return [" ".join(words[start : start + LINE]) for start in range(0, len(words), LINE)]
