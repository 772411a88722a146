"""Text of the ladder: tokens to train on, and windows that are scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.data.text import Document
from models.data.vocabulary import enough_texts, train_tokenizer
from models.errors import TooLittleText
from models.gpt2 import GPT2Shape
from models.training.train import windows_of


def tokenized(
    training: Sequence[Document], scored: Sequence[Document], shape: GPT2Shape, *, windows: int, most: int
) -> tuple[Tensor, list[Tensor]]:
    """Training tokens `[tokens]` and each scored document's windows `[windows, context]`.

    Args:
        training: documents to train the tokenizer and the models on.
        scored: documents; those too short for their windows are left out.
        shape: of the models; gives vocabulary and context.
        windows: scored ones of a document.
        most: tokens to train on.

    Raises:
        TooLittleText: fewer than two scored documents are long enough.
    """
    tokenizer = train_tokenizer(enough_texts(training), shape.vocabulary)

    def tokens(document: Document) -> Tensor:
        return torch.tensor(tokenizer(document.text, verbose=False)["input_ids"])

    need = windows * shape.positions
    whole = [text for text in map(tokens, scored) if len(text) >= need]
    if len(whole) < 2:
        raise TooLittleText(
            f"{len(whole)} of {len(scored)} scored documents have the {need} tokens that "
            f"{windows} windows of {shape.positions} take; give longer documents"
        )
    return _first_tokens(training, tokens, most), [windows_of(text, shape.positions)[:windows] for text in whole]


def _first_tokens(documents: Sequence[Document], tokens: Callable[[Document], Tensor], most: int) -> Tensor:
    """Tokens of the first documents, at most as many as are asked for: n-gram models count only what is read."""
    parts, length = [], 0
    for document in documents:
        if length >= most:
            break
        parts.append(tokens(document))
        length += len(parts[-1])
    return torch.cat(parts)[:most]
