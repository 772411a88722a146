"""Windows that checkpoints are judged on: beginnings of documents, in an order that no one chose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from models.data.text import Document
from models.errors import InputError

FEWEST = 16
"""Tokens of the shortest window that says anything."""


def in_order(documents: Sequence[Document]) -> list[Document]:
    """Documents in the order of their text's sha256, each text once."""
    unique = {hashlib.sha256(document.text.encode()).digest(): document for document in documents}
    return [unique[key] for key in sorted(unique)]


def first_windows(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int, most: int) -> Tensor:
    """Beginnings of documents that have so many tokens, `[documents, length]`, in the order of their text's sha256.

    Where fewer than two have them, windows are as short as the `most` longest documents need.

    Raises:
        InputError: fewer than two documents have `FEWEST` tokens, and an interval takes two.
    """
    read: list[list[int]] = []
    long: list[list[int]] = []
    for document in in_order(documents):
        read.append(tokenizer(document.text, add_special_tokens=False, verbose=False)["input_ids"])
        long += read[-1:] if len(read[-1]) >= length else []
        if len(long) == most:  # a text may be far longer than what is scored
            break
    lengths = sorted(map(len, read), reverse=True)
    if len(long) < 2:
        length = min(length, next((own for own in lengths[1:most][::-1] if own >= FEWEST), 0))
    if not length:
        raise InputError(
            f"the text has {len(lengths)} document(s), the longest of {lengths[0]:,} tokens; two of at least {FEWEST} "
            "are needed, as an interval takes two; give longer documents with --text"
        )
    return torch.tensor([tokens[:length] for tokens in read if len(tokens) >= length][:most])
