"""Text of the ladder: tokens to train on, windows that choose settings, and windows that are scored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from models.data.text import Document
from models.data.vocabulary import enough_texts, train_tokenizer
from models.errors import TooLittleText
from models.gpt2 import GPT2Shape
from models.training.train import windows_of

HELD_WINDOWS = 2
"""Windows of each held-out document."""
ELSEWHERE_WINDOWS = 8
"""Windows of each document of another kind."""


@dataclass(frozen=True)
class Parts:
    """Documents by what they serve; no two parts have one in common."""

    training: list[Document]
    held_out: list[Document]
    scored: list[Document]
    elsewhere: list[Document] = field(default_factory=list)
    """Text of another kind, scored beside."""


@dataclass(frozen=True)
class Tokens:
    """Tokens by what they serve."""

    training: Tensor
    """`[tokens]`."""
    held_out: Tensor
    """`[windows, context]`, of documents that nothing is trained on and nothing is judged by."""
    scored: list[Tensor]
    """`[windows, context]` for each document."""
    elsewhere: list[Tensor] = field(default_factory=list)
    """The same of text of another kind."""

    @property
    def read(self) -> str:
        """Hash of all that is read while a student trains."""
        return text_digest(self.held_out, *self.scored, *self.elsewhere)


def parted(documents: Sequence[Document], *, held_out: int, scored: int) -> Parts:
    """Documents in the order of their text's sha256, which no one chose: the last are held out, those before scored."""
    order = sorted(documents, key=lambda document: hashlib.sha256(document.text.encode()).hexdigest())
    first, second = len(order) - held_out - scored, len(order) - held_out
    return Parts(order[: max(first, 0)], order[second:], order[max(first, 0) : second])


def tokenized(parts: Parts, shape: GPT2Shape, *, windows: int, most: int) -> Tokens:
    """Tokens of each part, by a tokenizer that is trained on the first.

    Args:
        parts: documents; the tokenizer and the models are trained on the first part.
        shape: of the models; gives vocabulary and context.
        windows: scored ones of a document.
        most: tokens to train on.

    Raises:
        TooLittleText: fewer than two scored documents, or no held-out one, are long enough.
    """
    tokenizer = train_tokenizer(enough_texts(parts.training), shape.vocabulary)
    return tokenized_by(tokenizer, parts, shape, windows=windows, most=most)


def tokenized_by(
    tokenizer: PreTrainedTokenizerBase, parts: Parts, shape: GPT2Shape, *, windows: int, most: int
) -> Tokens:
    """Tokens of each part by a tokenizer that is there; arguments and errors are those of `tokenized`."""

    def tokens(document: Document) -> Tensor:
        return torch.tensor(tokenizer(document.text, verbose=False)["input_ids"])

    def first_windows(documents: Sequence[Document], count: int) -> list[Tensor]:
        whole = [text for text in map(tokens, documents) if len(text) >= count * shape.positions]
        return [windows_of(text, shape.positions)[:count] for text in whole]

    scored, held_out = first_windows(parts.scored, windows), first_windows(parts.held_out, HELD_WINDOWS)
    if len(scored) < 2 or not held_out:
        raise TooLittleText(
            f"{len(scored)} of {len(parts.scored)} scored documents have the {windows * shape.positions} tokens that "
            f"{windows} windows of {shape.positions} take, and {len(held_out)} of {len(parts.held_out)} held-out ones "
            f"have {HELD_WINDOWS}; give more or longer documents"
        )
    training, elsewhere = _first_tokens(parts.training, tokens, most), first_windows(parts.elsewhere, ELSEWHERE_WINDOWS)
    return Tokens(training, torch.cat(held_out), scored, elsewhere)


def _first_tokens(documents: Sequence[Document], tokens: Callable[[Document], Tensor], most: int) -> Tensor:
    """Tokens of the first documents, at most as many as are asked for: n-gram models count only what is read."""
    parts, length = [], 0
    for document in documents:
        if length >= most:
            break
        parts.append(tokens(document))
        length += len(parts[-1])
    if not parts:
        raise TooLittleText("no document is left to train on; give more of them, or --train-text")
    return torch.cat(parts)[:most]


def text_digest(*tokens: Tensor) -> str:
    """Hash of token arrays, in their order."""
    return hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in tokens)).hexdigest()
