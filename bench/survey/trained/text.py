"""Text of the dense model, and text of another domain that it is fine-tuned on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.measure.parted_text import Tokens, parted, tokenized, tokenized_by
from bench.survey.trained.settings import TrainedSettings
from models.data.embedded import documents_of
from models.data.reviews import movie_reviews
from models.data.text import Document
from models.data.vocabulary import enough_texts, train_tokenizer

MOST_PASSES = 16
"""Times that the dense model may read its text; after that it learns little (Muennighoff et al. 2023, eq. 5)."""


@dataclass
class Texts:
    """Tokens of a session's text and of another domain's, cut into parts that have no document in common."""

    session: Any
    settings: TrainedSettings

    @cached_property
    def own(self) -> Tokens:
        """The session's text: to train on (with `--train-text`), held out, and scored."""
        s = self.settings
        parts = parted(self.session.documents, held_out=s.held_out, scored=s.documents)
        self._training = parts.training + self.session.more_documents
        most = (s.dense.steps + s.after) * s.step_tokens
        return tokenized(replace(parts, training=self._training), s.shape, windows=s.windows, most=most)

    @cached_property
    def other(self) -> Tokens:
        """Text of the other domain, by the dense model's tokenizer."""
        s, _ = self.settings, self.own
        tokenizer = train_tokenizer(enough_texts(self._training), s.shape.vocabulary)
        parts = parted(other_documents(self.session.settings.text, s), held_out=s.held_out, scored=s.documents)
        return tokenized_by(tokenizer, parts, s.shape, windows=s.windows, most=s.domain * s.step_tokens)

    @property
    def shortage(self) -> str:
        """Reason why the text is too little for the dense model; empty where it is not."""
        read, length = self.settings.dense.steps * self.settings.step_tokens, len(self.own.training)
        if read <= MOST_PASSES * length:
            return ""
        return (
            f"the dense model would read {length:,} tokens {read / length:.0f} times and learns little after "
            f"{MOST_PASSES}; give it {read // MOST_PASSES - length:,} tokens more with --train-text"
        )


def other_documents(text: Path | None, settings: TrainedSettings) -> list[Document]:
    """Documents of the other domain.

    The dense model reads Wikipedia and is fine-tuned on movie reviews, both of which come in packages; with `--text`,
    such as of books, it reads that and is fine-tuned on Wikipedia. Several reviews make one document.

    Args:
        text: that the dense model reads; None for Wikipedia.
        settings: give the number of reviews, and the length of a document.
    """
    if text is not None:
        return documents_of(None)
    reviews = [review for review, _ in movie_reviews(test=1, shifted=settings.reviews).shifted]
    documents, gathered = [], ""
    for review in reviews:
        gathered += f"{review}\n\n"
        if len(gathered) >= settings.review_characters:
            documents.append(Document(f"reviews {len(documents)}", gathered))
            gathered = ""
    return documents
